//! The ledger on a `PostgreSQL` server: the whole way, and the server away while content is told of.

use std::time::Duration;

use m365_collector::{content::ContentType, simulator::Operation};
use tokio::time::{Instant, sleep};

use super::{RECORDS, Traffic, failed_deliveries};
use crate::support::{
    Builder, Service, books::Doomed, eventually, get, postgres::Postgres, records,
};

/// A service whose ledger is in a new database.
async fn on(server: &Postgres) -> Builder {
    Service::builder()
        .with("ledger.url", server.database().await)
        .with("ledger.lease", "30s")
        .with("devo.confirm_timeout", "10s")
        .with("devo.confirm_interval", "300ms")
        .with("fetch.retry_max", "1s")
        .world(|world| world.notification_retries = vec![Duration::from_millis(200); 1000])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_through_a_server() {
    let mut service = on(Postgres::shared()).await.tenants(2).start().await;
    for tenant in 0..2 {
        for (seed, content_type) in (0..).zip(ContentType::ALL) {
            let content = records(seed, service.tenant(tenant), content_type, RECORDS);
            service.publish(tenant, content_type, &content);
        }
    }
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    // What was told while nobody listened is found by the next one.
    service.stop().await;
    let content = records(99, service.tenant(0), ContentType::Exchange, RECORDS);
    service.publish(0, ContentType::Exchange, &content);
    service.run().await;
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_held_is_delivered_by_the_next() {
    let mut service = on(Postgres::shared()).await.start().await;
    let mut traffic = Traffic::new();
    let mut held = 0;
    for _ in 0..2 {
        traffic.flow(&mut service, Duration::from_secs(2)).await;
        held += u32::try_from(service.pending().await.len()).unwrap();
        service.kill().await;
        service.run().await;
    }
    service.delivered().await;
    let received = service.simulator.devo().received();
    assert_eq!(received.distinct, u64::from(traffic.contents) * RECORDS as u64);
    service.agrees(&Doomed::default()).await;
    // A content is held by each of the killed at most once.
    let most = if held == 0 { 1 } else { 3 };
    service.finish_with_repeats(most).await;
}

/// Content flows while the server ends; it stays away for some seconds, and nobody lends a hand.
#[expect(clippy::print_stderr, reason = "the numbers are stated")]
async fn through(end: fn(&mut Postgres)) {
    let mut server = Postgres::start();
    let mut service = on(&server).await.tenants(2).start().await;
    let mut traffic = Traffic::new();
    traffic.flow(&mut service, Duration::from_secs(1)).await;
    for _ in 0..2 {
        tokio::task::block_in_place(|| end(&mut server));
        let away = Instant::now();
        traffic.flow(&mut service, Duration::from_secs(2)).await;
        eventually("it is not ready", async || get(service.admin, "/readyz").await.0 == 503).await;
        eventually("a notification is refused", async || {
            let attempts = service.simulator.microsoft().attempts();
            attempts.iter().any(|attempt| attempt.status == Some(503))
        })
        .await;
        assert_eq!(get(service.admin, "/livez").await.0, 200);
        sleep(AWAY.saturating_sub(away.elapsed())).await;
        tokio::task::block_in_place(|| server.start_again());
        eventually("it is ready again", async || get(service.admin, "/readyz").await.0 == 200)
            .await;
        traffic.flow(&mut service, Duration::from_secs(1)).await;
        service.delivered().await;
    }
    let attempts = service.simulator.microsoft().attempts();
    let count = |status| attempts.iter().filter(|attempt| attempt.status == Some(status)).count();
    let other = attempts.len() - count(200) - count(503);
    let received = service.simulator.devo().received();
    let failed = failed_deliveries(&service).await;
    let fetches = service.simulator.microsoft().requests();
    let fetches = fetches.iter().filter(|request| request.operation == Operation::Content).count();
    eprintln!(
        "{} contents, {fetches} fetches, {} notifications stored, {} refused; {} records arrived, \
         {} came again",
        traffic.contents,
        count(200),
        count(503),
        received.distinct,
        received.repeated,
    );
    assert_eq!(other, 0, "stored, or refused");
    assert_eq!(received.distinct, u64::from(traffic.contents) * RECORDS as u64);
    service.agrees(&Doomed::default()).await;
    service.finish_with_repeats(2 + failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_ended_for_seconds_loses_nothing() {
    through(Postgres::stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing() {
    through(Postgres::kill).await;
}

const AWAY: Duration = Duration::from_secs(10);
