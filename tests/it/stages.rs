//! Each stage of the way driven to success and to failure, seen through `/metrics` alone.

use std::time::Duration;

use m365_collector::{
    content::{ContentId, ContentType},
    simulator::{
        Blob, DevoMode, Fault, Operation,
        microsoft::{IdForm, Publication},
    },
};

use crate::support::{Service, eventually, get, patience, records, series::Scrape};

/// The failed and given-up messages of one stage, by reason.
const FAILED: &str = "m365_attempts_failed_total";
const GIVEN_UP: &str = "m365_messages_unsuccessfully_processed_total";
const SETTLED: &str = "m365_content_settled_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_moves_every_series_of_success_and_none_of_failure() {
    let service = Service::builder().start().await;
    let watch = Watch::start(&service).await;
    publish(&service, ContentType::Exchange, 5);
    let feed = [("tenant", "tenant-0"), ("content_type", "Audit.Exchange")];
    watch.moves(SETTLED, &[feed[0], feed[1], ("outcome", "delivered")], 1.0).await;
    let after = scrape(&service).await;
    for (name, labels, by) in [
        ("m365_webhook_requests_total", &[("outcome", "accepted")][..], 1.0),
        ("m365_content_announced_total", &[feed[0], feed[1], ("via", "webhook")], 1.0),
        ("m365_messages_successfully_processed_total", &feed, 5.0),
        ("m365_records_delivered_total", &[], 5.0),
        ("m365_records_duplicate_total", &[], 0.0),
        ("m365_delivery_lag_seconds_count", &feed[..1], 1.0),
        ("m365_webhook_to_confirm_seconds_count", &[], 1.0),
        (FAILED, &[], 0.0),
        (GIVEN_UP, &[], 0.0),
        ("m365_throttled_total", &[], 0.0),
    ] {
        let moved = after.sum(name, labels) - watch.before.sum(name, labels);
        assert_eq!(moved, by, "{name}{labels:?}");
    }
    let exchange = after.sum("m365_records_delivered_total", &[("table", "exchange")]);
    assert!(exchange > 0.0, "the table is the last level of the tag");
    for (name, least, most) in [
        ("m365_last_success_timestamp_seconds", 1.7e9, 1e11),
        ("m365_subscription_enabled", 1.0, 1.0),
        ("m365_webhook_enabled", 1.0, 1.0),
    ] {
        let value = after.sum(name, &feed);
        assert!(value >= least && value <= most, "{name} is {value}");
    }
    assert!(after.sum("m365_subscriptions_checked_timestamp_seconds", &feed[..1]) > 1.7e9);
    let free = after.sum("m365_ledger_disk_free_bytes", &[]);
    assert!(free > 0.0 && free < after.sum("m365_ledger_disk_size_bytes", &[]), "{free}");
    assert_eq!(after.sum("m365_ledger_writable", &[]), 1.0);
    assert_eq!(after.sum("m365_devo_connected", &[]), 1.0);
    assert_eq!(after.sum("m365_content_pending", &[]), 0.0);
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_entry_counts_at_the_stage_notification() {
    let service = Service::builder().start().await;
    let watch = Watch::start(&service).await;
    let microsoft = service.simulator.microsoft();
    let tenant = service.tenant(0);
    let id = publish(&service, ContentType::General, 1);
    watch.settles("delivered", 1.0).await;
    let good = microsoft.entry(tenant, &id, IdForm::Listed).unwrap();
    let mut foreign = good.clone();
    foreign.content_uri = foreign.content_uri.replace("127.0.0.1", "127.0.0.2");
    microsoft.notify(tenant, ContentType::General, &foreign);
    watch.fails(GIVEN_UP, "notification", "foreign_uri", 1.0).await;
    let mut stranger = good;
    stranger.tenant_id = "11111111-2222-3333-4444-555555555555".to_owned();
    microsoft.notify(tenant, ContentType::General, &stranger);
    let labels = [("tenant", ""), ("stage", "notification"), ("reason", "unknown_tenant")];
    watch.moves(GIVEN_UP, &labels, 1.0).await;
    watch.moves("m365_webhook_requests_total", &[("outcome", "accepted")], 3.0).await;

    // What is refused as a whole counts as a request only.
    let (status, _) = get(service.webhook, "/webhook").await;
    assert_eq!(status, 405);
    watch.moves("m365_webhook_requests_total", &[("outcome", "method_not_allowed")], 1.0).await;
    watch.moves("m365_content_announced_total", &[], 1.0).await;
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fetch_counts_as_tried_again_dead_expired_or_throttled() {
    let service = Service::builder().start().await;
    let watch = Watch::start(&service).await;
    let microsoft = service.simulator.microsoft();
    let fail = |fault| microsoft.fail(Operation::Blob, fault, 1);

    fail(Fault::Af(50_000));
    publish(&service, ContentType::General, 1);
    watch.fails(FAILED, "fetch", "server_error", 1.0).await;
    watch.settles("delivered", 1.0).await;

    fail(Fault::Af(20_050));
    publish(&service, ContentType::General, 1);
    watch.fails(GIVEN_UP, "fetch", "content_gone", 1.0).await;
    watch.settles("dead", 1.0).await;

    fail(Fault::Af(20_051));
    publish(&service, ContentType::General, 1);
    watch.fails(GIVEN_UP, "fetch", "content_expired", 1.0).await;
    watch.settles("expired", 1.0).await;

    fail(Fault::Throttled429 { retry_after: Some(Duration::from_secs(1)) });
    // Of another type: the same record of the same one would be recognised and not be sent.
    publish(&service, ContentType::Exchange, 1);
    watch.moves("m365_throttled_total", &[("tenant", "tenant-0")], 1.0).await;
    watch.fails(FAILED, "fetch", "throttled", 1.0).await;
    watch.settles("delivered", 2.0).await;
    watch.moves("m365_messages_successfully_processed_total", &[], 2.0).await;
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_split_counts_at_each_attempt_and_a_record_once() {
    let service = Service::builder()
        .with("fetch.max_record", "30 KiB")
        .with("fetch.retry_max", "1s")
        .start()
        .await;
    let watch = Watch::start(&service).await;
    let microsoft = service.simulator.microsoft();
    let tenant = service.tenant(0);
    microsoft.publish_raw(tenant, ContentType::General, Blob::Bytes("<html>".into()));
    watch.fails(GIVEN_UP, "split", "undecodable", 1.0).await;
    watch.fails(FAILED, "split", "undecodable", 4.0).await;
    watch.settles("dead", 1.0).await;

    let large = format!(r#"{{"Id":"1","Text":"{}"}}"#, "x".repeat(31 * 1024));
    let small = r#"{"Id":"2"}"#;
    microsoft.publish(tenant, ContentType::General, &[small, &large, small]);
    watch.fails(GIVEN_UP, "split", "record_too_large", 1.0).await;
    watch.settles("delivered", 1.0).await;
    watch.moves("m365_messages_successfully_processed_total", &[], 2.0).await;
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_breaks_counts_at_the_stage_deliver_and_what_waits_is_shown() {
    let service = Service::builder().start().await;
    let watch = Watch::start(&service).await;
    service.simulator.devo().behave(DevoMode::ResetAfter(1));
    publish(&service, ContentType::Exchange, 50);
    publish(&service, ContentType::General, 1);
    let lost = [("tenant", "tenant-0"), ("stage", "deliver"), ("reason", "connection_lost")];
    watch.reaches(FAILED, &lost, 2.0, 100.0).await;
    watch.reaches("m365_content_pending", &[], 2.0, 2.0).await;
    watch.reaches("m365_oldest_pending_seconds", &[], 0.001, patience().as_secs_f64()).await;
    let week = 7.0 * 24.0 * 3600.0;
    watch.reaches("m365_pending_expiry_seconds", &[], week - 600.0, week).await;

    service.simulator.devo().behave(DevoMode::Refuse);
    watch.reaches("m365_devo_connected", &[], 0.0, 0.0).await;
    service.simulator.devo().behave(DevoMode::Normal);
    watch.settles("delivered", 2.0).await;
    watch.reaches("m365_devo_connected", &[], 1.0, 1.0).await;
    watch.reaches("m365_content_pending", &[], 0.0, 0.0).await;
    watch.reaches("m365_pending_expiry_seconds", &[], 0.0, 0.0).await;
    let lost = scrape(&service).await.sum(GIVEN_UP, &[]);
    assert_eq!(lost, 0.0);
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_is_announced_once() {
    let service = Service::builder().start().await;
    let watch = Watch::start(&service).await;
    let microsoft = service.simulator.microsoft();
    let tenant = service.tenant(0);
    let id = microsoft.publish_as(
        tenant,
        ContentType::Dlp,
        Publication::of(Blob::array(&records(1, tenant, ContentType::Dlp, 2))),
    );
    for form in IdForm::ALL {
        let entry = microsoft.entry(tenant, &id, form).unwrap();
        microsoft.notify(tenant, ContentType::Dlp, &entry);
    }
    watch.settles("delivered", 1.0).await;
    eventually("all forms were posted", async || {
        let attempts = microsoft.attempts();
        attempts.iter().map(|attempt| attempt.entries.len()).sum::<usize>() == 5
    })
    .await;
    watch.moves("m365_content_announced_total", &[], 1.0).await;
    watch.moves(GIVEN_UP, &[], 0.0).await;
    drop(service);
}

/// What `/metrics` said at the beginning, and what it says now.
struct Watch<'a> {
    service: &'a Service,
    before: Scrape,
}

impl<'a> Watch<'a> {
    async fn start(service: &'a Service) -> Self {
        Self { service, before: scrape(service).await }
    }

    /// Waits until a counter has moved by exactly this.
    async fn moves(&self, name: &str, labels: &[(&str, &str)], by: f64) {
        let mut moved = f64::NAN;
        eventually(&format!("{name}{labels:?} moves by {by}"), async || {
            moved = scrape(self.service).await.sum(name, labels) - self.before.sum(name, labels);
            assert!(moved <= by, "{name}{labels:?} moved by {moved}, not {by}");
            moved == by
        })
        .await;
    }

    async fn fails(&self, name: &str, stage: &str, reason: &str, times: f64) {
        let labels = [("tenant", "tenant-0"), ("stage", stage), ("reason", reason)];
        self.moves(name, &labels, times).await;
    }

    async fn settles(&self, outcome: &str, contents: f64) {
        self.moves(SETTLED, &[("tenant", "tenant-0"), ("outcome", outcome)], contents).await;
    }

    /// Waits until the sum of these series is in this range.
    async fn reaches(&self, name: &str, labels: &[(&str, &str)], least: f64, most: f64) {
        eventually(&format!("{name} is within {least} and {most}"), async || {
            let value = scrape(self.service).await.sum(name, labels);
            value >= least && value <= most
        })
        .await;
    }
}

async fn scrape(service: &Service) -> Scrape {
    Scrape::parse(&service.admin("/metrics").await.1)
}

fn publish(service: &Service, content_type: ContentType, count: usize) -> ContentId {
    let tenant = service.tenant(0);
    let records = records(7, tenant, content_type, count);
    service.simulator.microsoft().publish(tenant, content_type, &records)
}
