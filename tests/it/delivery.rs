//! Receivers that misbehave, and every way in which sessions are confirmed: nothing is lost, and
//! what arrives again is only what a broken session held unconfirmed (I5).

use std::time::Duration;

use m365_collector::{
    content::ContentType,
    simulator::{DevoMode, Operation},
};
use tokio::time::{Instant, sleep};

use crate::support::{Builder, Service, books::Ends, eventually, patience, ports, records};

const TYPE: ContentType = ContentType::Exchange;

/// A service that begins to work with its receiver in this mode.
async fn facing(mode: DevoMode, builder: Builder) -> Service {
    let mut service = builder.start().await;
    service.stop().await;
    service.simulator.devo().behave(mode);
    service.run().await;
    service
}

/// Records of some size, for where only the amount matters.
fn bulk(label: &str, count: usize, size: usize) -> Vec<Vec<u8>> {
    let record = |n| format!(r#"{{"Id":"{label}-{n}","Padding":"{}"}}"#, "x".repeat(size));
    (0..count).map(|n| record(n).into_bytes()).collect()
}

fn fetches(service: &Service) -> u64 {
    service.simulator.microsoft().count(None, &Operation::Blob)
}

/// Waits until attempts failed for this reason so often.
async fn failed_at_least(service: &Service, times: u32, reason: &str) {
    eventually(reason, async || service.failed_attempts(0, "deliver", reason).await >= times).await;
}

/// Waits until `/readyz` says this, still with 200.
async fn readiness(service: &Service, status: &str, detail: &str) {
    let wanted = format!(r#""status": "{status}""#);
    eventually(&format!("readiness is {status}: {detail}"), async || {
        let (code, page) = service.admin("/readyz").await;
        assert_eq!(code, 200, "{page}");
        page.contains(&wanted) && page.contains(detail)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_claimed_or_fetched_while_devo_is_away() {
    let mut service = Service::builder().start().await;
    service.stop().await;
    service.simulator.devo().behave(DevoMode::Refuse);
    let away = Instant::now();
    service.run().await;
    let before = fetches(&service);
    for seed in 0..5 {
        service.publish(0, TYPE, &records(seed, service.tenant(0), TYPE, 10));
    }
    readiness(&service, "degraded", "unreachable").await;
    eventually("all is announced", async || service.pending().await.len() == 5).await;
    let announced = Instant::now();
    while announced.elapsed() < Duration::from_secs(2) {
        let pending = service.pending().await;
        assert!(pending.iter().all(|content| !content.leased && content.attempts == 0));
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fetches(&service), before);
    assert_eq!(service.metric("m365_devo_connected").await, 0.0);
    let refused = service.simulator.devo().received().sessions.refused;
    // The pauses between them are half a second at least, then one, then two.
    let least: f64 = (1..refused).map(|n| 0.25 * f64::from(1 << n.min(5))).sum();
    let away = away.elapsed();
    assert!(refused >= 1 && least <= away.as_secs_f64(), "{refused} times in {away:?}");

    service.simulator.devo().behave(DevoMode::Normal);
    service.delivered().await;
    assert_eq!(fetches(&service), before + 5, "one fetch each");
    assert_eq!(service.metric("m365_devo_connected").await, 1.0);
    readiness(&service, "ready", "connected").await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reset_session_took_along_is_sent_again() {
    let mut service = Service::builder().start().await;
    let confirmed = records(1, service.tenant(0), TYPE, 30);
    service.publish(0, TYPE, &confirmed);
    service.delivered().await;
    // What the receiver reads now, it forgets; so every record must still arrive exactly once.
    service.simulator.devo().behave(DevoMode::ResetAfter(100_000));
    for label in ["a", "b", "c"] {
        service.publish(0, TYPE, &bulk(label, 60, 5000));
    }
    failed_at_least(&service, 3, "connection_lost").await;
    assert_eq!(service.ends().await.delivered, 1);
    assert!(service.simulator.devo().received().sessions.broken >= 1);
    service.simulator.devo().behave(DevoMode::Normal);
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_closed_while_idle_confirms_nothing_and_repeats_only_what_it_held() {
    let mut service = Service::builder().start().await;
    let confirmed = records(1, service.tenant(0), TYPE, 30);
    service.publish(0, TYPE, &confirmed);
    service.delivered().await;
    let held = records(2, service.tenant(0), TYPE, 50);
    service.publish(0, TYPE, &held);
    service.simulator.devo().wait_for(80, patience()).await.unwrap();
    // All of it has arrived, and the balancer closes before the session is due.
    service.simulator.devo().behave(DevoMode::CloseIdle(Duration::from_millis(50)));
    failed_at_least(&service, 1, "connection_lost").await;
    service.simulator.devo().behave(DevoMode::Normal);
    service.ended(Ends { delivered: 2, ..Ends::default() }).await;
    let failed = service.failed_attempts(0, "deliver", "connection_lost").await;
    assert_eq!(service.times(&confirmed), (1, 1));
    assert_eq!(service.times(&held), (1 + failed, 1 + failed), "{failed} sessions broke");
    assert_eq!(service.simulator.devo().received().repeated, u64::from(failed) * 50);
    service.finish_with_repeats(1 + failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_no_bytes_holds_up_and_loses_nothing() {
    let builder = Service::builder().with("devo.confirm_timeout", "1s");
    let mut service = builder.with("fetch.retry_max", "1s").start().await;
    let confirmed = records(1, service.tenant(0), TYPE, 30);
    service.publish(0, TYPE, &confirmed);
    service.delivered().await;
    service.simulator.devo().behave(DevoMode::Stall);
    // More than the kernels of both sides take.
    let large = bulk("large", 1000, 16 * 1024);
    let small = records(2, service.tenant(0), TYPE, 10);
    service.publish(0, TYPE, &large);
    failed_at_least(&service, 1, "stalled").await;
    service.publish(0, TYPE, &small);
    assert_eq!(service.ends().await.delivered, 1);
    service.simulator.devo().behave(DevoMode::Normal);
    service.ended(Ends { delivered: 3, ..Ends::default() }).await;
    let mut failed = 0;
    for reason in ["stalled", "unconfirmed", "connection_lost", "unreachable"] {
        failed += service.failed_attempts(0, "deliver", reason).await;
    }
    assert_eq!(service.times(&confirmed), (1, 1));
    service.finish_with_repeats(1 + failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_confirms_is_named_with_its_remedy_and_not_stormed() {
    let builder = Service::builder().with("devo.confirm_timeout", "1s");
    let mut service = builder.with("fetch.retry_max", "1s").start().await;
    service.simulator.devo().behave(DevoMode::NeverClose);
    for seed in 0..4 {
        service.publish(0, TYPE, &records(seed, service.tenant(0), TYPE, 10));
    }
    readiness(&service, "degraded", r#"devo.confirm = \"tcp\""#).await;
    let since = Instant::now();
    let before = service.simulator.devo().received();
    sleep(Duration::from_secs(5)).await;
    let after = service.simulator.devo().received();
    // An attempt takes two seconds here, and the pause after it half a second at least.
    let attempts = 1.0 + since.elapsed().as_secs_f64() / 2.5;
    let opened = after.sessions.opened - before.sessions.opened;
    assert!(opened as f64 <= attempts, "{opened} sessions in {:?}", since.elapsed());
    let lines = after.lines - before.lines;
    assert!(lines as f64 <= attempts * 40.0, "{lines} lines for 40 records");
    assert_eq!(service.ends().await.delivered, 0, "nothing is settled unconfirmed");

    service.simulator.devo().behave(DevoMode::Normal);
    service.ended(Ends { delivered: 4, ..Ends::default() }).await;
    readiness(&service, "ready", "connected").await;
    let failed = service.failed_attempts(0, "deliver", "unconfirmed").await;
    let repeated = service.simulator.devo().received().repeated;
    assert!(repeated <= u64::from(failed) * 10, "{repeated} repeats after {failed} attempts");
    service.finish_with_repeats(1 + failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_bytes_suffice_where_they_are_told_to() {
    let builder = Service::builder().with("devo.confirm", "tcp");
    let mut service = facing(DevoMode::NeverClose, builder).await;
    let before = service.simulator.devo().received().sessions;
    for seed in 0..3 {
        service.publish(0, TYPE, &records(seed, service.tenant(0), TYPE, 10));
        service.delivered().await;
    }
    readiness(&service, "ready", "connected").await;
    let after = service.simulator.devo().received().sessions;
    assert!(after.opened - before.opened <= 1, "the connection goes on: {after:?}");
    assert_eq!(after.ended, before.ended);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_rotated_by_bytes() {
    // What is unconfirmed at one time must not depend on how well it compresses.
    for compression in ["none", "gzip"] {
        let service = Service::builder().with("devo.confirm_bytes", "256 KiB");
        let mut service = service.with("devo.compression", compression).start().await;
        // Two megabytes at once are not idle for a second, nor take ten.
        service.publish(0, TYPE, &bulk("rotated", 128, 16 * 1024));
        service.delivered().await;
        let confirmed = service.simulator.devo().received().sessions.confirmed;
        assert!((5..=9).contains(&confirmed), "{compression}: {confirmed} sessions for 2 MiB");
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_rotated_by_time() {
    let mut service = Service::builder().with("devo.confirm_interval", "300ms").start().await;
    let devo = service.simulator.devo().clone();
    let (started, mut confirmed) = (Instant::now(), Vec::new());
    // Ended by being idle for a second, no four in a row are confirmed within three.
    let three = Duration::from_secs(3);
    for seed in 1.. {
        assert!(started.elapsed() < patience(), "confirmed at {confirmed:?}");
        service.publish(0, TYPE, &records(seed, service.tenant(0), TYPE, 5));
        // Without a pause in between.
        devo.wait_for(5 * seed, patience()).await.unwrap();
        let count = usize::try_from(devo.received().sessions.confirmed).unwrap();
        confirmed.resize_with(count, || started.elapsed());
        if confirmed.windows(4).any(|four| four[3] - four[0] < three) {
            break;
        }
    }
    let most = 1.0 + started.elapsed().as_secs_f64() / 0.3;
    assert!(confirmed.len() as f64 <= most, "no session is shorter: {confirmed:?}");
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_connections_share_the_work() {
    let mut service = Service::builder().with("devo.connections", 3).start().await;
    eventually("all are open", async || service.simulator.devo().received().sessions.opened >= 3)
        .await;
    for seed in 0..30 {
        service.publish(0, TYPE, &records(seed, service.tenant(0), TYPE, 10));
    }
    service.delivered().await;
    // One that carried nothing is not closed to be confirmed.
    assert!(service.simulator.devo().received().sessions.confirmed >= 3);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_compressed_on_request() {
    let mut service = Service::builder().with("devo.compression", "gzip").start().await;
    service.publish(0, TYPE, &bulk("packed", 64, 16 * 1024));
    service.publish(0, TYPE, &records(1, service.tenant(0), TYPE, 100));
    service.delivered().await;
    // A mebibyte in batches of a quarter, and the small content.
    let members = service.simulator.devo().received().members;
    assert!((4..=7).contains(&members), "{members} members");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_in_the_house_is_reached_over_plain_tcp() {
    let relay = ports::free();
    let builder = Service::builder().devo(format!("tcp://{relay}")).world(|world| {
        world.devo = Some(relay);
        world.devo_tls = false;
    });
    let mut service = builder.start().await;
    service.publish(0, TYPE, &records(1, service.tenant(0), TYPE, 100));
    service.delivered().await;
    assert_eq!(service.ends().await.delivered, 1);
    assert!(service.simulator.devo().received().sessions.confirmed >= 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_sent_everything_frees_its_place() {
    let mut service = Service::builder().with("fetch.concurrency", 1).start().await;
    service.simulator.devo().behave(DevoMode::NeverClose);
    let mut ids = Vec::new();
    for seed in 0..3 {
        ids.push(service.publish(0, TYPE, &records(seed, service.tenant(0), TYPE, 10)));
        let total = 10 * (seed + 1);
        service.simulator.devo().wait_for(total, patience()).await.unwrap();
    }
    assert_eq!(service.ends().await, Ends::default(), "nothing is confirmed yet");
    assert!(service.pending().await.iter().all(|content| content.leased));
    service.simulator.devo().behave(DevoMode::Normal);
    service.delivered().await;
    let fetched = |id| service.simulator.microsoft().count(None, &Operation::BlobOf(id));
    assert!(ids.into_iter().all(|id| fetched(id) == 1));
    service.finish().await;
}
