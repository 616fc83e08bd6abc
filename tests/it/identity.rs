//! A record that comes again: in several contents at once, announced again, after restarts, around
//! sessions and downloads that break. It arrives once, and nothing that never arrived suppresses
//! it.

use std::time::Duration;

use m365_collector::{
    content::ContentType,
    simulator::{
        Blob, DevoMode, Fault, Generator, Shape, generator::reordered, microsoft::Publication,
    },
};

use crate::support::{Service, books::Doomed, eventually, patience, records};

const FEED: ContentType = ContentType::Exchange;

/// The metric that counts records recognised, of the first tenant.
const DUPLICATES: &str = r#"m365_records_duplicate_total{tenant="tenant-0"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_several_contents_at_once_arrives_once() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let shared = identified(1, &service, 30);
    service.expect(&shared);
    for seed in 10..22 {
        let own = identified(seed, &service, 5);
        service.expect(&own);
        // In another order and spelling each time.
        let spelled: Vec<_> = shared.iter().map(|record| reordered_by(record, seed)).collect();
        let all = if seed == 10 { shared.clone() } else { spelled };
        let all: Vec<_> = all.into_iter().chain(own).collect();
        // The first one is on its way before the others come.
        service.simulator.microsoft().publish(tenant, FEED, &all);
        if seed == 10 {
            eventually("the first content is claimed", async || {
                service.status().await.iter().any(|row| row.waiting == 0)
            })
            .await;
        }
    }
    service.delivered().await;
    assert_eq!(service.metric(DUPLICATES).await, 11.0 * 30.0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_announced_again_later_and_after_a_restart_arrives_once() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let published = identified(1, &service, 40);
    service.publish(0, FEED, &published);
    service.delivered().await;
    let again: Vec<_> = published.iter().map(|record| reordered(record)).collect();
    service.simulator.microsoft().publish(tenant, FEED, &again);
    eventually("the repetition is recognised", async || service.metric(DUPLICATES).await == 40.0)
        .await;

    service.stop().await;
    service.run().await;
    let once_more: Vec<_> = again.iter().map(|record| reordered(record)).collect();
    service.simulator.microsoft().publish(tenant, FEED, &once_more);
    eventually("it is recognised after a restart", async || {
        service.metric(DUPLICATES).await == 40.0
    })
    .await;
    // Another feed is another record.
    let elsewhere: Vec<_> = once_more.iter().map(|record| reordered(record)).collect();
    service.publish(0, ContentType::General, &elsewhere);
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_another_time_or_no_id_is_another_record() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let mut generator = Generator::new(5);
    let plain = generator.record_of(tenant, FEED, Shape::Plain);
    let repeated = generator.record_of(tenant, FEED, Shape::RepeatedId);
    let nameless = generator.record_of(tenant, FEED, Shape::WithoutId);
    service.publish(0, FEED, &[&plain, &nameless, &nameless]);
    service.delivered().await;
    service.publish(0, FEED, &[&repeated, &nameless]);
    service.delivered().await;
    assert_eq!(service.metric(DUPLICATES).await, 0.0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_again_and_again_repeats_nothing_that_arrived() {
    let mut service = Service::builder()
        .with("fetch.retry_min", "50ms")
        .with("fetch.timeout", "1s")
        .start()
        .await;
    let tenant = service.tenant(0);
    let published = records(3, tenant, FEED, 3000);
    let size: usize = published.iter().map(Vec::len).sum();
    assert!(size > 3 << 20, "several batches: {size}");
    service.expect(&published);
    let publication = Publication {
        fault: Some((Fault::StallBody { after: size / 2 }, 2)),
        ..Publication::of(Blob::array(&published))
    };
    service.simulator.microsoft().publish_as(tenant, FEED, publication);
    service.delivered().await;
    eventually("what arrived was recognised", async || service.metric(DUPLICATES).await > 100.0)
        .await;
    let arrived = r#"m365_messages_successfully_processed_total{content_type="Audit.Exchange",tenant="tenant-0"}"#;
    assert_eq!(service.metric(arrived).await, published.len() as f64, "each is counted once");
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_in_the_middle_of_a_content_repeats_nothing() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let published = records(6, tenant, FEED, 4000);
    service.expect(&published);
    let publication = Publication {
        fault: Some((Fault::Drip { bytes: 64 * 1024, every: Duration::from_millis(300) }, 1)),
        ..Publication::of(Blob::array(&published))
    };
    service.simulator.microsoft().publish_as(tenant, FEED, publication);
    service.simulator.devo().wait_for(200, patience()).await.unwrap();
    service.stop().await;
    let arrived = service.simulator.devo().received().lines;
    assert!((200..3000).contains(&arrived), "cut in the middle: {arrived}");
    service.run().await;
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_content_only_what_a_broken_session_carried_is_sent_again() {
    // Many sessions for one content, one of which is reset in the middle.
    let mut service = Service::builder()
        .with("devo.confirm_bytes", "512 KiB")
        .with("fetch.retry_min", "50ms")
        .start()
        .await;
    let tenant = service.tenant(0);
    let published = records(4, tenant, FEED, 6000);
    service.expect(&published);
    let publication = Publication {
        fault: Some((Fault::Drip { bytes: 64 * 1024, every: Duration::from_millis(20) }, 1)),
        ..Publication::of(Blob::array(&published))
    };
    service.simulator.microsoft().publish_as(tenant, FEED, publication);
    let devo = service.simulator.devo().clone();
    devo.wait_for(1500, patience()).await.unwrap();
    devo.behave(DevoMode::ResetAfter(1000));
    eventually("a session is cut", async || devo.received().sessions.broken > 0).await;
    eventually("the attempt fails", async || {
        service.pending().await.iter().any(|content| content.attempts > 0)
    })
    .await;
    devo.behave(DevoMode::Normal);
    service.settled().await;
    assert!(published.iter().all(|record| devo.times_received(record) > 0), "nothing is lost");
    // What a session holds when it is closed: its bytes, and a batch that made them too many.
    let received = devo.received();
    let most = received.sessions.broken * (512 + 256 + 32) * 1024;
    let again = published.iter().filter(|record| devo.times_received(record) > 1);
    let again: usize = again.map(Vec::len).sum();
    assert!(again as u64 <= most, "{again} bytes came again of {}", received.sessions.broken);
    assert!(received.bytes > 5 * most, "there was much more to repeat");
    service.agrees(&Doomed::default()).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_confirmed_does_not_suppress() {
    let mut service = Service::builder()
        .with("devo.confirm_timeout", "1s")
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "1s")
        .start()
        .await;
    let tenant = service.tenant(0);
    let published = identified(1, &service, 20);
    let devo = service.simulator.devo().clone();
    devo.behave(DevoMode::NeverClose);
    // Both arrive, and neither is confirmed: one of them sends, the other waits for it.
    for _ in 0..2 {
        service.simulator.microsoft().publish(tenant, FEED, &published);
    }
    devo.wait_for(20, patience()).await.unwrap();
    eventually("the confirmation fails", async || {
        service.pending().await.iter().any(|content| content.attempts > 0)
    })
    .await;
    let waiting: u64 = service.status().await.iter().map(|row| row.waiting + row.leased).sum();
    assert_eq!(waiting, 2, "nothing is settled by what was not confirmed");
    devo.behave(DevoMode::Normal);
    service.settled().await;
    for record in &published {
        assert!(devo.times_received(record) >= 2, "sent once more, and confirmed");
    }
    service.agrees(&Doomed::default()).await;
    service.stop().await;
    assert_eq!(service.status().await[0].records, 20, "confirmed once");
}

/// Records that have an identity.
fn identified(seed: u64, service: &Service, count: usize) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(seed);
    let tenant = service.tenant(0);
    (0..count).map(|_| generator.record_of(tenant, FEED, Shape::Plain)).collect()
}

fn reordered_by(record: &[u8], turns: u64) -> Vec<u8> {
    (0..turns % 5 + 1).fold(record.to_vec(), |record, _| reordered(&record))
}
