//! What the sweep counts.

use jiff::Timestamp;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::{
    content::{ContentType, Tenant, Tenants},
    roster::{PerTenant, forget},
};

/// The series of the sweep. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    windows: IntCounterVec,
    last_complete: IntGaugeVec,
}

impl Metrics {
    /// Creates the series of every configured feed at zero.
    ///
    /// # Errors
    ///
    /// When the registry already holds one of the names.
    pub fn register(registry: &Registry, tenants: &Tenants) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            windows: IntCounterVec::new(
                Opts::new(
                    "m365_sweep_windows_total",
                    "Windows of Microsoft's listing that were looked at: read whole, failed, or refused because somebody has to allow it first.",
                ),
                &["tenant", "outcome"],
            )?,
            last_complete: IntGaugeVec::new(
                Opts::new(
                    "m365_sweep_last_complete_timestamp_seconds",
                    "When everything Microsoft listed for the last hours was last known to be in the ledger, in Unix time; 0 before the first time.",
                ),
                &["tenant", "content_type"],
            )?,
        };
        registry.register(Box::new(metrics.windows.clone()))?;
        registry.register(Box::new(metrics.last_complete.clone()))?;
        tenants.iter().for_each(|tenant| metrics.admit(&tenant));
        Ok(metrics)
    }

    /// Counts a window.
    pub(super) fn window(&self, tenant: &str, outcome: Outcome) {
        self.windows.with_label_values(&[tenant, outcome.as_str()]).inc();
    }

    /// Notes that the last hours of a feed are complete.
    pub(super) fn complete(&self, tenant: &str, content_type: ContentType, at: Timestamp) {
        self.last_complete.with_label_values(&[tenant, content_type.as_str()]).set(at.as_second());
    }
}

impl PerTenant for Metrics {
    fn admit(&self, tenant: &Tenant) {
        for outcome in Outcome::ALL {
            self.windows.with_label_values(&[&*tenant.name, outcome.as_str()]);
        }
        for content_type in &tenant.content_types {
            self.last_complete.with_label_values(&[&*tenant.name, content_type.as_str()]);
        }
    }

    fn dismiss(&self, gone: &Tenant, stays: Option<&Tenant>) {
        forget(&self.windows, gone, stays);
        forget(&self.last_complete, gone, stays);
    }
}

/// What became of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    Failed,
    Refused,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Complete, Self::Failed, Self::Refused];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}
