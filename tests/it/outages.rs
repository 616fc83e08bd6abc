//! What breaks around a collector at work: Devo, the process, the disk, the clock.
//!
//! Every run has a seed, which is said and can be given again in `M365_TEST_SEED`. What is asserted
//! is what arrived, against what was published, and the ledger's counts.

use std::time::Duration;

use m365_collector::content::ContentType;
use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::support::{Service, records, series::Scrape};

mod away;
mod clocks;
mod devo;
mod disk;
mod kills;
mod server;

/// What is drawn by lot in a test, and the seed of it.
#[expect(clippy::print_stderr, reason = "the seed repeats a failure")]
pub fn seeded() -> (u64, Xoshiro256PlusPlus) {
    let seed = std::env::var("M365_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
    eprintln!("M365_TEST_SEED={seed}");
    (seed, Xoshiro256PlusPlus::seed_from_u64(seed))
}

/// Contents of [`RECORDS`] records each, on feeds and at moments drawn by lot.
struct Traffic {
    random: Xoshiro256PlusPlus,
    contents: u32,
}

impl Traffic {
    fn new() -> Self {
        Self { random: seeded().1, contents: 0 }
    }

    /// A moment within the limit.
    fn moment(&mut self, limit: Duration) -> Duration {
        limit.mul_f64(self.random.random())
    }

    fn publish(&mut self, service: &mut Service) {
        let tenant = self.random.random_range(0..service.tenants.len());
        let content_type = ContentType::ALL[self.random.random_range(0..ContentType::ALL.len())];
        let content = records(self.random.random(), service.tenant(tenant), content_type, RECORDS);
        service.publish(tenant, content_type, &content);
        self.contents += 1;
    }

    async fn flow(&mut self, service: &mut Service, lasting: Duration) {
        let end = Instant::now() + lasting;
        while Instant::now() < end {
            self.publish(service);
            let pause = self.moment(Duration::from_millis(60));
            sleep(pause).await;
        }
    }
}

/// Attempts that failed on the way to Devo, each of one content.
async fn failed_deliveries(service: &Service) -> u32 {
    let (_, page) = service.admin("/metrics").await;
    let failed = Scrape::parse(&page).sum("m365_attempts_failed_total", &[("stage", "deliver")]);
    failed.to_string().parse().expect("a counter is a whole number")
}

/// So many that a content is more than a line, and few enough that a test is quick.
const RECORDS: usize = 20;
