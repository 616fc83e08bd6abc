//! What Microsoft lists, as numbers.

use jiff::Timestamp;
use prometheus::{IntGaugeVec, Opts, Registry};

use super::Observation;
use crate::{
    content::{Tenant, Tenants},
    roster::{PerTenant, forget},
};

/// The gauges of subscriptions and their webhooks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) subscription_enabled: IntGaugeVec,
    pub(super) webhook_enabled: IntGaugeVec,
    checked: IntGaugeVec,
}

impl Metrics {
    /// Creates the series of every wanted subscription at zero.
    ///
    /// # Errors
    ///
    /// When the registry already holds one of the names.
    pub fn register(registry: &Registry, tenants: &Tenants) -> Result<Self, prometheus::Error> {
        let labels = ["tenant", "content_type"];
        let metrics = Self {
            subscription_enabled: IntGaugeVec::new(
                Opts::new(
                    "m365_subscription_enabled",
                    "1 while Microsoft lists the subscription as enabled; at 0 its content can be neither listed nor fetched.",
                ),
                &labels,
            )?,
            webhook_enabled: IntGaugeVec::new(
                Opts::new(
                    "m365_webhook_enabled",
                    "1 while Microsoft lists an enabled webhook for the subscription; at 0 it does not call, and content is found by listing.",
                ),
                &labels,
            )?,
            checked: IntGaugeVec::new(
                Opts::new(
                    "m365_subscriptions_checked_timestamp_seconds",
                    "When Microsoft last answered which subscriptions there are, in Unix time; 0 before the first answer. While it stands still, m365_subscription_enabled and m365_webhook_enabled say nothing new.",
                ),
                &["tenant"],
            )?,
        };
        registry.register(Box::new(metrics.subscription_enabled.clone()))?;
        registry.register(Box::new(metrics.webhook_enabled.clone()))?;
        registry.register(Box::new(metrics.checked.clone()))?;
        tenants.iter().for_each(|tenant| metrics.admit(&tenant));
        Ok(metrics)
    }

    /// Shows what was listed for a tenant.
    pub(super) fn observed(&self, tenant: &str, seen: &[Observation], now: Timestamp) {
        self.checked.with_label_values(&[tenant]).set(now.as_second());
        for observation in seen {
            let labels = [tenant, observation.content_type.as_str()];
            self.subscription_enabled
                .with_label_values(&labels)
                .set(observation.is_enabled().into());
            self.webhook_enabled
                .with_label_values(&labels)
                .set(observation.is_webhook_enabled(now).into());
        }
    }
}

impl PerTenant for Metrics {
    fn admit(&self, tenant: &Tenant) {
        self.checked.with_label_values(&[&*tenant.name]);
        for content_type in &tenant.content_types {
            let labels = [&*tenant.name, content_type.as_str()];
            self.subscription_enabled.with_label_values(&labels);
            self.webhook_enabled.with_label_values(&labels);
        }
    }

    fn dismiss(&self, gone: &Tenant, stays: Option<&Tenant>) {
        forget(&self.subscription_enabled, gone, stays);
        forget(&self.webhook_enabled, gone, stays);
        forget(&self.checked, gone, stays);
    }
}
