//! A ledger that holds something before the collector starts, written by the service's own code.

use std::time::Duration;

use m365_collector::{
    content::{Announcement, ContentId, Via},
    identity::Key,
    ledger::{self, Ledger, Location, Settlement},
    shutdown::Shutdown,
    simulator::Feed,
};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
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

    /// Makes a ledger of delivered contents, each with so many records that are remembered. The
    /// first is made by the service's own code, and the others are copies of its rows.
    pub async fn remember(&self, contents: usize, keys: usize) {
        let feed = self.feed(0);
        let first = async |ledger: &Ledger| {
            if contents == 0 {
                return;
            }
            let id = "20260105080000000$20260105080000000$audit$Audit$na0000";
            let id = ContentId::parse(id).expect("it is an id");
            self.announce_to(ledger, feed, &[id]).await;
            let now = self.simulator.clock().now();
            let leases = ledger.claim(feed.tenant, 1, now).await.expect("it commits");
            let settlement = Settlement::Delivered {
                records: keys as u64,
                duplicates: 0,
                dead: Vec::new(),
                keys: (0..keys).map(|_| Key::from_bytes(rand::random())).collect(),
            };
            ledger.settle(leases[0].key, settlement, now).await.expect("it commits");
        };
        self.store(first).await;
        if contents > 1 {
            self.copy(contents).await;
        }
    }

    /// Copies the one content of the ledger and its identities, with other ids and other keys.
    async fn copy(&self, contents: usize) {
        let options = SqliteConnectOptions::new().filename(self.ledger());
        let mut connection = options.connect().await.expect("the ledger is there");
        let copies = i64::try_from(contents).expect("millions") - 1;
        for statement in COPIES {
            sqlx::query(*statement)
                .bind(copies)
                .execute(&mut connection)
                .await
                .expect("the schema is known");
        }
        connection.close().await.expect("the ledger closes");
    }
}

const COPIES: &[&str] = &[
    "WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < $1)
     INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, expires,
        announced, state, due, claims, attempts, settled, records)
     SELECT tenant, content_type, canonical_id || n, content_id || n, via, created, expires,
        announced, state, due, claims, attempts, settled, records
     FROM content, copy WHERE content.id = 1",
    "WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < $1)
     INSERT INTO identity (content, at, number, keys)
     SELECT n + 1, at, number, randomblob(length(keys)) FROM identity, copy WHERE identity.id = 1",
];
