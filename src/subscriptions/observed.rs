//! What was seen last of each tenant's subscriptions, for status pages and the command line.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;

use super::{Calls, CheckError, Step, Wanted, plan::find};
use crate::{
    content::{ContentType, Tenant, TenantId, Tenants},
    microsoft::client::{State, Subscription},
    reason::Reason,
};

/// The newest observation of every tenant. Clones share it.
#[derive(Clone, Debug)]
pub struct Observed {
    tenants: Tenants,
    seen: Arc<Mutex<HashMap<TenantId, Status>>>,
}

impl Observed {
    pub(super) fn new(tenants: &Tenants) -> Self {
        Self { tenants: tenants.clone(), seen: Arc::default() }
    }

    /// One status for each tenant, by name.
    #[expect(clippy::missing_panics_doc, reason = "a poisoned lock is a broken invariant")]
    pub fn status(&self) -> Vec<Status> {
        let seen = self.seen.lock().expect("no holder of this lock panics");
        let status =
            |tenant: Arc<Tenant>| seen.get(&tenant.id).cloned().unwrap_or_else(|| unseen(&tenant));
        let mut all: Vec<_> = self.tenants.iter().map(status).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Notes the result of a look. A failed one keeps what was seen before.
    pub(super) fn note(
        &self,
        tenant: &Tenant,
        now: Timestamp,
        result: Result<Vec<Observation>, CheckError>,
    ) {
        let mut seen = self.seen.lock().expect("no holder of this lock panics");
        seen.retain(|id, _| self.tenants.find(*id).is_some());
        let status = seen.entry(tenant.id).or_insert_with(|| unseen(tenant));
        match result {
            Ok(subscriptions) => {
                status.subscriptions = subscriptions;
                status.checked = Some(now);
                status.problem = None;
            }
            Err(error) => status.problem = Some(error.reason()),
        }
    }
}

fn unseen(tenant: &Tenant) -> Status {
    Status {
        tenant: tenant.id,
        name: tenant.name.clone(),
        checked: None,
        problem: None,
        subscriptions: Vec::new(),
    }
}

/// What is known of one tenant's subscriptions.
#[derive(Clone, Debug)]
pub struct Status {
    /// The tenant.
    pub tenant: TenantId,
    /// Its label.
    pub name: Arc<str>,
    /// When the subscriptions were last seen.
    pub checked: Option<Timestamp>,
    /// Why the last look failed, if it did.
    pub problem: Option<Reason>,
    /// One for each wanted content type; empty before the first look.
    pub subscriptions: Vec<Observation>,
}

/// One wanted subscription beside what Microsoft lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The feed.
    pub content_type: ContentType,
    /// Whether it is on; none: it is not listed.
    pub state: Option<State>,
    /// Its webhook as listed.
    pub webhook: Option<SeenWebhook>,
    /// What is to be done about it.
    pub step: Step,
    /// Whether the service does that, or leaves it to people.
    pub managed: bool,
    /// What reached our webhook during the last start, where Microsoft refused it because of the
    /// webhook (AF20021) and it is not as wanted yet.
    pub refused: Option<Calls>,
}

impl Observation {
    pub(super) fn new(
        wanted: &Wanted<'_>,
        listed: &[Subscription],
        step: Step,
        managed: bool,
        refused: Option<Calls>,
    ) -> Self {
        let listed = find(listed, step.content_type());
        let ours = |address: &String| {
            let wanted = wanted.webhook.as_ref();
            wanted.is_some_and(|wanted| wanted.is_at(address))
        };
        Self {
            content_type: step.content_type(),
            state: listed.map(|listed| listed.state),
            webhook: listed.and_then(|listed| listed.webhook.as_ref()).map(|webhook| SeenWebhook {
                state: webhook.state,
                is_ours: webhook.address.as_ref().map(ours),
                address: webhook.address.clone(),
                expiration: webhook.expiration,
            }),
            step,
            managed,
            refused,
        }
    }

    /// Whether the subscription is listed and on.
    pub fn is_enabled(&self) -> bool {
        self.state.is_some_and(State::is_on)
    }

    /// Whether a webhook is listed, on, and not past its expiration.
    pub fn is_webhook_enabled(&self, now: Timestamp) -> bool {
        self.webhook.as_ref().is_some_and(|webhook| {
            let ended = webhook.expiration.is_some_and(|expiration| expiration <= now);
            webhook.state.is_on() && !ended
        })
    }
}

/// A listed webhook, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenWebhook {
    /// Whether it is on.
    pub state: State,
    /// Where it is.
    pub address: Option<String>,
    /// Whether that is where ours is; none where the answer does not tell the address.
    pub is_ours: Option<bool>,
    /// When it ends.
    pub expiration: Option<Timestamp>,
}
