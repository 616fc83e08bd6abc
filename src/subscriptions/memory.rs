//! Which subscriptions were started when, by whichever process.

use std::{collections::HashMap, sync::MutexGuard};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{CheckError, Starts, Subscriptions};
use crate::{
    content::{ContentType, Tenant, TenantId},
    ledger::{Fence, LedgerError, Start},
    microsoft::{ApiError, client::Started},
    moment::after,
};

impl Subscriptions {
    /// Takes over when a subscription was started, as another process noted it.
    pub fn learn(&self, start: &Start) {
        let Start { tenant, content_type, at, allowed } = *start;
        self.starts().entry(tenant).or_default().learnt(content_type, at, allowed);
    }

    /// Until when a subscription must not be started, if it may not now.
    pub fn waits(&self, tenant: TenantId, content_type: ContentType) -> Option<Timestamp> {
        self.starts_of(tenant).until(content_type, self.0.clock.now())
    }

    /// What has to be remembered before a subscription is started: whoever is cut off while
    /// Microsoft validates the webhook has started it all the same.
    pub fn begun(&self, tenant: TenantId, content_type: ContentType) -> Start {
        let at = self.0.clock.now();
        Start { tenant, content_type, at, allowed: after(at, self.0.config.restart_after) }
    }

    /// What has to be remembered in its place when the outcome is known.
    pub fn ended(&self, begun: Start, result: &Result<Started, CheckError>) -> Start {
        let now = self.0.clock.now();
        let allowed = match result {
            Err(CheckError::Api(ApiError::Throttled { until })) => {
                after(now, until.saturating_duration_since(Instant::now()))
            }
            // It does not count.
            Err(error) if !error.reached_microsoft() => begun.at,
            _ => after(now, self.0.config.restart_after),
        };
        Start { allowed, ..begun }
    }

    /// Learns what was started by other processes, and by this one before it ended.
    pub(super) async fn recall(&self, tenant: &Tenant) {
        let Some(ledger) = &self.0.ledger else { return };
        match ledger.starts(tenant.id).await {
            Ok(starts) => starts.iter().for_each(|start| self.learn(start)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(tenant = &*tenant.name, error, "earlier starts are not known");
            }
        }
    }

    /// Remembers a start here and for other processes.
    ///
    /// # Errors
    ///
    /// When others do not know of it: another replica has the duty by now, or may have it soon and
    /// start the same again. Then nothing may be started here.
    pub(super) async fn note_start(
        &self,
        tenant: &str,
        start: Start,
        duty: Option<Fence>,
    ) -> Result<(), LedgerError> {
        if let Some(ledger) = &self.0.ledger
            && let Err(error) = ledger.started_under(duty, start).await
        {
            let cause: &dyn std::error::Error = &error;
            tracing::warn!(tenant, error = cause, "the start is not noted in the ledger");
            if ledger.is_shared() {
                return Err(error);
            }
        }
        self.note_here(start);
        Ok(())
    }

    /// Remembers a start for this process.
    pub(super) fn note_here(&self, start: Start) {
        let Start { tenant, content_type, at, allowed } = start;
        self.starts().entry(tenant).or_default().started(content_type, at, allowed);
    }

    pub(super) fn starts_of(&self, tenant: TenantId) -> Starts {
        self.starts().get(&tenant).cloned().unwrap_or_default()
    }

    fn starts(&self) -> MutexGuard<'_, HashMap<TenantId, Starts>> {
        self.0.starts.lock().expect("no holder panics")
    }
}
