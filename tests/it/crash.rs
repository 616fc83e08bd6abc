//! The real binary killed at any moment: what a 200 was given for arrives all the same (I1, I4).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use m365_collector::{
    content::{ContentId, ContentType},
    frame::Frame,
    simulator::{Generator, devo::fingerprint},
};
use rand::{RngExt as _, rngs::Xoshiro256PlusPlus};

use crate::{
    outages::seeded,
    support::{
        books::Doomed,
        collector::{Collector, Site},
        eventually,
        rsyslog::{Driver, Rsyslog},
    },
};

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the figures are of interest")]
async fn nothing_is_lost_through_twenty_kills() {
    let (seed, mut random) = seeded();
    let rsyslog = Rsyslog::start(Driver::Gtls).await;
    let mut site = Site::start(2, Some(&rsyslog), |world| {
        world.notification_retries = vec![Duration::from_millis(100); 1000];
        world.notification_batch = 3;
    })
    .await;
    // Short sessions, so that every part of their life is met by some kill.
    site.set("devo.confirm_interval", "300ms");
    let mut book = Book::new(seed);

    let collector =
        kill_again_and_again(&site, &mut book, &mut random, KILLS, 60, async |_| ()).await;
    let said = collector.stop().await;
    assert_eq!(said.code, Some(0), "{}", said.err);

    let Arrived { times, torn } = arrived(&rsyslog, &book);
    let missing = book.records.keys().filter(|record| !times.contains_key(*record)).count();
    assert_eq!(missing, 0, "of {} records", book.records.len());
    let again = times.values().filter(|times| **times > 1).count();
    let copies: u32 = times.values().map(|times| times - 1).sum();
    eprintln!(
        "{} records in {} contents, {KILLS} kills: none missing, {again} more than once ({copies} \
         copies too many), {torn} lines torn by a kill",
        book.records.len(),
        book.contents(),
    );
    // Each session that is cut ends in at most one torn line.
    assert!(torn <= KILLS, "{torn} lines are torn");
    let names: HashSet<_> = times.keys().map(|record| fingerprint(record)).collect();
    site.agrees_on(&|record| names.contains(&record), &Doomed::default()).await;
}

/// Kills the collector so often, each time at a moment under load after it accepted something, and
/// then lets it deliver the rest. `longest` hundredths of a second are between two kills at most;
/// `killed` is called while there is no collector.
pub async fn kill_again_and_again(
    site: &Site,
    book: &mut Book,
    random: &mut Xoshiro256PlusPlus,
    kills: usize,
    longest: u32,
    mut killed: impl AsyncFnMut(&Book),
) -> Collector {
    let mut collector = site.run().await;
    site.registered(2 * ContentType::ALL.len()).await;
    for kill in 0..kills {
        let since = site.simulator.clock().now();
        book.publish(site, random.random_range(1..200));
        eventually("a notification is accepted", async || {
            let attempts = site.simulator.microsoft().attempts();
            attempts.iter().any(|attempt| attempt.at >= since && attempt.status == Some(200))
        })
        .await;
        let moments = random.random_range(0..longest);
        for _ in 0..moments {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if random.random_ratio(1, 4) {
                book.publish(site, random.random_range(1..80));
            }
        }
        assert!(
            collector.process.is_running(),
            "ended before kill {kill}:\n{}",
            collector.stderr()
        );
        collector.process.kill();
        killed(book).await;
        // Some notifications find nobody.
        book.publish(site, 5);
        collector = site.run().await;
    }

    eventually("every content is delivered", async || {
        let said = site.command(&["ledger", "status", "--json"]).await;
        let rows: Vec<Row> = serde_json::from_str(&said.out).expect("the rows are JSON");
        rows.iter().map(|row| row.delivered).sum::<u64>() == book.contents()
    })
    .await;
    collector
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_ledger_is_refused_until_the_first_is_gone() {
    let mut site = Site::start(1, None, |_| ()).await;
    let first = site.run().await;
    let (webhook, admin) = (site.webhook, site.admin);
    site.set("webhook.listen", "127.0.0.1:0");
    site.set("admin.listen", "127.0.0.1:0");
    let second = site.command(&["run"]).await;
    assert_eq!(second.code, Some(1), "{}", second.err);
    let ledger = site.folder.path().join("ledger.db").display().to_string();
    let clear = format!("error: the ledger {ledger} is in use by another process");
    assert!(second.err.contains(&clear), "{}", second.err);
    assert_eq!(first.stop().await.code, Some(0));

    site.set("webhook.listen", &webhook);
    site.set("admin.listen", &admin);
    let third = site.run().await;
    assert_eq!(third.stop().await.code, Some(0));
}

/// What was published.
pub struct Book {
    generator: Generator,
    ids: Vec<ContentId>,
    /// The content of each by their bytes, so that the neighbours of a torn line are found.
    records: BTreeMap<Vec<u8>, usize>,
    /// The content of each by their fingerprints, which take their time.
    names: Vec<(u128, usize)>,
}

impl Book {
    pub fn new(seed: u64) -> Self {
        Self {
            generator: Generator::new(seed),
            ids: Vec::new(),
            records: BTreeMap::new(),
            names: Vec::new(),
        }
    }

    /// Publishes one content of so many records, on the next feed.
    fn publish(&mut self, site: &Site, records: usize) {
        let feed = self.ids.len();
        let tenant = site.tenant(feed % 2);
        let content_type = ContentType::ALL[feed / 2 % ContentType::ALL.len()];
        let records = self.generator.records(tenant, content_type, records);
        self.ids.push(site.simulator.microsoft().publish(tenant, content_type, &records));
        self.names.extend(records.iter().map(|record| (fingerprint(record), feed)));
        self.records.extend(records.into_iter().map(|record| (record, feed)));
    }

    pub fn contents(&self) -> u64 {
        self.ids.len() as u64
    }

    /// The fingerprint of every record, and the id of its content.
    pub fn records(&self) -> impl ExactSizeIterator<Item = (u128, &ContentId)> {
        self.names.iter().map(|(record, content)| (*record, &self.ids[*content]))
    }

    /// Whether a record begins with these bytes.
    fn begins_one(&self, bytes: &[u8]) -> bool {
        let next = self.records.range(bytes.to_vec()..).next();
        next.is_some_and(|(record, _)| record.starts_with(bytes))
    }
}

struct Arrived {
    times: HashMap<Vec<u8>, u32>,
    torn: usize,
}

/// Sorts the lines of the file; whatever is neither a record nor the beginning of one is a fault.
fn arrived(rsyslog: &Rsyslog, book: &Book) -> Arrived {
    let mut arrived = Arrived { times: HashMap::new(), torn: 0 };
    for line in rsyslog.lines() {
        match Frame::parse(&line) {
            Some(frame) if book.records.contains_key(frame.record) => {
                *arrived.times.entry(frame.record.to_vec()).or_default() += 1;
            }
            Some(frame) if book.begins_one(frame.record) => arrived.torn += 1,
            None if line.len() < HEAD
                && (line.starts_with(b"<14>") || b"<14>".starts_with(&line)) =>
            {
                arrived.torn += 1;
            }
            _ => panic!("neither a record nor a part of one: {}", line.escape_ascii()),
        }
    }
    arrived
}

#[derive(serde::Deserialize)]
struct Row {
    delivered: u64,
}

const KILLS: usize = 20;

/// A line without a record is shorter than this.
const HEAD: usize = 200;
