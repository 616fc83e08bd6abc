//! What the public port counts.

use prometheus::{IntCounterVec, Opts, Registry};

use super::outcome::Outcome;
use crate::{
    content::{ContentType, Via},
    http,
    outcomes::Announced,
};

/// The counters of the public port. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    announced: Announced,
    connections: http::Metrics,
}

impl Metrics {
    /// Creates the series of every outcome at zero. `announced` is shared with the other ways by
    /// which content is announced.
    ///
    /// # Errors
    ///
    /// When the registry already holds the name.
    pub fn register(registry: &Registry, announced: Announced) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "m365_webhook_requests_total",
                "Every request on the public port, by what became of it.",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        for outcome in Outcome::ALL {
            requests.with_label_values(&[outcome.as_str()]);
        }
        let connections = http::Metrics::register(registry, "m365_webhook_connections_total")?;
        Ok(Self { requests, announced, connections })
    }

    pub(super) fn request(&self, outcome: Outcome) {
        self.requests.with_label_values(&[outcome.as_str()]).inc();
    }

    pub(super) fn connections(&self) -> http::Metrics {
        self.connections.clone()
    }

    pub(super) fn announced(&self, tenant: &str, content_type: ContentType) {
        self.announced.count(tenant, content_type, Via::Webhook, 1);
    }
}
