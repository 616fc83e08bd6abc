//! Which subscriptions were started when, by whichever process.

use jiff::Timestamp;
use tokio::time::Instant;

use super::{CheckError, Starts, Subscriptions};
use crate::{
    content::{ContentType, Tenant, TenantId},
    ledger::Start,
    microsoft::{ApiError, client::Started},
    moment::after,
};

impl Subscriptions {
    /// Takes over from when on a subscription may be started, as another process found out.
    pub fn not_before(&self, start: &Start) {
        // What is from the future was noted before the clock was set back, and says nothing.
        if start.at <= self.0.clock.now() {
            self.remember(start.tenant, start.content_type, start.allowed);
        }
    }

    /// Until when a subscription must not be started, if it may not now.
    pub fn waits(&self, tenant: TenantId, content_type: ContentType) -> Option<Timestamp> {
        self.starts_of(tenant).until(content_type).filter(|until| *until > self.0.clock.now())
    }

    /// From when on a subscription that was started now may be started again, if the start counts.
    pub fn allowed_again(&self, result: &Result<Started, CheckError>) -> Option<Timestamp> {
        let wait = match result {
            Err(CheckError::Api(ApiError::Throttled { until })) => {
                until.saturating_duration_since(Instant::now())
            }
            Err(error) if !error.reached_microsoft() => return None,
            _ => self.0.config.restart_after,
        };
        Some(after(self.0.clock.now(), wait))
    }

    /// Learns what was started by other processes, and by this one before it ended.
    pub(super) async fn recall(&self, tenant: &Tenant) {
        let Some(ledger) = &self.0.ledger else { return };
        match ledger.starts(tenant.id).await {
            Ok(starts) => starts.iter().for_each(|start| self.not_before(start)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(tenant = &*tenant.name, error, "earlier starts are not known");
            }
        }
    }

    /// Remembers a start here and for other processes.
    pub(super) async fn note_start(&self, tenant: &str, start: Start) {
        self.remember(start.tenant, start.content_type, start.allowed);
        let Some(ledger) = &self.0.ledger else { return };
        if let Err(error) = ledger.started(start).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(tenant, error, "the start is not noted in the ledger");
        }
    }

    pub(super) fn starts_of(&self, tenant: TenantId) -> Starts {
        let starts = self.0.starts.lock().expect("no holder panics");
        starts.get(&tenant).cloned().unwrap_or_default()
    }

    fn remember(&self, tenant: TenantId, content_type: ContentType, until: Timestamp) {
        let mut starts = self.0.starts.lock().expect("no holder panics");
        starts.entry(tenant).or_default().not_before(content_type, until);
    }
}
