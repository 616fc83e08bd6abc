//! Entra fails for a while: nothing is fetched, nothing is lost, and each tenant is on its own.

use std::time::Duration;

use m365_collector::{
    ledger::Pending,
    simulator::{Fault, Operation},
};

use crate::support::{Service, eventually};

/// A tenant each, and the reason its content waits for.
fn rows() -> Vec<(Fault, &'static str)> {
    vec![
        (Fault::Entra(7_000_215), "credentials_refused"),
        (Fault::Entra(7_000_222), "credentials_refused"),
        (Fault::Entra(700_016), "credentials_refused"),
        (Fault::Entra(90_002), "credentials_refused"),
        (Fault::Entra(65_001), "credentials_refused"),
        (Fault::Html(503), "token_unavailable"),
        (Fault::Empty(429), "token_unavailable"),
        (Fault::Html(200), "token_unavailable"),
        (Fault::Reset, "token_unavailable"),
        // Told like a refusal, but nothing of ours is refused.
        (Fault::Entra(90_033), "token_unavailable"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn content_waits_for_entra_and_other_tenants_do_not() {
    let calm = rows().len();
    let mut service = Service::builder()
        .tenants(calm + 1)
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "2s")
        .start()
        .await;
    service.swept().await;
    let microsoft = service.simulator.microsoft().clone();
    for (tenant, (fault, _)) in rows().into_iter().enumerate() {
        microsoft.fail_tenant(service.tenant(tenant), Operation::Token, fault, u32::MAX);
    }
    microsoft.forget_tokens();
    let mut asked = Vec::new();
    for tenant in 0..=calm {
        asked.push(service.publish_faulty(tenant, tenant as u64 + 1, Fault::Empty(500), 0));
    }
    eventually("the healthy tenant is served", async || {
        service.settled_as(calm, "delivered").await == 1.0
    })
    .await;
    for (tenant, (id, (fault, reason))) in asked.iter().zip(rows()).enumerate() {
        let waiting = service.waits_as(id, reason, |pending| pending.attempts >= 2).await;
        assert_eq!(waiting.last_reason.map(|reason| reason.as_str()), Some(reason), "{fault:?}");
        assert!(service.failed_attempts(tenant, "fetch", reason).await >= 2, "{fault:?}");
        assert_eq!(service.fetches(id), 1, "only with the old token: {fault:?}");
    }
    microsoft.heal();
    service.delivered().await;
    assert_eq!(service.settled_as(0, "dead").await, 0.0);
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_is_asked_about_seldom() {
    let mut service = Service::builder().with("fetch.retry_min", "50ms").start().await;
    service.swept().await;
    let microsoft = service.simulator.microsoft().clone();
    microsoft.set_secret(service.tenant(0), "the-secret-of-next-year");
    microsoft.forget_tokens();
    let before = microsoft.count(None, &Operation::Token);
    let id = service.publish_faulty(0, 1, Fault::Empty(500), 0);
    // Once may be chance; when Entra says it for the second time, somebody must mend it. What it
    // said a moment ago, and is tried again meanwhile, counts for nothing.
    let now = service.clock.now();
    let is_seldom = |pending: &Pending| pending.due.duration_since(now).as_secs() >= 7 * 60;
    let waiting = service.waits_as(&id, "it waits for minutes", is_seldom).await;
    assert_eq!(waiting.last_reason.map(|reason| reason.as_str()), Some("credentials_refused"));
    assert!(waiting.attempts >= 2, "{waiting:?}");
    assert_eq!(microsoft.count(None, &Operation::Token), before + 2);

    // Mended without a restart: the file is read again.
    let path = service.folder.path().join("tenant-0.secret");
    std::fs::write(path, "the-secret-of-next-year").unwrap();
    // Entra's refusal is remembered for a moment of real time, so the first try may be too early.
    eventually("it is delivered", async || {
        let now = service.clock.now();
        let waits = service.pending().await.iter().any(|one| !one.leased && one.due > now);
        if waits {
            service.clock.advance(Duration::from_secs(15 * 60));
        }
        service.settled_as(0, "delivered").await == 1.0
    })
    .await;
    service.delivered().await;
    service.finish_published().await;
}
