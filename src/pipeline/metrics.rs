//! What the pipeline counts. One method is one event: its series and its log line.

use jiff::Timestamp;
use prometheus::{GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use tracing::{debug, info, warn};

use super::tally::{Lines, Tally};
use crate::{
    content::{Tenant, Tenants, Via},
    ledger::{Lease, Settlement},
    outcomes::Outcomes,
    reason::Reason,
    roster::{PerTenant, forget},
    route::Tables,
};

/// The series of the pipeline.
#[derive(Clone, Debug)]
pub struct Metrics {
    outcomes: Outcomes,
    tenants: Tenants,
    settled: IntCounterVec,
    records: IntCounterVec,
    duplicates: IntCounterVec,
    unremembered: IntCounterVec,
    lag: HistogramVec,
    webhook_to_confirm: Histogram,
    last_success: GaugeVec,
}

impl Metrics {
    /// # Errors
    ///
    /// When the registry already holds one of the names.
    pub fn register(
        registry: &Registry,
        tenants: &Tenants,
        outcomes: Outcomes,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            outcomes,
            tenants: tenants.clone(),
            settled: IntCounterVec::new(
                Opts::new(
                    "m365_content_settled_total",
                    "Content that left the ledger's work, by how it ended.",
                ),
                &["tenant", "content_type", "outcome"],
            )?,
            records: IntCounterVec::new(
                Opts::new("m365_records_delivered_total", "Records confirmed by Devo, by table."),
                &["table"],
            )?,
            duplicates: IntCounterVec::new(
                Opts::new(
                    "m365_records_duplicate_total",
                    "Records recognised as delivered before and not sent again.",
                ),
                &["tenant"],
            )?,
            unremembered: IntCounterVec::new(
                Opts::new(
                    "m365_records_unremembered_total",
                    "Records delivered whose identity could not be kept, because too many were unconfirmed at once; if they come again, they are sent again.",
                ),
                &["tenant"],
            )?,
            lag: HistogramVec::new(
                HistogramOpts::new(
                    "m365_delivery_lag_seconds",
                    "Time from a content's creation at Microsoft to its confirmation by Devo.",
                )
                .buckets(LAG_BUCKETS.to_vec()),
                &["tenant"],
            )?,
            webhook_to_confirm: Histogram::with_opts(
                HistogramOpts::new(
                    "m365_webhook_to_confirm_seconds",
                    "Time from a notification to the confirmation of its content by Devo.",
                )
                .buckets(CONFIRM_BUCKETS.to_vec()),
            )?,
            last_success: GaugeVec::new(
                Opts::new(
                    "m365_last_success_timestamp_seconds",
                    "When content of this tenant and type was last confirmed, in Unix time; 0 before the first.",
                ),
                &["tenant", "content_type"],
            )?,
        };
        registry.register(Box::new(metrics.settled.clone()))?;
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.duplicates.clone()))?;
        registry.register(Box::new(metrics.unremembered.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.webhook_to_confirm.clone()))?;
        registry.register(Box::new(metrics.last_success.clone()))?;
        tenants.iter().for_each(|tenant| metrics.admit(&tenant));
        Ok(metrics)
    }

    /// Records of the content are confirmed, whatever becomes of the rest.
    pub(super) fn arrived(&self, lease: &Lease, lines: &Lines, tables: &Tables) {
        let content = &lease.announcement;
        let tenant = &*self.tenants.name(content.tenant);
        self.outcomes.delivered(tenant, content.content_type, lines.total());
        for (table, lines) in lines.iter() {
            self.records.with_label_values(&[tables.label(table)]).inc_by(lines);
        }
    }

    /// The content is confirmed and settled; so many of its records came with this attempt.
    pub(super) fn delivered(&self, lease: &Lease, records: u64, tally: &Tally, now: Timestamp) {
        let content = &lease.announcement;
        let tenant = &*self.tenants.name(content.tenant);
        let content_type = content.content_type.as_str();
        self.settled.with_label_values(&[tenant, content_type, "delivered"]).inc();
        self.duplicates.with_label_values(&[tenant]).inc_by(tally.duplicates);
        self.unremembered.with_label_values(&[tenant]).inc_by(tally.unremembered);
        for dead in &tally.dead {
            self.outcomes.given_up(tenant, dead.reason, 1);
            warn!(
                tenant, content.r#type = content_type, content.id = %content.id,
                record.index = dead.index, reason = %dead.reason,
                "record is a dead letter: {}", dead.reason
            );
        }
        self.lag.with_label_values(&[tenant]).observe(seconds_between(content.created, now));
        if lease.via == Via::Webhook {
            self.webhook_to_confirm.observe(seconds_between(lease.announced, now));
        }
        self.last_success
            .with_label_values(&[tenant, content_type])
            .set(seconds_between(Timestamp::UNIX_EPOCH, now));
        debug!(
            tenant, content.r#type = content_type, content.id = %content.id,
            records, duplicates = tally.duplicates,
            "content delivered"
        );
    }

    /// The last attempt died without a word: its step panicked, or its process did.
    pub(super) fn lease_lost(&self, lease: &Lease) {
        let content = &lease.announcement;
        let tenant = &*self.tenants.name(content.tenant);
        self.outcomes.attempt_failed(tenant, Reason::LeaseLost);
        info!(
            tenant, content.r#type = content.content_type.as_str(), content.id = %content.id,
            "content is tried again after its last attempt was cut off"
        );
    }

    /// The content was not delivered; the settlement says what happens next.
    pub(super) fn failed(&self, lease: &Lease, reason: Reason, settlement: &Settlement) {
        let content = &lease.announcement;
        let tenant = &*self.tenants.name(content.tenant);
        let content_type = content.content_type.as_str();
        let outcome = match settlement {
            Settlement::Dead(_) => "dead",
            Settlement::Expired(_) => "expired",
            Settlement::Delivered { .. }
            | Settlement::Postpone { .. }
            | Settlement::Release
            | Settlement::Retry { .. } => {
                self.outcomes.attempt_failed(tenant, reason);
                info!(
                    tenant, content.r#type = content_type, content.id = %content.id,
                    attempt = lease.attempts + 1, reason = %reason, advice = reason.advice(),
                    "content will be tried again: {reason}"
                );
                return;
            }
        };
        self.settled.with_label_values(&[tenant, content_type, outcome]).inc();
        self.outcomes.given_up(tenant, reason, 1);
        warn!(
            tenant, content.r#type = content_type, content.id = %content.id,
            attempt = lease.attempts + 1, reason = %reason,
            "content given up: {reason}"
        );
    }
}

