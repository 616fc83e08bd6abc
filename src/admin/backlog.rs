//! The gauges of undelivered content, read from the ledger at each scrape.

use jiff::Timestamp;
use prometheus::{GaugeVec, Opts, Registry};

use crate::{
    content::{Tenant, Tenants},
    ledger::Depth,
    roster::{PerTenant, forget},
};

/// What waits, per tenant.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    pending: GaugeVec,
    oldest: GaugeVec,
    expiry: GaugeVec,
}

impl Backlog {
    pub(super) fn register(
        registry: &Registry,
        tenants: &Tenants,
    ) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| GaugeVec::new(Opts::new(name, help), &["tenant"]);
        let backlog = Self {
            pending: gauge("m365_content_pending", "Content recorded and not yet delivered.")?,
            oldest: gauge(
                "m365_oldest_pending_seconds",
                "Age of the oldest undelivered content; 0 when there is none.",
            )?,
            expiry: gauge(
                "m365_pending_expiry_seconds",
                "Time until the first undelivered content expires at Microsoft; 0 when m365_content_pending is 0.",
            )?,
        };
        for family in [&backlog.pending, &backlog.oldest, &backlog.expiry] {
            registry.register(Box::new(family.clone()))?;
        }
        tenants.iter().for_each(|tenant| backlog.admit(&tenant));
        Ok(backlog)
    }

    pub(super) fn set(&self, depth: &[Depth], tenants: &Tenants, now: Timestamp) {
        for tenant in tenants.iter() {
            let depth = depth.iter().find(|depth| depth.tenant == tenant.id);
            let name = &[&*tenant.name];
            #[expect(clippy::cast_precision_loss, reason = "a gauge holds a float")]
            let pending = depth.map_or(0.0, |depth| depth.waiting as f64);
            let oldest = depth.map_or(0.0, |depth| seconds(depth.oldest_created, now).max(0.0));
            let expiry = depth.map_or(0.0, |depth| seconds(now, depth.first_expiry));
            self.pending.with_label_values(name).set(pending);
            self.oldest.with_label_values(name).set(oldest);
            self.expiry.with_label_values(name).set(expiry);
        }
    }
}

impl PerTenant for Backlog {
    fn admit(&self, tenant: &Tenant) {
        for family in [&self.pending, &self.oldest, &self.expiry] {
            family.with_label_values(&[&*tenant.name]);
        }
    }

    fn dismiss(&self, gone: &Tenant, stays: Option<&Tenant>) {
        for family in [&self.pending, &self.oldest, &self.expiry] {
            forget(family, gone, stays);
        }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
