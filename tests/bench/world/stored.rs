//! A ledger that holds something before the collector starts, written by the service's own code.

use std::time::Duration;

use m365_collector::{
    content::{Announcement, ContentId, Via},
    ledger::{self, Ledger, Location},
    shutdown::Shutdown,
    simulator::Feed,
};
use tokio::task::JoinSet;

use super::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

impl World {
    /// Opens the ledger of a collector that is yet to start, and closes it after the work.
    pub async fn store(&self, work: impl AsyncFnOnce(&Ledger)) {
        let config = ledger::Config {
            location: Location::Sqlite(self.ledger()),
            lease: Duration::from_secs(300),
            keep_delivered: 14 * DAY,
            keep_dead: 30 * DAY,
        };
        let (ledger, writer) = Ledger::open(&config).await.expect("there is no ledger yet");
        let stop = Shutdown::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(stop.clone()));
        work(&ledger).await;
        stop.request();
        let written = tasks.join_next().await.expect("the writer runs");
        written.expect("the writer does not panic").expect("the ledger closes");
    }

    /// Lets contents wait in an open ledger.
    pub async fn announce_to(&self, ledger: &Ledger, feed: Feed, contents: &[ContentId]) {
        let now = self.simulator.clock().now();
        for contents in contents.chunks(1000) {
            let announcements = contents.iter().map(|id| Announcement {
                tenant: feed.tenant,
                content_type: feed.content_type,
                id: id.clone(),
                created: now,
                expires: now + 7 * DAY,
            });
            let announced = ledger.announce(Via::Webhook, announcements.collect(), now).await;
            assert_eq!(announced.expect("the ledger commits").len(), contents.len());
        }
    }
}
