//! What only a person mends: asked for seldom, reported with its reason, delivered once mended.

use std::time::Duration;

use m365_collector::simulator::{Fault, Operation};

use crate::support::{
    Service,
    edge::{Protocol, notification},
    eventually,
};

const RETRY_MAX: Duration = Duration::from_secs(15 * 60);

/// A tenant each; what its first fetches meet, how often, and the reason it is counted under.
fn rows() -> [(Fault, u32, &'static str); 8] {
    [
        // Two attempts each. A refused token is replaced, once in ten seconds, and the call made
        // again before anything is said about it: two fetches, and then one.
        (Fault::Unauthorized, 3, "unauthorized"),
        (Fault::Af(10_001), 3, "role_missing"),
        (Fault::AfSentence(10_001), 3, "role_missing"),
        (Fault::AuditingOff, 2, "auditing_off"),
        (Fault::Af(20_022), 2, "not_subscribed"),
        (Fault::Af(20_023), 2, "not_subscribed"),
        (Fault::AfSingleQuoted(20_023), 2, "not_subscribed"),
        (
            without_code("Tenant 1d7cd7d4-5b6e-4a2e-8a4d-0c4a4b3a2b1c does not exist."),
            2,
            "auditing_off",
        ),
    ]
}

fn without_code(message: &str) -> Fault {
    let body = format!(r#"{{"error":{{"code":"","message":"{message}"}}}}"#);
    Fault::Status { status: 400, headers: Vec::new(), body: body.into_bytes() }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_for_seldom_and_delivered_once_mended() {
    let tenants = rows().len();
    let mut service = Service::builder()
        .tenants(tenants)
        .with("fetch.retry_min", "50ms")
        .with("subscriptions.check_interval", "1h")
        .start()
        .await;
    let mut asked = Vec::new();
    for (tenant, (fault, times, _)) in rows().into_iter().enumerate() {
        asked.push(service.publish_faulty(tenant, tenant as u64 + 1, fault, times));
    }
    for (tenant, (id, (fault, times, reason))) in asked.iter().zip(rows()).enumerate() {
        let waiting = service.waits_as(id, reason, |pending| pending.attempts == 2).await;
        let wait = waiting.due.duration_since(service.clock.now());
        // The first may be chance. From the second on: between half and the whole of the longest
        // delay, however short the shortest is.
        assert!(wait.as_secs() >= 7 * 60 && wait.as_secs() <= 15 * 60, "{fault:?} {wait:?}");
        assert_eq!(waiting.last_reason.map(|reason| reason.as_str()), Some(reason), "{fault:?}");
        let counted = service.failed_attempts(tenant, "fetch", reason).await;
        assert_eq!(counted, 2, "{fault:?}");
        assert_eq!(service.fetches(id), u64::from(times), "{fault:?}");
    }
    service.clock.advance(RETRY_MAX);
    service.delivered().await;
    for (id, (fault, times, _)) in asked.iter().zip(rows()) {
        assert_eq!(service.fetches(id), u64::from(times) + 1, "{fault:?}");
    }
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_a_disabled_subscription_waits_and_comes_when_it_is_started_again() {
    let mut service = Service::builder()
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "2s")
        .with("subscriptions.check_interval", "1s")
        .with("subscriptions.restart_after", "1s")
        .world(|world| world.start_interval = Duration::from_secs(900))
        .start()
        .await;
    let tenant = service.tenant(0);
    let microsoft = service.simulator.microsoft().clone();
    microsoft.change_subscription(tenant, super::TYPE, |subscription| subscription.enabled = false);
    let id = service.publish_faulty(0, 1, Fault::Empty(500), 0);
    // Nobody is notified by a disabled subscription: this one is from just before.
    let request = service.post(notification(&[service.entry(tenant, &id)]));
    assert_eq!(request.ask(service.webhook, Protocol::Http1).await.status, 200);
    service
        .waits_as(&id, "it is refused", |pending| {
            pending.last_reason.is_some_and(|reason| reason.as_str() == "not_subscribed")
        })
        .await;
    service.clock.advance(Duration::from_secs(16 * 60));
    service.delivered().await;
    assert!(microsoft.subscription(tenant, super::TYPE).unwrap().enabled, "started again");
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_replaced_once_and_the_content_delivered() {
    let mut service = Service::builder().tenants(2).start().await;
    service.swept().await;
    let tenant = service.tenant(0);
    let microsoft = service.simulator.microsoft().clone();
    let tokens = |tenant| microsoft.count(Some(tenant), &Operation::Token);
    let (before, others) = (tokens(tenant), tokens(service.tenant(1)));
    // Many at once with the same worthless token.
    microsoft.forget_tokens();
    for seed in 1..=20 {
        service.publish_faulty(0, seed, Fault::Empty(500), 0);
    }
    service.delivered().await;
    assert_eq!(tokens(tenant), before + 1, "one for all of them");
    assert_eq!(tokens(service.tenant(1)), others, "nobody else's");
    assert_eq!(service.failed_attempts(0, "fetch", "unauthorized").await, 0, "no attempt failed");
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_every_token_does_not_make_us_ask_for_tokens_without_end() {
    let mut service = Service::builder()
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "200ms")
        .start()
        .await;
    let tenant = service.tenant(0);
    let microsoft = service.simulator.microsoft().clone();
    let before = microsoft.count(Some(tenant), &Operation::Token);
    microsoft.fail(Operation::Blob, Fault::Unauthorized, u32::MAX);
    let id = service.publish_faulty(0, 1, Fault::Empty(500), 0);
    service.waits_as(&id, "it is tried", |pending| pending.attempts >= 8).await;
    let asked = microsoft.count(Some(tenant), &Operation::Token) - before;
    assert!((1..=2).contains(&asked), "{asked} tokens for 8 attempts");
    eventually("each attempt is counted", async || {
        service.failed_attempts(0, "fetch", "unauthorized").await >= 8
    })
    .await;
    microsoft.heal();
    service.delivered().await;
    service.finish_published().await;
}
