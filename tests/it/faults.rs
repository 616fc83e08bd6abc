//! Everything Microsoft's side can do to a collector, drawn by lot, and what arrives all the same.
//!
//! The lots are drawn from a seed: `M365_TEST_SEED` replaces it, and every failure names it. What
//! the machine decides (which of two tasks is first) is not drawn, and must not matter.

use std::{collections::BTreeMap, time::Duration};

use m365_collector::{
    content::{ContentId, ContentType},
    simulator::{
        Blob, Feed, Operation,
        microsoft::{Announcing, Publication},
    },
};
use tokio::time::Instant;

use crate::support::{Builder, Service, books::Doomed, eventually, patience, records};

mod api;
mod crawl;
mod notifications;
mod poison;

/// A service that sweeps all the time, retries and confirms soon, and leaves nothing to the
/// webhook.
fn restless() -> Builder {
    Service::builder()
        .with("sweep.interval", "1s")
        .with("sweep.settle", "0s")
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "1s")
        .with("devo.confirm_interval", "500ms")
}

/// Reproducible chance: `SplitMix64`.
struct Lots {
    seed: u64,
    state: u64,
}

impl Lots {
    /// Draws from this seed, or from the one in the environment.
    fn new(seed: u64) -> Self {
        let other = std::env::var("M365_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = other.unwrap_or(seed);
        say(&format!("M365_TEST_SEED={seed}"));
        Self { seed, state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = usize::try_from(self.below(from.len() as u64)).expect("an index is small");
        from[index].clone()
    }
}

/// What was published, as Microsoft would know it: contents by feed, and how they must end.
#[derive(Default)]
struct Books {
    serial: u64,
    contents: BTreeMap<Feed, Ends>,
    doomed: Doomed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    delivered: u64,
    dead: u64,
    expired: u64,
}

impl Books {
    /// Publishes records nobody else publishes as one content, and expects them.
    fn publish(
        &mut self,
        service: &mut Service,
        (tenant, content_type): (usize, ContentType),
        count: usize,
        change: impl FnOnce(&mut Publication),
    ) -> (ContentId, Vec<Vec<u8>>) {
        self.serial += 1;
        let records = records(self.serial, service.tenant(tenant), content_type, count);
        service.expect(&records);
        let mut publication = Publication::of(Blob::array(&records));
        change(&mut publication);
        let tenant = service.tenant(tenant);
        self.ends(Feed { tenant, content_type }).delivered += 1;
        let id = service.simulator.microsoft().publish_as(tenant, content_type, publication);
        (id, records)
    }

    fn ends(&mut self, feed: Feed) -> &mut Ends {
        self.contents.entry(feed).or_default()
    }

    fn published(&self) -> u64 {
        self.contents.values().map(|ends| ends.delivered + ends.dead + ends.expired).sum()
    }

    /// The ledger and its report say the same of every feed, and every record arrived exactly once.
    async fn agree(self, service: Service, seed: u64) {
        let status = service.status().await;
        let of = |row: &m365_collector::ledger::Status| Ends {
            delivered: row.delivered,
            dead: row.dead,
            expired: row.expired,
        };
        let ledger = status.iter().map(|row| {
            let feed = Feed { tenant: row.tenant, content_type: row.content_type };
            (feed, of(row))
        });
        let mut ledger: BTreeMap<_, _> = ledger.collect();
        ledger.retain(|_, ends| *ends != Ends::default());
        assert_eq!(ledger, self.contents, "seed {seed}: the ledger knows every content");
        let received = service.simulator.devo().received();
        assert_eq!(received.repeated, 0, "seed {seed}: records came again");
        service.agrees(&self.doomed).await;
        service.sweeps_agree(&self.doomed).await;
        assert_eq!(service.simulator.microsoft().without_publisher(), 0, "seed {seed}");
        service.finish().await;
    }
}

#[expect(clippy::print_stderr, reason = "the figures are of interest")]
fn say(figures: &str) {
    eprintln!("{figures}");
}

/// Blobs that were given out whole or in part, and requests for one that were answered otherwise.
fn downloads(service: &Service) -> (u64, u64) {
    let requests = service.simulator.microsoft().requests();
    let blobs = requests.iter().filter(|request| matches!(request.operation, Operation::BlobOf(_)));
    let (given, refused): (Vec<_>, Vec<_>) = blobs.partition(|request| request.status == Some(200));
    (given.len() as u64, refused.len() as u64)
}

/// Waits until these records arrived, and says how long that took.
async fn arrive<'a>(
    service: &Service,
    since: Instant,
    records: impl IntoIterator<Item = &'a Vec<u8>>,
) -> Duration {
    let devo = service.simulator.devo();
    let deadline = since + patience();
    for record in records {
        while devo.times_received(record) == 0 {
            assert!(Instant::now() < deadline, "records are missing");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    since.elapsed()
}

const MINUTE: Duration = Duration::from_secs(60);
