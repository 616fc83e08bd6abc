//! What the client counts.

use prometheus::{IntCounterVec, Opts, Registry};

use crate::{
    content::{Tenant, Tenants},
    roster::{PerTenant, forget},
};

/// The client's series. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) throttled: IntCounterVec,
}

impl Metrics {
    /// Creates the series of every configured tenant at zero.
    ///
    /// # Errors
    ///
    /// When the registry already holds one of the names.
    pub fn register(registry: &Registry, tenants: &Tenants) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            throttled: IntCounterVec::new(
                Opts::new(
                    "m365_throttled_total",
                    "Answers of Microsoft that meant too many requests.",
                ),
                &["tenant"],
            )?,
        };
        registry.register(Box::new(metrics.throttled.clone()))?;
        tenants.iter().for_each(|tenant| metrics.admit(&tenant));
        Ok(metrics)
    }

    /// Counts an answer that meant "too many requests".
    pub(super) fn throttled(&self, tenant: &str) {
        self.throttled.with_label_values(&[tenant]).inc();
    }
}

impl PerTenant for Metrics {
    fn admit(&self, tenant: &Tenant) {
        self.throttled.with_label_values(&[&*tenant.name]);
    }

    fn dismiss(&self, gone: &Tenant, stays: Option<&Tenant>) {
        forget(&self.throttled, gone, stays);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::content::ContentType;

    #[test]
    fn series_of_configured_tenants_start_at_zero() {
        let registry = Registry::new();
        let id = "11111111-2222-3333-4444-555555555555";
        let tenants = Tenants::from_iter([Tenant {
            id: id.parse().unwrap(),
            client_id: id.parse().unwrap(),
            name: Arc::from("contoso"),
            content_types: vec![ContentType::General],
        }]);
        let metrics = Metrics::register(&registry, &tenants).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text.contains("m365_throttled_total{tenant=\"contoso\"} 0"));
        metrics.throttled("contoso");
        assert_eq!(metrics.throttled.with_label_values(&["contoso"]).get(), 1);
    }
}
