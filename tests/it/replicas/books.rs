//! What was published, while others are busy, and what of it arrived from whom.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use m365_collector::{
    content::{ContentType, TenantId},
    frame::Frame,
    shutdown::Shutdown,
    simulator::{Generator, Microsoft, devo::fingerprint},
};
use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{fleet::Fleet, watch::Ledger};
use crate::{outages::seeded, support::eventually};

/// Content that comes as long as this is there.
pub struct Load {
    publishing: JoinSet<Book>,
    stop: Shutdown,
}

/// What was published: the content of every record.
pub struct Book {
    pub records: HashMap<u128, String>,
    pub contents: usize,
    generator: Generator,
}

/// By whom each record arrived, in the order it did.
pub type Arrivals = HashMap<u128, Vec<String>>;

impl Load {
    /// Publishes about so many contents a second, of all tenants and types.
    pub fn start(fleet: &Fleet, rate: u32) -> Self {
        let (seed, mut random) = seeded();
        let microsoft = fleet.site.simulator.microsoft().clone();
        let tenants: Vec<_> = fleet.site.tenants.iter().map(|(_, tenant)| tenant.id).collect();
        let stop = Shutdown::new();
        let mut publishing = JoinSet::new();
        let stopped = stop.clone();
        publishing.spawn(async move {
            let mut book = Book::new(seed);
            let between = Duration::from_secs(1) / rate;
            while !stopped.is_requested() {
                let tenant = tenants[random.random_range(0..tenants.len())];
                let content_type = ContentType::ALL[random.random_range(0..ContentType::ALL.len())];
                book.publish(&microsoft, tenant, content_type);
                tokio::select! {
                    () = sleep(between.mul_f64(2.0 * random.random::<f64>())) => {}
                    () = stopped.requested() => {}
                }
            }
            book
        });
        Self { publishing, stop }
    }

    /// Ends it.
    pub async fn stop(mut self) -> Book {
        self.stop.request();
        self.publishing.join_next().await.expect("it was started").expect("it does not panic")
    }
}

impl Book {
    pub fn new(seed: u64) -> Self {
        let generator = Generator::new(Xoshiro256PlusPlus::seed_from_u64(seed).random());
        Self { records: HashMap::new(), contents: 0, generator }
    }

    /// Publishes a content.
    pub fn publish(&mut self, to: &Microsoft, tenant: TenantId, content_type: ContentType) {
        let records = self.generator.records(tenant, content_type, RECORDS);
        let id = to.publish(tenant, content_type, &records);
        self.contents += 1;
        self.records.extend(records.iter().map(|record| (fingerprint(record), id.to_string())));
    }

    /// Waits until everything is settled as delivered, and returns what arrived: every record, and
    /// nothing that was not published.
    pub async fn delivered(&self, fleet: &Fleet, ledger: &mut Ledger) -> Arrivals {
        self.delivered_beside(fleet, ledger, 0).await
    }

    /// As [`Book::delivered`], beside so many other contents of one record.
    pub async fn delivered_beside(
        &self,
        fleet: &Fleet,
        ledger: &mut Ledger,
        others: usize,
    ) -> Arrivals {
        let started = Instant::now();
        eventually("everything is delivered", async || {
            ledger.count("state = 'delivered'").await == Some(self.contents + others)
        })
        .await;
        let mut arrivals = arrivals(fleet);
        let missing = self.records.keys().filter(|record| !arrivals.contains_key(*record)).count();
        assert_eq!(missing, 0, "records of {} are lost", self.records.len());
        let before = arrivals.len();
        arrivals.retain(|record, _| self.records.contains_key(record));
        assert_eq!(before - arrivals.len(), others, "what else arrived is known");
        assert_eq!(fleet.site.simulator.devo().received().malformed, 0);
        say(&format!(
            "{} contents, {} records: none lost, {} came again; the last was settled {:.1?} after \
             the load",
            self.contents,
            self.records.len(),
            again(&arrivals).count(),
            started.elapsed(),
        ));
        arrivals
    }
}

/// Fails unless every notification was answered with 200. Returns how many there were.
pub fn all_taken(fleet: &Fleet) -> usize {
    let attempts = fleet.site.simulator.microsoft().attempts();
    let other: Vec<_> = attempts.iter().filter(|attempt| attempt.status != Some(200)).collect();
    assert!(other.is_empty(), "of {} notifications: {other:?}", attempts.len());
    attempts.len()
}

/// The records that arrived more than once.
pub fn again(arrivals: &Arrivals) -> impl Iterator<Item = (&u128, &Vec<String>)> {
    arrivals.iter().filter(|(_, by)| by.len() > 1)
}

/// What has arrived so far, and from whom.
pub fn arrivals(fleet: &Fleet) -> Arrivals {
    let mut arrivals = Arrivals::new();
    for line in fleet.site.simulator.devo().lines() {
        let frame = Frame::parse(&line).expect("a line of ours");
        arrivals.entry(fingerprint(frame.record)).or_default().push(frame.host.to_owned());
    }
    arrivals
}

/// Fails unless no record came again but those of contents that `cut` holds for whoever sent it
/// before.
pub fn only_cut_came_again(
    arrivals: &Arrivals,
    book: &Book,
    cut: &HashMap<String, HashSet<String>>,
) {
    for (record, by) in again(arrivals) {
        let content = &book.records[record];
        for sender in &by[..by.len() - 1] {
            let was_cut = cut.get(sender).is_some_and(|contents| contents.contains(content));
            assert!(was_cut, "{content} came from {by:?}, and {sender} was not cut in it");
        }
    }
}

/// Tells what is of interest.
#[expect(clippy::print_stderr, reason = "the figures are of interest")]
pub fn say(words: &str) {
    eprintln!("{words}");
}

/// So many that a content is more than a line, and few enough that it is quick.
pub const RECORDS: usize = 20;
