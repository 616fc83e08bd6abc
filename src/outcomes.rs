//! What became of messages: given up, tried again, delivered.
//!
//! Every stage counts failures here, by a closed [`Reason`] that knows its stage (I10), so that
//! the two numbers an operator is alerted on have one owner.

use std::collections::BTreeMap;

use prometheus::{IntCounterVec, Opts, Registry, core::Collector as _};

use crate::{
    content::{ContentType, Tenant, Tenants},
    reason::{Reason, Stage},
    roster::{PerTenant, forget},
};

mod announced;

pub use announced::Announced;

/// The counters of given-up, failed and delivered messages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outcomes {
    unsuccessful: IntCounterVec,
    attempts_failed: IntCounterVec,
    successful: IntCounterVec,
}

impl Outcomes {
    /// Creates the series of every configured tenant at zero.
    ///
    /// # Errors
    ///
    /// When the registry already holds one of the names.
    pub fn register(registry: &Registry, tenants: &Tenants) -> Result<Self, prometheus::Error> {
        let outcomes = Self {
            unsuccessful: IntCounterVec::new(
                Opts::new(
                    "m365_messages_unsuccessfully_processed_total",
                    "Messages given up on: a refused notification entry, a content blob that became a dead letter or expired, a record that became a dead letter.",
                ),
                &["tenant", "stage", "reason"],
            )?,
            attempts_failed: IntCounterVec::new(
                Opts::new(
                    "m365_attempts_failed_total",
                    "Attempts that failed and will be tried again.",
                ),
                &["tenant", "stage", "reason"],
            )?,
            successful: IntCounterVec::new(
                Opts::new(
                    "m365_messages_successfully_processed_total",
                    "Audit records confirmed by Devo.",
                ),
                &["tenant", "content_type"],
            )?,
        };
        registry.register(Box::new(outcomes.unsuccessful.clone()))?;
        registry.register(Box::new(outcomes.attempts_failed.clone()))?;
        registry.register(Box::new(outcomes.successful.clone()))?;
        // What is refused at the door may belong to nobody; everything later belongs to a tenant.
        for reason in Reason::ALL.iter().filter(|reason| reason.stage() == Stage::Notification) {
            outcomes.given_up("", *reason, 0);
        }
        tenants.iter().for_each(|tenant| outcomes.admit(&tenant));
        Ok(outcomes)
    }

    /// Counts messages that nothing more will be done about by itself. `tenant` is the configured
    /// name, or empty where the tenant is not ours.
    pub fn given_up(&self, tenant: &str, reason: Reason, messages: u64) {
        let labels = [tenant, reason.stage().as_str(), reason.as_str()];
        self.unsuccessful.with_label_values(&labels).inc_by(messages);
    }

    /// Counts an attempt that will be made again.
    pub fn attempt_failed(&self, tenant: &str, reason: Reason) {
        self.attempts_failed(tenant, reason, 1);
    }

    fn attempts_failed(&self, tenant: &str, reason: Reason, attempts: u64) {
        let labels = [tenant, reason.stage().as_str(), reason.as_str()];
        self.attempts_failed.with_label_values(&labels).inc_by(attempts);
    }

    /// Counts records confirmed by Devo.
    pub fn delivered(&self, tenant: &str, content_type: ContentType, records: u64) {
        self.successful.with_label_values(&[tenant, content_type.as_str()]).inc_by(records);
    }

    /// What was given up on and what was delivered so far, by tenant.
    pub fn totals(&self) -> BTreeMap<String, Totals> {
        let mut totals = BTreeMap::<String, Totals>::new();
        for (tenant, count) in by_tenant(&self.successful) {
            totals.entry(tenant).or_default().successful += count;
        }
        for (tenant, count) in by_tenant(&self.unsuccessful) {
            totals.entry(tenant).or_default().unsuccessful += count;
        }
        totals
    }
}

/// The two numbers of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records confirmed by Devo.
    pub successful: u64,
    /// Messages given up on.
    pub unsuccessful: u64,
}

impl PerTenant for Outcomes {
    fn admit(&self, tenant: &Tenant) {
        for reason in Reason::ALL {
            self.given_up(&tenant.name, *reason, 0);
            if reason.stage() != Stage::Notification {
                self.attempts_failed(&tenant.name, *reason, 0);
            }
        }
        for content_type in &tenant.content_types {
            self.successful.with_label_values(&[&*tenant.name, content_type.as_str()]);
        }
    }

    fn dismiss(&self, gone: &Tenant, stays: Option<&Tenant>) {
        for family in [&self.unsuccessful, &self.attempts_failed, &self.successful] {
            forget(family, gone, stays);
        }
    }
}

/// The series of a family, each as its tenant and its count.
fn by_tenant(family: &IntCounterVec) -> Vec<(String, u64)> {
    let mut counts = Vec::new();
    for metrics in family.collect() {
        for metric in metrics.get_metric() {
            let tenant = metric.get_label().iter().find(|label| label.name() == "tenant");
            let tenant = tenant.map(|label| label.value().to_owned()).unwrap_or_default();
            counts.push((tenant, whole(metric.get_counter().get_value())));
        }
    }
    counts
}

/// A counter's value; beyond 2^53 it has lost its last digits already.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter of whole numbers"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_sums_by_tenant() {
        let tenants = Tenants::default();
        let outcomes = Outcomes::register(&Registry::new(), &tenants).unwrap();
        outcomes.delivered("a", ContentType::Exchange, 3);
        outcomes.delivered("a", ContentType::General, 4);
        outcomes.delivered("b", ContentType::General, 1);
        outcomes.given_up("a", Reason::Unconfirmed, 2);
        outcomes.given_up("a", Reason::Undecodable, 5);
        let totals = outcomes.totals();
        assert_eq!(totals["a"], Totals { successful: 7, unsuccessful: 7 });
        assert_eq!(totals["b"], Totals { successful: 1, unsuccessful: 0 });
        assert_eq!(totals[""], Totals::default(), "refused entries of nobody");
    }
}
