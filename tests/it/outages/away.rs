//! Devo is away for long, with traffic going on.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use m365_collector::{
    clock::Clock,
    content::ContentType,
    frame::Frame,
    simulator::{Devo, DevoMode, Operation, devo::fingerprint},
};
use tokio::time::sleep;

use super::{RECORDS, seeded};
use crate::support::{
    Service, books::Doomed, collector::Site, eventually, get, metrics, patience, records,
};

const TYPE: ContentType = ContentType::Exchange;

/// Of fetches at a time, so that the order of arrival is close to that of the claims.
const PLACES: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_without_devo_is_delivered_after_it_oldest_first() {
    let (seed, _) = seeded();
    let clock = Clock::system();
    let world = clock.clone();
    let mut service = Service::builder()
        .with("fetch.concurrency", PLACES)
        .world(move |config| (config.clock, config.keep_lines) = (world, true))
        .start()
        .await;
    // A connection that is open would go on.
    service.stop().await;
    service.simulator.devo().behave(DevoMode::Refuse);
    service.run().await;
    let mut order = HashMap::new();
    let before = service.simulator.microsoft().count(None, &Operation::Blob);
    for minute in 0..60 {
        for content in 0..5 {
            let serial = minute * 5 + content;
            let content = records(seed ^ serial, service.tenant(0), TYPE, RECORDS);
            order.extend(content.iter().map(|record| (fingerprint(record), serial)));
            service.publish(0, TYPE, &content);
        }
        let announced = (minute + 1) * 5;
        eventually("it is announced", async || {
            service.metric("m365_content_pending{tenant=\"tenant-0\"}").await == announced as f64
        })
        .await;
        clock.advance(Duration::from_secs(60));
    }
    let oldest = service.metric("m365_oldest_pending_seconds{tenant=\"tenant-0\"}").await;
    assert!((3600.0..3900.0).contains(&oldest), "the oldest waits for {oldest} s");
    assert_eq!(service.simulator.microsoft().count(None, &Operation::Blob), before);

    service.simulator.devo().behave(DevoMode::Normal);
    service.delivered().await;
    let late = disorder(service.simulator.devo(), &order);
    assert!(late <= 4 * PLACES, "a content came {late} places from its own");
    assert_eq!(service.simulator.devo().received().repeated, 0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

/// As many contents as a large tenant has in an hour.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the figures are of interest")]
async fn what_waits_costs_rows_and_no_memory() {
    let (seed, _) = seeded();
    let mut site = Site::start(1, None, |world| world.keep_lines = true).await;
    site.set("fetch.concurrency", &PLACES);
    site.set("fetch.requests_per_minute", &100_000);
    site.simulator.devo().behave(DevoMode::Refuse);
    let collector = site.run().await;
    site.registered(ContentType::ALL.len()).await;
    let mut order = HashMap::new();
    let mut publish = |serials: std::ops::Range<u64>| {
        for serial in serials {
            let content = records(seed ^ serial, site.tenant(0), TYPE, 5);
            order.extend(content.iter().map(|record| (fingerprint(record), serial)));
            site.simulator.microsoft().publish(site.tenant(0), TYPE, &content);
        }
    };
    let waiting = async |contents: u64| {
        eventually("all is announced", async || {
            let (_, page) = get(site.admin, "/metrics").await;
            let pending = metrics::value(&page, "m365_content_pending{tenant=\"tenant-0\"}");
            pending == Some(contents as f64)
        })
        .await;
    };
    // What is taken once is no growth.
    publish(0..WARM);
    waiting(WARM).await;
    let (resident, stored) = (collector.process.resident_kib(), size(site.folder.path()));
    for step in 1..=10 {
        publish(WARM + (step - 1) * (MANY / 10)..WARM + step * (MANY / 10));
        waiting(WARM + step * (MANY / 10)).await;
        sleep(Duration::from_millis(200)).await;
    }
    let (resident_after, stored_after) =
        (collector.process.resident_kib(), size(site.folder.path()));
    assert_eq!(site.simulator.microsoft().count(None, &Operation::Blob), 0, "nothing is fetched");

    site.simulator.devo().behave(DevoMode::Normal);
    let lines = order.len() as u64;
    site.simulator.devo().wait_for(lines, 2 * patience()).await.expect("everything arrives");
    waiting(0).await;
    let received = site.simulator.devo().received();
    assert_eq!((received.distinct, received.repeated), (lines, 0));
    let late = disorder(site.simulator.devo(), &order);
    let row = stored_after.saturating_sub(stored) / MANY;
    eprintln!(
        "{MANY} contents: {resident} KiB resident before, {resident_after} KiB after, {row} bytes \
         of ledger each; {late} places out of order at most"
    );
    assert!(resident_after < resident + 4 * 1024, "{resident} KiB, then {resident_after} KiB");
    // A row and its keys in two indexes, and up to four megabytes of log, which is used again.
    assert!(row < 4096, "{row} bytes for each content");
    // A step that is slow on a busy machine is overtaken, the backlog as a whole is not.
    assert!(late <= order.len() / 5 / 10, "a content came {late} places from its own");
    site.agrees(&Doomed::default()).await;
    assert_eq!(collector.stop().await.code, Some(0));
}

/// How far from its place in the order of publication a content began to arrive, at most.
fn disorder(devo: &Devo, order: &HashMap<u128, u64>) -> usize {
    let mut begun = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for line in devo.lines() {
        let frame = Frame::parse(&line).expect("every line is well-formed");
        let serial = order[&fingerprint(frame.record)];
        if seen.insert(serial) {
            begun.push(usize::try_from(serial).unwrap());
        }
    }
    begun.iter().enumerate().map(|(place, serial)| place.abs_diff(*serial)).max().unwrap_or(0)
}

/// The bytes of the ledger without its log, which is reused.
fn size(folder: &Path) -> u64 {
    let wal = fs::metadata(folder.join("ledger.db-wal")).map_or(0, |file| file.len());
    fs::metadata(folder.join("ledger.db")).expect("there is a ledger").len() + wal
}

const WARM: u64 = 1000;
const MANY: u64 = 2000;
