//! Too many requests, in every spelling: the tenant waits, its content is not to blame, and nobody
//! else notices.

use std::time::Duration;

use m365_collector::simulator::{Fault, Operation, microsoft::Request};

use crate::support::{Service, eventually};

/// A tenant each, and how long it must wait at least.
fn rows() -> Vec<(Fault, Duration)> {
    let status = |status, headers: &[(&str, &str)], body: &str| Fault::Status {
        status,
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        body: body.as_bytes().to_vec(),
    };
    let told = Duration::from_secs(8);
    // Without a hint the first pause lies between half a second and a second.
    let untold = Duration::from_millis(500);
    vec![
        (Fault::Throttled429 { retry_after: Some(told) }, told),
        (Fault::Throttled429 { retry_after: None }, untold),
        (Fault::Throttled403, untold),
        (Fault::Code429Text("8s".into()), told),
        (status(403, &[("retry-after", "8")], "{'error':{'code':'AF429'}}"), told),
        (status(403, &[], "{\"error\":{\"code\": \"429\"}}"), untold),
        (Fault::Empty(429), untold),
        (Fault::Html(429), untold),
    ]
}

/// The requests of a tenant that are counted against it, from the first that was throttled.
fn from_the_throttled_one(service: &Service, tenant: usize) -> Vec<Request> {
    let tenant = Some(service.tenant(tenant));
    let requests = service.simulator.microsoft().requests().into_iter();
    requests
        .filter(|one| one.tenant == tenant && one.operation != Operation::Token)
        .skip_while(|one| !matches!(one.status, Some(403 | 429)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_throttled_tenant_waits_and_no_attempt_is_counted() {
    let calm = rows().len();
    let mut service = Service::builder()
        .tenants(calm + 1)
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "100ms")
        .start()
        .await;
    service.swept().await;
    let mut first = Vec::new();
    for (tenant, (fault, _)) in rows().into_iter().enumerate() {
        first.push(service.publish_faulty(tenant, 10 * tenant as u64, fault, 1));
    }
    let told = (0..calm).filter(|tenant| rows()[*tenant].1 > Duration::from_secs(1));
    let told: Vec<_> = told.collect();
    let throttled = |service: &Service, tenant| !from_the_throttled_one(service, tenant).is_empty();
    eventually("they are told to wait", async || {
        told.iter().all(|tenant| throttled(&service, *tenant))
    })
    .await;
    // What is announced meanwhile waits too, unless it is another's.
    for tenant in &told {
        service.publish_faulty(*tenant, 10 * *tenant as u64 + 1, Fault::Empty(500), 0);
    }
    let other = service.publish_faulty(calm, 1000, Fault::Empty(500), 0);
    eventually("all are throttled", async || (0..calm).all(|tenant| throttled(&service, tenant)))
        .await;
    let pending = service.pending().await;
    assert!(pending.iter().all(|one| one.attempts == 0), "{pending:#?}");
    service.delivered().await;

    let requests = service.simulator.microsoft().requests();
    let of_other = Operation::BlobOf(other);
    let served: Vec<_> = requests.iter().filter(|one| one.operation == of_other).collect();
    let [served] = served[..] else { panic!("{served:#?}") };
    for (tenant, (id, (fault, wait))) in first.iter().zip(rows()).enumerate() {
        assert_eq!(service.fetches(id), 2, "{fault:?}");
        assert_eq!(service.throttled(tenant).await, 1.0, "{fault:?}");
        let asked = from_the_throttled_one(&service, tenant);
        let [refused, next, ..] = &asked[..] else { panic!("{asked:#?}") };
        let paused = next.at - refused.at;
        assert!(paused >= wait, "{fault:?}: asked again after {paused:?}");
        if told.contains(&tenant) {
            assert!(served.at < next.at, "{fault:?}: the other tenant waited as well");
        }
    }
    assert_eq!(service.throttled(calm).await, 0.0);
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_throttling_holds_no_place_that_another_tenant_needs() {
    let mut service = Service::builder()
        .tenants(2)
        .with("fetch.concurrency", 2)
        .world(|world| world.notification_batch = 5)
        .start()
        .await;
    service.swept().await;
    let microsoft = service.simulator.microsoft().clone();
    let wait = Fault::Throttled429 { retry_after: Some(Duration::from_secs(8)) };
    microsoft.fail_tenant(service.tenant(0), Operation::Blob, wait, 2);
    for seed in 1..=10 {
        service.publish_faulty(0, seed, Fault::Empty(500), 0);
    }
    eventually("it is throttled", async || !from_the_throttled_one(&service, 0).is_empty()).await;
    for seed in 11..=20 {
        service.publish_faulty(1, seed, Fault::Empty(500), 0);
    }
    service.delivered().await;
    let mut blobs = microsoft.requests();
    blobs.retain(|one| matches!(one.operation, Operation::BlobOf(_)) && one.status == Some(200));
    let (own, others): (Vec<_>, Vec<_>) =
        blobs.iter().partition(|one| one.tenant == Some(service.tenant(0)));
    assert_eq!((own.len(), others.len()), (10, 10));
    let (first, last) = (own[0].at, others[9].at);
    assert!(last < first, "the other is served before the throttled one asks again");
    let asked = microsoft.count(Some(service.tenant(0)), &Operation::Blob);
    assert!(asked < 20, "{asked} requests for ten contents");
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_a_tenant_is_never_exceeded_and_is_nobody_elses() {
    let budget = 120;
    let mut service = Service::builder()
        .tenants(2)
        .with("fetch.requests_per_minute", budget)
        .world(|world| world.requests_per_minute = Some(budget))
        .start()
        .await;
    service.swept().await;
    let microsoft = service.simulator.microsoft().clone();
    let asked = |tenant: usize| {
        microsoft.most_requests_within(service.tenant(tenant), Duration::from_secs(60))
    };
    // The starts, the lists before and after them, and the sweep of the week.
    let spent = asked(0);
    assert!(spent < budget / 2, "{spent}");
    let contents = budget - spent + 25;
    let records = |seed| crate::support::records(seed, service.tenant(0), super::TYPE, 3);
    for seed in 1..=contents {
        microsoft.publish(service.tenant(0), super::TYPE, &records(seed as u64));
    }
    eventually("the budget is spent", async || asked(0) == budget).await;
    for seed in 1001..=1005 {
        service.publish_faulty(1, seed, Fault::Empty(500), 0);
    }
    eventually("the other is served", async || service.settled_as(1, "delivered").await == 5.0)
        .await;
    let most = microsoft.most_requests_within(service.tenant(0), Duration::from_secs(60));
    assert_eq!(most, budget, "it waits for the minute to pass");
    let delivered = (budget - spent) as f64;
    eventually("what was asked for arrives", async || {
        service.settled_as(0, "delivered").await >= delivered
    })
    .await;
    let pending = service.pending().await;
    let first = microsoft.requests().into_iter().find(|one| one.tenant == Some(service.tenant(0)));
    let is_over = first.expect("it asked").at.elapsed() >= Duration::from_secs(60);
    assert!(pending.len() == 25 || is_over, "the rest waits: {}", pending.len());
    assert!(pending.iter().all(|one| one.attempts == 0 && one.last_reason.is_none()));
    assert_eq!(service.throttled(0).await + service.throttled(1).await, 0.0);
    assert_eq!(microsoft.without_publisher(), 0);
    // The rest would take minutes; it is in the ledger, and the drain does not wait for it.
    service.stop().await;
}
