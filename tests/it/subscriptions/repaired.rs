//! Everything that can be wrong with a subscription, and that it is put right in time.

use std::time::Duration;

use m365_collector::{
    content::ContentType::{self, AzureActiveDirectory, Dlp, Exchange, General, SharePoint},
    simulator::{
        Operation,
        microsoft::{ListSpelling, Subscription, Webhook, WebhookState},
    },
};

use super::MINUTE;
use crate::support::{Service, eventually, records};

async fn checked_every_second() -> Service {
    Service::builder().tenants(2).with("subscriptions.check_interval", "1s").start().await
}

type Break = fn(&mut Subscription);

/// Tenant, feed, what happens to it, and what the gauges say then.
const BROKEN: [(usize, ContentType, Break, (f64, f64)); 7] = [
    (0, AzureActiveDirectory, |s| s.enabled = false, (0.0, 1.0)),
    (0, Dlp, |s| s.webhook = None, (1.0, 0.0)),
    (0, Exchange, |s| webhook(s).address = "https://other.example/".into(), (1.0, 1.0)),
    (0, General, |s| webhook(s).auth_id = Some("another-auth-id-of-old".into()), (1.0, 1.0)),
    (0, SharePoint, |s| s.set_webhook_state(WebhookState::Disabled), (1.0, 0.0)),
    (1, Exchange, |s| webhook(s).expiration = Some("2026-01-01T00:00:00Z".into()), (1.0, 0.0)),
    (1, General, |s| s.set_webhook_state(WebhookState::Expired), (1.0, 0.0)),
];

fn webhook(subscription: &mut Subscription) -> &mut Webhook {
    subscription.webhook.as_mut().expect("it was registered")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_mended_at_the_next_check_the_rule_allows_and_never_before() {
    let mut service = checked_every_second().await;
    assert_eq!((service.starts(0), service.starts(1)), (5, 5), "missing ones were started");
    for (tenant, feed, happens, _) in BROKEN {
        service.change(tenant, feed, happens);
    }
    tokio::join!(service.checked(0), service.checked(1));
    for (tenant, feed, _, gauges) in BROKEN {
        assert_eq!(service.gauges(tenant, feed).await, gauges, "{tenant} {feed}");
    }
    assert_eq!(service.gauges(1, Dlp).await, (1.0, 1.0), "this one is well");
    assert_eq!((service.starts(0), service.starts(1)), (5, 5), "one start in 15 minutes");

    service.clock.advance(14 * MINUTE);
    tokio::join!(service.checked(0), service.checked(1));
    assert_eq!((service.starts(0), service.starts(1)), (5, 5), "one start in 15 minutes");

    service.clock.advance(MINUTE);
    eventually("everything is as wanted", async || {
        BROKEN.iter().all(|(tenant, feed, ..)| service.is_as_wanted(*tenant, *feed))
    })
    .await;
    tokio::join!(service.checked(0), service.checked(1));
    for (tenant, feed, ..) in BROKEN {
        assert_eq!(service.gauges(tenant, feed).await, (1.0, 1.0), "{tenant} {feed}");
    }
    assert_eq!((service.starts(0), service.starts(1)), (10, 7), "once each, the others never");
    assert_eq!(service.start_answers(), [Some(200); 17], "Microsoft never had to refuse");
    let microsoft = service.simulator.microsoft();
    assert_eq!(microsoft.count(None, &Operation::Stop), 0, "nothing is ever stopped");

    for (seed, (tenant, feed, ..)) in (1..).zip(BROKEN) {
        let records = records(seed, service.tenant(tenant), feed, 3);
        service.publish(tenant, feed, &records);
    }
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_spellings_in_the_list_are_no_reason_to_start() {
    let service = checked_every_second().await;
    service.simulator.microsoft().spell_list(ListSpelling {
        without_status: true,
        empty_expiration: true,
        capitals: true,
    });
    service.clock.advance(16 * MINUTE);
    tokio::join!(service.checked(0), service.checked(1));
    assert_eq!((service.starts(0), service.starts(1)), (5, 5));
    for feed in ContentType::ALL {
        assert_eq!(service.gauges(1, feed).await, (1.0, 1.0), "{feed}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_is_registered_and_renewed_before_its_end() {
    let service = Service::builder()
        .with("subscriptions.check_interval", "1s")
        .with("subscriptions.webhook_expiry", "2h")
        .start()
        .await;
    let expiration = |service: &Service, feed| {
        let expiration = service.subscription(0, feed).webhook?.expiration?;
        expiration.parse::<jiff::Timestamp>().ok()
    };
    let first = expiration(&service, Exchange).expect("it has an end");
    let life = Duration::try_from(first.duration_since(service.clock.now())).unwrap();
    assert!(life > 119 * MINUTE && life < 121 * MINUTE, "{life:?}");
    service.clock.advance(55 * MINUTE);
    service.checked(0).await;
    assert_eq!(service.starts(0), 5, "in the first half of its life nothing is due");
    service.clock.advance(10 * MINUTE);
    eventually("all are renewed", async || {
        ContentType::ALL.into_iter().all(|feed| expiration(&service, feed) > Some(first))
    })
    .await;
    service.checked(0).await;
    // The tokens of an hour ago are refused by now, which is no start.
    let granted = service.start_answers().into_iter().filter(|answer| *answer == Some(200));
    assert_eq!(granted.count(), 10);
    assert_eq!(service.gauges(0, Exchange).await, (1.0, 1.0));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_auth_id_is_registered_without_a_restart() {
    let mut service = Service::builder().with("subscriptions.check_interval", "1s").start().await;
    let path = service.folder.path().join("auth-id");
    std::fs::write(path, "the-next-auth-id-of-this-machine").unwrap();
    service.clock.advance(16 * MINUTE);
    eventually("Microsoft knows the new one", async || service.is_as_wanted(0, General)).await;
    let records = records(1, service.tenant(0), General, 3);
    service.publish(0, General, &records);
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_manage_starts_nothing_and_still_sees_and_collects() {
    let mut service = Service::builder()
        .with("subscriptions.check_interval", "1s")
        .with("subscriptions.manage", false)
        .start_unregistered()
        .await;
    service.checked(0).await;
    assert_eq!(service.gauges(0, Exchange).await, (0.0, 0.0));
    // Somebody else keeps them here.
    let auth_id = service.auth_id();
    service.change(0, Exchange, |subscription| {
        subscription.webhook = Some(Webhook {
            address: "https://m365-collector.example.com/webhook".into(),
            auth_id: Some(auth_id),
            expiration: None,
            state: WebhookState::Enabled,
        });
    });
    service.checked(0).await;
    assert_eq!(service.gauges(0, Exchange).await, (1.0, 1.0));
    let records = records(1, service.tenant(0), Exchange, 3);
    service.publish(0, Exchange, &records);
    service.delivered().await;
    service.change(0, Exchange, |subscription| subscription.enabled = false);
    service.clock.advance(20 * MINUTE);
    service.checked(0).await;
    assert_eq!(service.gauges(0, Exchange).await, (0.0, 1.0));
    assert_eq!(service.starts(0), 0);
    service.finish().await;
}
