//! What the status page and the probes say, gathered from the parts. Pure.

use std::{fmt::Write as _, path::Path, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;

use super::looks::Looks;
use crate::{
    content::{Tenant, Tenants},
    deliver::State,
    duties,
    ledger::Depth,
    reason::Reason,
    subscriptions::{self, Observation, Step},
};

mod attention;
mod feeds;
mod first;
mod lists;

pub(super) use attention::{Attention, Severity};
pub(super) use feeds::{DayStatus, FeedStatus, Light, Verdict};
pub(super) use first::FirstStep;
pub(super) use lists::{CertificateStatus, DeadGroup};

/// The whole picture at one moment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Status {
    /// When.
    pub(super) at: Timestamp,
    /// Whether a balancer should send requests here.
    pub(super) readiness: Readiness,
    /// Each part and how it is.
    pub(super) parts: Vec<Part>,
    /// What a person has to do or to know, worst first.
    pub(super) attention: Vec<Attention>,
    /// What comes next, while nothing was ever delivered.
    pub(super) first_steps: Vec<FirstStep>,
    /// What waits, and how the subscriptions are; by name.
    pub(super) tenants: Vec<TenantStatus>,
    /// The beginning of the first half hour of the feeds' counts.
    pub(super) since: Timestamp,
    /// What was given up on, newest first; none when not looked at yet.
    pub(super) dead_letters: Option<Vec<DeadGroup>>,
    /// The certificates, by when they end.
    pub(super) certificates: Vec<CertificateStatus>,
    /// Who shares the ledger, with which duties and which part of the budget; none when not looked
    /// at yet.
    pub(super) replicas: Option<Arc<[duties::Entry]>>,
}

/// Whether a balancer should send requests here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Readiness {
    /// Announcements are accepted, but Devo or Microsoft is away. Still 200: every replica would
    /// be, and a balancer that took them all out would lose notifications.
    Degraded,
    /// The ledger cannot commit, or the process drains.
    NotReady,
    /// All is well.
    Ready,
}

/// One part of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    /// Its name.
    pub(super) name: &'static str,
    /// How it is.
    pub(super) state: PartState,
    /// What that means and what to do, in words.
    pub(super) detail: String,
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PartState {
    /// A remote side is away; announcements are still accepted.
    Degraded,
    /// It does not work.
    Failed,
    /// It works.
    Ok,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct TenantStatus {
    /// Its directory id.
    pub(super) id: String,
    /// Its label.
    pub(super) name: String,
    /// Contents recorded and not yet delivered; none when they cannot be counted.
    pub(super) waiting: Option<u64>,
    /// Age of the oldest of them, in seconds.
    pub(super) oldest_seconds: Option<i64>,
    /// Time until the first of them expires at Microsoft, in seconds.
    pub(super) expiry_seconds: Option<i64>,
    /// When the subscriptions were last looked at.
    pub(super) checked: Option<Timestamp>,
    /// Why the last look failed.
    pub(super) problem: Option<String>,
    /// What to look at then, where a person has to mend it.
    pub(super) advice: Option<&'static str>,
    /// The wanted subscriptions.
    pub(super) subscriptions: Vec<SubscriptionStatus>,
    /// The feeds.
    pub(super) feeds: Vec<FeedStatus>,
}

/// One wanted subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SubscriptionStatus {
    /// The feed.
    pub(super) content_type: &'static str,
    /// Whether it is as wanted.
    pub(super) ok: bool,
    /// What is the matter, or what is about to happen.
    pub(super) detail: String,
}

/// What was asked of the parts.
pub(super) struct Seen<'a> {
    pub(super) now: Timestamp,
    pub(super) draining: bool,
    pub(super) writable: bool,
    pub(super) depth: &'a [Depth],
    pub(super) outlet: &'a State,
    pub(super) observed: &'a [subscriptions::Status],
    pub(super) is_called: bool,
    pub(super) tenants: &'a Tenants,
    /// What was seen of the ledger beside the request.
    pub(super) looks: &'a Looks,
    /// The configuration, for commands.
    pub(super) file: Option<&'a Path>,
}

/// What the probes need.
pub(super) fn health(seen: &Seen<'_>) -> Health {
    let parts = vec![webhook(seen), ledger(seen), devo(seen.outlet), microsoft(seen)];
    Health { status: readiness(&parts), parts }
}

pub(super) fn gather(seen: &Seen<'_>) -> Status {
    let Health { status: readiness, parts } = health(seen);
    let mut tenants: Vec<_> = seen.tenants.iter().collect();
    tenants.sort_by(|a, b| a.name.cmp(&b.name));
    let tenants: Vec<_> = tenants.iter().map(|tenant| tenant_status(seen, tenant)).collect();
    let dead_letters = lists::dead_letters(seen);
    let certificates = lists::certificates(seen);
    let first_steps = first::steps(seen, &parts, &tenants);
    let mut status = Status {
        at: seen.now,
        readiness,
        parts,
        attention: Vec::new(),
        first_steps,
        tenants,
        since: super::looks::begin(seen.now),
        dead_letters,
        certificates,
        replicas: seen.looks.replicas.clone(),
    };
    status.attention = attention::attention(&status, seen);
    status
}

