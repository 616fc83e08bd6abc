//! Notifications that never come, come in other words, or come while a sweep is under way.

use std::collections::HashSet;

use m365_collector::simulator::microsoft::{IdForm, WebhookState};

use super::*;
use crate::support::books::Doomed;

#[tokio::test(flavor = "multi_thread")]
async fn a_third_lost_and_every_id_form_is_each_record_once_and_each_blob_fetched_once() {
    // Listed the moment it is announced: both ways race for every content.
    let service = racing().with("sweep.settle", "0s").start().await;
    race(service, 300, MINUTE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_to_the_webhook_is_swept_when_it_has_settled() {
    let service = racing().start().await;
    race(service, 100, Duration::ZERO).await;
}

/// A site whose leases outlive the jump of its clock: a notification may come late and be claimed
/// just before. And Microsoft does not give up on a machine that is slow to answer.
fn racing() -> Builder {
    let retries = vec![Duration::from_millis(200); 300];
    let patient = sweeping().world(|world| world.notification_retries = retries);
    patient.with("ledger.lease", "1h")
}

/// Publishes contents, some without a notification. Content of this moment is the webhook's until
/// it has settled.
async fn race(mut service: Service, contents: u64, created_ago: Duration) {
    let (mut told, mut untold) = (0, Doomed::default());
    for (serial, form) in (0..contents).zip(IdForm::ALL.into_iter().cycle()) {
        // The same lots each time: a stride that meets every residue.
        let copies = match serial * 7 % 10 {
            0..3 => 0,
            3 => 2,
            _ => 1,
        };
        told += u64::from(copies > 0);
        let announcing = Announcing { copies, form, first: serial % 5 == 0 };
        let id = publish(&mut service, serial, created_ago, announcing);
        if copies == 0 {
            untold.untold(&id);
        }
        if serial % 50 == 0 {
            swept_again(&service).await;
        }
    }
    eventually("every notification is accepted", async || accepted(&service) == told).await;
    service.settled().await;
    if created_ago.is_zero() {
        assert_eq!(announced(&service, "webhook").await, told as f64);
        assert_eq!(announced(&service, "sweep").await, 0.0, "nothing has settled");
        service.agrees(&untold).await;
    }
    service.clock.advance(6 * MINUTE);
    service.delivered().await;
    // Everything was listed as well by now, and stays one content.
    swept_again(&service).await;
    service.settled().await;
    let downloads = downloads(&service);
    assert_eq!(downloads, contents, "every blob is fetched once");
    let (by_webhook, by_sweep) =
        (announced(&service, "webhook").await, announced(&service, "sweep").await);
    assert_eq!(by_webhook + by_sweep, contents as f64);
    assert!(by_sweep >= (contents - told) as f64, "{by_sweep}");
    assert_eq!(accepted(&service), told, "nobody was told of the others");
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

/// Contents of whose notification Microsoft was told 200, in whatever form it had their id.
fn accepted(service: &Service) -> u64 {
    let attempts = service.simulator.microsoft().attempts();
    let accepted = attempts.iter().filter(|attempt| attempt.status == Some(200));
    let entries = accepted.flat_map(|attempt| attempt.entries.iter());
    let ids = entries.map(|entry| ContentId::parse(&entry.content_id).unwrap().canonical());
    ids.collect::<HashSet<_>>().len() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_a_webhook_collects_everything() {
    let mut service = sweeping().without_webhook().tenants(2).start().await;
    assert!(service.config.webhook.is_none());
    for tenant in 0..2 {
        for (seed, content_type) in (1..).zip(ContentType::ALL) {
            let records = records(seed, service.tenant(tenant), content_type, 20);
            service.publish(tenant, content_type, &records);
        }
    }
    // Settling is for the webhook; only the unstable end of the listing is waited for.
    service.clock.advance(Duration::from_secs(6));
    service.delivered().await;
    let subscriptions = service.simulator.microsoft().subscriptions();
    assert!(subscriptions.iter().all(|(_, state)| state.enabled && state.webhook.is_none()));
    let (status, ready) = service.admin("/readyz").await;
    assert!(status == 200 && ready.contains("not configured"), "{ready}");
    assert_eq!(downloads(&service), 10);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_microsoft_disabled_is_not_missed() {
    let mut service = sweeping().start().await;
    let microsoft = service.simulator.microsoft();
    microsoft.change_subscription(service.tenant(0), KIND, |subscription| {
        subscription.set_webhook_state(WebhookState::Disabled);
    });
    for seed in 0..5 {
        publish(&mut service, seed, Duration::ZERO, Announcing::default());
    }
    service.clock.advance(6 * MINUTE);
    service.delivered().await;
    assert_eq!(announced(&service, "sweep").await, 5.0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_youngest_content_is_left_to_the_webhook() {
    let mut service = sweeping().start().await;
    unannounced(&mut service, 1, 4 * MINUTE);
    swept_again(&service).await;
    assert_eq!(announced(&service, "sweep").await, 0.0, "it is not settled");
    service.clock.advance(2 * MINUTE);
    service.delivered().await;
    assert_eq!(announced(&service, "sweep").await, 1.0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_appears_late_is_found_by_the_depth_that_reaches_it() {
    let mut service = sweeping().start().await;
    swept_again(&service).await;
    unannounced(&mut service, 1, HOUR);
    service.delivered().await;

    unannounced(&mut service, 2, 20 * HOUR);
    swept_again(&service).await;
    assert_eq!(announced(&service, "sweep").await, 1.0, "the day is not due");
    service.clock.advance(HOUR);
    service.delivered().await;

    unannounced(&mut service, 3, 5 * DAY);
    swept_again(&service).await;
    assert_eq!(announced(&service, "sweep").await, 2.0, "the week is not due");
    service.clock.advance(DAY);
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}
