//! Devo is away for long, with traffic going on.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    time::Duration,
};

use m365_collector::{
    clock::Clock,
    content::{ContentId, ContentType},
    frame::Frame,
    simulator::{Devo, DevoMode, Operation, devo::fingerprint},
};
use sqlx::{
    Connection as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::{RECORDS, seeded};
use crate::support::{
    Service, books::Doomed, collector::Site, eventually, get, metrics, patience, records,
};

const TYPE: ContentType = ContentType::Exchange;

/// Of fetches at a time.
const PLACES: usize = 16;

/// One session takes everything, so that nothing on its way in one is overtaken in another.
const ONE_SESSION: (&str, &str) = ("devo.confirm_interval", "4m");

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_without_devo_is_delivered_after_it_oldest_first() {
    let (seed, _) = seeded();
    let clock = Clock::system();
    let world = clock.clone();
    let mut service = Service::builder()
        .with("fetch.concurrency", PLACES)
        .with(ONE_SESSION.0, ONE_SESSION.1)
        .world(move |config| (config.clock, config.keep_lines) = (world, true))
        .start()
        .await;
    // A connection that is open would go on.
    service.stop().await;
    service.simulator.devo().behave(DevoMode::Refuse);
    service.run().await;
    let mut origin = HashMap::new();
    let before = service.simulator.microsoft().count(None, &Operation::Blob);
    for minute in 0..60 {
        for content in 0..5 {
            let serial = minute * 5 + content;
            let content = records(seed ^ serial, service.tenant(0), TYPE, RECORDS);
            let id = service.publish(0, TYPE, &content);
            origin.extend(content.iter().map(|record| (fingerprint(record), id.clone())));
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
    let books = Books::open(service.folder.path()).await;
    arrived_oldest_first(books, service.simulator.devo(), &origin).await;
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
    site.set(ONE_SESSION.0, ONE_SESSION.1);
    site.simulator.devo().behave(DevoMode::Refuse);
    let collector = site.run().await;
    site.registered(ContentType::ALL.len()).await;
    let mut origin = HashMap::new();
    let mut publish = |serials: std::ops::Range<u64>| {
        for serial in serials {
            let content = records(seed ^ serial, site.tenant(0), TYPE, 5);
            let id = site.simulator.microsoft().publish(site.tenant(0), TYPE, &content);
            origin.extend(content.iter().map(|record| (fingerprint(record), id.clone())));
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
    let mut books = Books::open(site.folder.path()).await;
    let (resident, stored) = (collector.process.resident_kib(), books.size().await);
    for step in 1..=10 {
        publish(WARM + (step - 1) * (MANY / 10)..WARM + step * (MANY / 10));
        waiting(WARM + step * (MANY / 10)).await;
    }
    let (resident_after, row) =
        (collector.process.resident_kib(), (books.size().await - stored) / MANY);
    let log = fs::metadata(site.folder.path().join("ledger.db-wal")).map_or(0, |log| log.len());
    assert_eq!(site.simulator.microsoft().count(None, &Operation::Blob), 0, "nothing is fetched");

    site.simulator.devo().behave(DevoMode::Normal);
    let lines = origin.len() as u64;
    site.simulator.devo().wait_for(lines, 2 * patience()).await.expect("everything arrives");
    waiting(0).await;
    let received = site.simulator.devo().received();
    assert_eq!((received.distinct, received.repeated), (lines, 0));
    arrived_oldest_first(books, site.simulator.devo(), &origin).await;
    eprintln!(
        "{MANY} contents: {resident} KiB resident before, {resident_after} KiB after, {row} bytes \
         of ledger each, {log} bytes of log"
    );
    assert!(resident_after < resident + 4 * 1024, "{resident} KiB, then {resident_after} KiB");
    assert!(row <= ROW, "{row} bytes for each content");
    assert!(log <= LOG, "{log} bytes of log");
    site.agrees(&Doomed::default()).await;
    assert_eq!(collector.stop().await.code, Some(0));
}

/// Asserts that no content began to arrive before more than [`PLACES`] older ones: they had been
/// claimed, each for the only time, and were still being fetched.
///
/// What is oldest is the ledger's word, not the publisher's. Microsoft sends notifications side by
/// side, and which of them comes first is not ours to know.
async fn arrived_oldest_first(mut books: Books, devo: &Devo, origin: &HashMap<u128, ContentId>) {
    assert_eq!(books.claims().await, books.contents().await, "a content was claimed again");
    let accepted = books.accepted().await;
    let ranks: HashMap<&str, usize> =
        accepted.iter().enumerate().map(|(rank, id)| (&**id, rank)).collect();
    let mut begun = HashSet::new();
    let mut oldest = 0;
    for line in devo.lines() {
        let frame = Frame::parse(&line).expect("every line is well-formed");
        let rank = ranks[origin[&fingerprint(frame.record)].as_str()];
        if begun.insert(rank) {
            let older = (oldest..rank).filter(|rank| !begun.contains(rank)).count();
            assert!(older < PLACES, "content {rank} overtook {older} older ones");
            while begun.contains(&oldest) {
                oldest += 1;
            }
        }
    }
    assert_eq!(begun.len(), accepted.len(), "every content began to arrive");
}

/// The collector's ledger, as somebody else reads it.
struct Books(SqliteConnection);

impl Books {
    async fn open(folder: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(folder.join("ledger.db"));
        Self(SqliteConnection::connect_with(&options.read_only(true)).await.unwrap())
    }

    /// The bytes of everything stored, wherever it lies just now: the log may hold the newest
    /// pages, and is used again when they have gone to the file.
    async fn size(&mut self) -> u64 {
        self.number("PRAGMA page_count").await * self.number("PRAGMA page_size").await
    }

    /// The ids of the contents in the order in which they were accepted.
    async fn accepted(&mut self) -> Vec<String> {
        let ids = sqlx::query_scalar("SELECT content_id FROM content ORDER BY announced, id");
        ids.fetch_all(&mut self.0).await.unwrap()
    }

    async fn contents(&mut self) -> u64 {
        self.number("SELECT COUNT(*) FROM content").await
    }

    async fn claims(&mut self) -> u64 {
        self.number("SELECT SUM(claims) FROM content").await
    }

    async fn number(&mut self, sql: &'static str) -> u64 {
        let number: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.0).await.unwrap();
        number.try_into().unwrap()
    }
}

const WARM: u64 = 1000;
const MANY: u64 = 2000;

/// Bytes of ledger that a waiting content may cost: about 400 of row, 120 to find it by its id and
/// 180 in the three indexes of what waits, on pages that are filled in order but for the last.
const ROW: u64 = 1024;

/// Bytes of log: `SQLite` empties it into the file after fifteen hundred pages, and a commit that is
/// under way, or a reader, may hold that up for a third as much again.
const LOG: u64 = (1500 + 500) * 4120;
