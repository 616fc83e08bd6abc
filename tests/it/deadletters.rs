//! What is given up on: seen, counted, tried again; and whether the books agree with Microsoft's.
//!
//! Everything is asked of the real binary, beside the running service.

use std::process::Command;

use jiff::SignedDuration;
use m365_collector::{
    clock::Clock,
    completeness::Completeness,
    content::{ContentId, ContentType},
    ledger::{DeadLetters, Reader, Wanted},
    simulator::{
        Blob, Fault, Generator, Operation, Shape,
        microsoft::{Announcing, Publication},
    },
};
use serde_json::Value;

use crate::support::{Service, books::Doomed, eventually, records};

const FEED: ContentType = ContentType::SharePoint;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dead_is_seen_and_arrives_when_it_is_replayed() {
    let mut service = Service::builder()
        .with("fetch.retry_min", "50ms")
        .with("fetch.max_record", "64 KiB")
        .start()
        .await;
    for seed in 10..15 {
        let whole = records(seed, service.tenant(0), FEED, 4);
        service.publish(0, FEED, &whole);
    }
    let gone = faulty(&mut service, 1, Fault::Af(20_050), 1);
    let expired = faulty(&mut service, 2, Fault::Af(20_051), 1);
    let invalid = faulty(&mut service, 3, Fault::Af(20_052), 1);
    let undecodable = faulty(&mut service, 4, Fault::Html(200), 5);
    let mut replayable = Doomed::default();
    let (partly, large) = with_large_record(&mut service, &mut replayable);
    // The library and the binary tell the same.
    let letters = DeadLetters::open(&service.config.ledger).await.unwrap();
    eventually("five letters are written", async || {
        letters.list(Wanted::default(), None).await.unwrap().len() == 5
    })
    .await;
    eventually("the rest is delivered", async || {
        service.status().await.iter().map(|row| row.delivered).sum::<u64>() == 6
    })
    .await;
    let (dead, code) = ledger(&service, &["dead"]).await;
    assert_eq!((dead.len(), code), (5, 0));
    for (id, stage, reason, index) in [
        (&gone, "fetch", "content_gone", None),
        (&expired, "fetch", "content_expired", None),
        (&invalid, "fetch", "content_id_invalid", None),
        (&undecodable, "split", "undecodable", None),
        (&partly, "split", "record_too_large", Some(large)),
    ] {
        let row = row(&dead, id);
        assert_eq!(row["tenant"], "tenant-0");
        assert_eq!(row["content_type"], FEED.as_str());
        assert_eq!((row["stage"].as_str(), row["reason"].as_str()), (Some(stage), Some(reason)));
        assert_eq!(row.get("record_index").and_then(Value::as_u64), index, "{row}");
        let tried = row["attempts"].as_u64().is_some_and(|attempts| attempts > 0);
        assert!(tried || index.is_some(), "{row}");
        assert!(row["created"].is_string() && row["expires"].is_string(), "{row}");
    }
    let (of_reason, _) = ledger(&service, &["dead", "--reason", "content_gone"]).await;
    assert_eq!(of_reason.len(), 1);
    let (since, _) = ledger(&service, &["dead", "--since", "2100-01-01"]).await;
    assert_eq!(since.len(), 0);

    // Ten were published; four are dead, and of one a record is.
    let (books, code) = ledger(&service, &["completeness"]).await;
    assert_eq!((sum(&books), code), ([10, 6, 0, 4, 0], 1));
    assert_eq!(books.iter().map(|day| day["dead_records"].as_u64().unwrap()).sum::<u64>(), 1);

    replayable.content(&expired);
    let mut doomed = replayable.clone();
    [&gone, &invalid, &undecodable].into_iter().for_each(|id| doomed.content(id));
    service.agrees_by_command(&doomed).await;

    let (replayed, code) = ledger(&service, &["replay"]).await;
    assert_eq!((replayed.len(), code), (5, 1), "what Microsoft says is expired is not replayed");
    for row in &replayed {
        assert_eq!(row["replayed"], row["content_id"] != expired.as_str(), "{row}");
    }
    // Everything but the expired content; nothing that arrived with the dead record comes again.
    service.delivered().await;
    eventually("the large record is dead again", async || {
        ledger(&service, &["dead"]).await.0.len() == 2
    })
    .await;
    let (books, code) = ledger(&service, &["completeness"]).await;
    assert_eq!((sum(&books), code), ([10, 9, 0, 1, 0], 1));
    service.agrees_by_command(&replayable).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_content_is_replayed_by_its_id() {
    let mut service = Service::builder().with("fetch.retry_min", "50ms").start().await;
    let one = faulty(&mut service, 1, Fault::Af(20_050), 1);
    let other = faulty(&mut service, 2, Fault::Af(20_050), 1);
    eventually("both are dead", async || ledger(&service, &["dead"]).await.0.len() == 2).await;
    let mut doomed = Doomed::default();
    [&one, &other].into_iter().for_each(|id| doomed.content(id));
    service.agrees_by_command(&doomed).await;
    let (replayed, code) = ledger(&service, &["replay", "--id", one.as_str()]).await;
    assert_eq!((replayed.len(), code), (1, 0));
    service.simulator.devo().wait_for(3, crate::support::patience()).await.unwrap();
    let (dead, _) = ledger(&service, &["dead"]).await;
    assert_eq!((dead.len(), &dead[0]["content_id"]), (1, &Value::from(other.as_str())));
    // Nothing is selected: that is no failure.
    let (replayed, code) = ledger(&service, &["replay", "--id", one.as_str()]).await;
    assert_eq!((replayed.len(), code), (0, 0));
    let (_, code) = ledger(&service, &["replay", "--type", "audit.sharepoint"]).await;
    assert_eq!(code, 0);
    service.delivered().await;
    let (books, code) = ledger(&service, &["completeness"]).await;
    assert_eq!((sum(&books), code), ([2, 2, 0, 0, 0], 0));
    service.agrees_by_command(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_announced_is_missing_until_a_sweep_finds_it() {
    let mut service = Service::builder().with("sweep.settle", "0s").start().await;
    // The sweep of the start would find what nobody announced.
    service.swept().await;
    let tenant = service.tenant(0);
    // Old enough for a sweep, which leaves out the last seconds.
    let created = Some(service.clock.now() - SignedDuration::from_mins(1));
    let told = records(1, tenant, FEED, 3);
    service.expect(&told);
    let publication = Publication { created, ..Publication::of(Blob::array(&told)) };
    service.simulator.microsoft().publish_as(tenant, FEED, publication);
    service.delivered().await;
    let lost = records(2, tenant, FEED, 3);
    let publication = Publication {
        created,
        announcing: Some(Announcing::LOST),
        ..Publication::of(Blob::array(&lost))
    };
    let id = service.simulator.microsoft().publish_as(tenant, FEED, publication);
    let (books, code) = ledger(&service, &["completeness"]).await;
    assert_eq!((sum(&books), code), ([2, 1, 0, 0, 1], 1));
    let mut untold = Doomed::default();
    untold.untold(&id);
    service.agrees_by_command(&untold).await;
    let (other_type, code) = ledger(&service, &["completeness", "--type", "DLP.All"]).await;
    assert_eq!((sum(&other_type), code), ([0; 5], 0));
    assert!(books.len() > 5 * other_type.len() - 1, "every type has its days");

    // A restart sweeps; then the sweep's word is the same as Microsoft's.
    service.stop().await;
    let (books, code) = ledger(&service, &["completeness"]).await;
    assert_eq!((sum(&books), code), ([2, 1, 0, 0, 1], 1), "also without a service");
    service.expect(&lost);
    service.run().await;
    service.delivered().await;
    for arguments in [&["completeness"][..], &["completeness", "--offline"]] {
        eventually("the week is whole", async || {
            let (books, code) = ledger(&service, arguments).await;
            (sum(&books), code) == ([2, 2, 0, 0, 0], 0)
        })
        .await;
    }
    let clock = Clock::system();
    let reader = Reader::open(&service.config.ledger).await.unwrap();
    let completeness = Completeness::new(reader, None, service.config.sweep, clock);
    let report = completeness.report(&[(tenant, FEED)], None, None).await.unwrap();
    assert!(report.is_whole(), "{report:?}");

    // Nobody can say of a day that no sweep reached whether it is whole.
    let range = ["completeness", "--offline", "--from", "2020-01-01", "--to", "2020-01-02"];
    let (books, code) = ledger(&service, &range).await;
    assert_eq!((sum(&books), code), ([0; 5], 1));
    assert!(books.iter().all(|day| day["source"] == "unknown"), "{books:#?}");

    // Microsoft away: what was listed last stands.
    service.simulator.microsoft().fail(Operation::Content, Fault::Af(10_001), u32::MAX);
    let (books, code) = ledger(&service, &["completeness"]).await;
    assert_eq!((sum(&books), code), ([2, 2, 0, 0, 0], 0));
    assert!(books.iter().all(|day| day["source"] == "sweep"), "{books:#?}");
    service.simulator.microsoft().heal();
    service.agrees_by_command(&Doomed::default()).await;
    service.finish().await;
}

/// Content that meets a fault so many times. Its records are expected, unless it is expired.
fn faulty(service: &mut Service, seed: u64, fault: Fault, times: u32) -> ContentId {
    let tenant = service.tenant(0);
    let records = records(seed, tenant, FEED, 3);
    if !matches!(fault, Fault::Af(20_051)) {
        service.expect(&records);
    }
    let publication =
        Publication { fault: Some((fault, times)), ..Publication::of(Blob::array(&records)) };
    service.simulator.microsoft().publish_as(tenant, FEED, publication)
}

/// Content of which one record is larger than what is allowed, and the place of that.
fn with_large_record(service: &mut Service, doomed: &mut Doomed) -> (ContentId, u64) {
    let tenant = service.tenant(0);
    let mut generator = Generator::new(77);
    let mut records: Vec<_> =
        (0..4).map(|_| generator.record_of(tenant, FEED, Shape::Plain)).collect();
    // Without an identity it must not come again either.
    records.push(generator.record_of(tenant, FEED, Shape::WithoutId));
    service.expect(&records);
    let large = format!(r#"{{"Id":"large","CreationTime":"x","Text":"{}"}}"#, "x".repeat(70_000));
    doomed.record(large.as_bytes());
    records.insert(2, large.into_bytes());
    (service.simulator.microsoft().publish(tenant, FEED, &records), 2)
}

/// What the binary says beside the service, and how it ends.
async fn ledger(service: &Service, arguments: &[&str]) -> (Vec<Value>, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_m365-collector"));
    command.arg("ledger").args(arguments).arg("--json").arg("--config").arg(&service.config_path);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().expect("the binary can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    let rows = serde_json::from_slice(&output.stdout);
    let rows = rows.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{said}"));
    (rows, output.status.code().expect("it ends by itself"))
}

fn row<'a>(rows: &'a [Value], id: &ContentId) -> &'a Value {
    let found = rows.iter().find(|row| row["content_id"] == id.as_str());
    found.unwrap_or_else(|| panic!("{id} is not among {rows:#?}"))
}

/// Listed, delivered, waiting, dead, missing over all days and types.
fn sum(books: &[Value]) -> [u64; 5] {
    ["listed", "delivered", "waiting", "dead", "missing"]
        .map(|key| books.iter().map(|day| day[key].as_u64().expect("a count")).sum())
}