/// What `/readyz` answers: readiness and the parts, without the tenants.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Health {
    /// Whether a balancer should send requests here.
    pub(super) status: Readiness,
    parts: Vec<Part>,
}

impl Status {
    /// Says that what waits could not be counted, rather than that nothing does.
    pub(super) fn backlog_is_unknown(&mut self) {
        for part in self.parts.iter_mut().filter(|part| part.name == "ledger") {
            part.detail.push_str("; what waits cannot be counted");
        }
        for tenant in &mut self.tenants {
            tenant.waiting = None;
        }
    }
}

fn readiness(parts: &[Part]) -> Readiness {
    let has = |state| parts.iter().any(|part| part.state == state);
    if has(PartState::Failed) {
        Readiness::NotReady
    } else if has(PartState::Degraded) {
        Readiness::Degraded
    } else {
        Readiness::Ready
    }
}

fn webhook(seen: &Seen<'_>) -> Part {
    let (state, detail) = if seen.draining {
        (PartState::Failed, "draining: the process was asked to stop")
    } else if seen.is_called {
        (PartState::Ok, "serving")
    } else {
        (PartState::Ok, "not configured: content is found by listing it")
    };
    Part { name: "webhook", state, detail: detail.into() }
}

fn ledger(seen: &Seen<'_>) -> Part {
    let (state, detail) = if seen.writable {
        (PartState::Ok, "commits")
    } else {
        (PartState::Failed, "cannot commit: is its disk full or read-only? Notifications get 503")
    };
    Part { name: "ledger", state, detail: detail.into() }
}

fn devo(outlet: &State) -> Part {
    let (state, detail) = match outlet {
        State::Connected => (PartState::Ok, "connected".to_owned()),
        State::Connecting => (PartState::Degraded, "connecting".to_owned()),
        State::Breaking { consecutive } => (
            PartState::Degraded,
            format!(
                "breaks the connection before confirming ({consecutive} times in a row); content waits in the ledger"
            ),
        ),
        State::Unconfirmed { consecutive } => (
            PartState::Degraded,
            format!(
                "takes records but never ends its stream ({consecutive} times in a row); if it never will, set devo.confirm = \"tcp\""
            ),
        ),
        State::Unreachable { cause } => {
            (PartState::Degraded, format!("unreachable: {cause}; content waits in the ledger"))
        }
    };
    Part { name: "devo", state, detail }
}

fn microsoft(seen: &Seen<'_>) -> Part {
    let failing: Vec<_> = seen
        .observed
        .iter()
        .filter_map(|tenant| tenant.problem.map(|problem| format!("{}: {problem}", tenant.name)))
        .collect();
    let (state, detail) = if failing.is_empty() {
        (PartState::Ok, "answers".to_owned())
    } else {
        (PartState::Degraded, failing.join(", "))
    };
    Part { name: "microsoft", state, detail }
}

fn tenant_status(seen: &Seen<'_>, tenant: &Tenant) -> TenantStatus {
    let depth = seen.depth.iter().find(|depth| depth.tenant == tenant.id);
    let observed = seen.observed.iter().find(|status| status.tenant == tenant.id);
    let problem = observed.and_then(|status| status.problem);
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs();
    TenantStatus {
        id: tenant.id.to_string(),
        name: tenant.name.to_string(),
        waiting: Some(depth.map_or(0, |depth| depth.waiting)),
        oldest_seconds: depth.map(|depth| seconds(depth.oldest_created, seen.now).max(0)),
        expiry_seconds: depth.map(|depth| seconds(seen.now, depth.first_expiry)),
        checked: observed.and_then(|status| status.checked),
        problem: problem.map(|reason| reason.to_string()),
        advice: problem.and_then(Reason::advice),
        subscriptions: observed
            .map(|status| status.subscriptions.iter().map(subscription).collect())
            .unwrap_or_default(),
        feeds: feeds::feeds(seen, tenant, observed.map_or(&[], |status| &status.subscriptions)),
    }
}

fn subscription(observation: &Observation) -> SubscriptionStatus {
    let (ok, mut detail) = match &observation.step {
        Step::Keep { .. } => (true, "as wanted".to_owned()),
        Step::Start { why, .. } | Step::Wait { why, .. } if !observation.managed => {
            (false, format!("{why}, and subscriptions.manage is off"))
        }
        Step::Start { why, .. } => (false, format!("{why}: will be started")),
        Step::Wait { why, until, .. } => (false, format!("{why}: may be started at {until:.0}")),
    };
    if let Some(calls) = observation.refused {
        // Writing into a string cannot fail.
        let _infallible =
            write!(detail, "; Microsoft did not get 200 from our webhook (AF20021): {calls}");
    }
    SubscriptionStatus { content_type: observation.content_type.as_str(), ok, detail }
}

#[cfg(test)]
pub(super) mod tests;
