//! How much new content reached the ledger, and by which way.
//!
//! The webhook, the sweep and the backfill announce to the same ledger and count in the same
//! series; none of them can own it.

use prometheus::{IntCounterVec, Opts, Registry};

use crate::{
    content::{ContentType, Tenant, Tenants, Via},
    roster::{PerTenant, forget},
};

/// The counter of new content in the ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Announced(IntCounterVec);

impl Announced {
    /// Creates the series of every configured feed at zero, for every way.
    ///
    /// # Errors
    ///
    /// When the registry already holds the name.
    pub fn register(registry: &Registry, tenants: &Tenants) -> Result<Self, prometheus::Error> {
        let announced = Self(IntCounterVec::new(
            Opts::new(
                "m365_content_announced_total",
                "New content in the ledger, by the way it was announced.",
            ),
            &["tenant", "content_type", "via"],
        )?);
        registry.register(Box::new(announced.0.clone()))?;
        tenants.iter().for_each(|tenant| announced.admit(&tenant));
        Ok(announced)
    }

    /// Counts content the ledger did not know before. `tenant` is the configured name.
    pub fn count(&self, tenant: &str, content_type: ContentType, via: Via, contents: u64) {
        self.0.with_label_values(&[tenant, content_type.as_str(), via.as_str()]).inc_by(contents);
    }
}

impl PerTenant for Announced {
    fn admit(&self, tenant: &Tenant) {
        for content_type in &tenant.content_types {
            for via in Via::ALL {
                self.count(&tenant.name, *content_type, via, 0);
            }
        }
    }

    fn dismiss(&self, gone: &Tenant, stays: Option<&Tenant>) {
        forget(&self.0, gone, stays);
    }
}