impl PerTenant for Metrics {
    fn admit(&self, tenant: &Tenant) {
        self.duplicates.with_label_values(&[&*tenant.name]);
        self.unremembered.with_label_values(&[&*tenant.name]);
        self.lag.with_label_values(&[&*tenant.name]);
        for content_type in tenant.content_types.iter().map(|kind| kind.as_str()) {
            self.last_success.with_label_values(&[&*tenant.name, content_type]);
            for outcome in ["delivered", "dead", "expired"] {
                self.settled.with_label_values(&[&*tenant.name, content_type, outcome]);
            }
        }
    }

    fn dismiss(&self, gone: &Tenant, stays: Option<&Tenant>) {
        for family in [&self.settled, &self.duplicates, &self.unremembered] {
            forget(family, gone, stays);
        }
        forget(&self.lag, gone, stays);
        forget(&self.last_success, gone, stays);
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// Microsoft makes content available within minutes to a day of the event; an outage of ours may
/// last as long as content lives.
const LAG_BUCKETS: [f64; 12] = [
    5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 10_800.0, 43_200.0, 86_400.0, 259_200.0,
    604_800.0,
];

/// A confirmation is due one second after the last byte when idle, and within the confirm interval
/// under load; what is beyond a minute waited for a retry.
const CONFIRM_BUCKETS: [f64; 11] = [0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0, 600.0, 3600.0];
