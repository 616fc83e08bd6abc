//! What the service wrote down about a test's content: counts, dead letters, series, and whether
//! its completeness report says the same as the simulator's own books.

use m365_collector::ledger::Location;
use sqlx::{
    Connection as _, Row as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::{Service, eventually, metrics::labelled};

mod agreement;
mod simulated;

pub use simulated::Doomed;

/// How many contents ended in which way, over all tenants and types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub delivered: u64,
    pub dead: u64,
    pub expired: u64,
}

impl Service {
    /// How many contents have ended so far.
    pub async fn ends(&self) -> Ends {
        let mut ends = Ends::default();
        for row in self.status().await {
            ends.delivered += row.delivered;
            ends.dead += row.dead;
            ends.expired += row.expired;
        }
        ends
    }

    /// Waits until exactly this has come of what was published.
    pub async fn ended(&self, expected: Ends) {
        eventually("content ended", async || self.ends().await == expected).await;
    }

    /// Records that the ledger says were delivered.
    pub async fn records_delivered(&self) -> u64 {
        self.status().await.iter().map(|row| row.records).sum()
    }

    /// Every dead letter: the index of the record, or none for a whole content, and the reason.
    pub async fn dead_letters(&self) -> Vec<(Option<i64>, String)> {
        let Location::Sqlite(path) = &self.config.ledger.location else { panic!("it is a file") };
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let ledger = SqliteConnection::connect_with(&options).await;
        let mut ledger = ledger.expect("the ledger can be opened");
        let rows = sqlx::query("SELECT record_index, reason FROM dead_letter ORDER BY id");
        let rows = rows.fetch_all(&mut ledger).await.expect("the ledger can be read");
        rows.iter().map(|row| (row.get("record_index"), row.get("reason"))).collect()
    }

    /// Messages of a tenant given up on for a reason.
    pub async fn given_up(&self, tenant: usize, stage: &str, reason: &str) -> u32 {
        let name = "m365_messages_unsuccessfully_processed_total";
        self.count_of(name, tenant, stage, reason).await
    }

    /// Attempts of a tenant that failed for a reason and were made again.
    pub async fn failed_attempts(&self, tenant: usize, stage: &str, reason: &str) -> u32 {
        self.count_of("m365_attempts_failed_total", tenant, stage, reason).await
    }

    async fn count_of(&self, name: &str, tenant: usize, stage: &str, reason: &str) -> u32 {
        let tenant = format!("tenant-{tenant}");
        let labels = [("tenant", &*tenant), ("stage", stage), ("reason", reason)];
        self.count(&labelled(name, &labels)).await
    }

    /// Records confirmed in a table.
    pub async fn delivered_to(&self, table: &str) -> u32 {
        self.count(&format!("m365_records_delivered_total{{table=\"{table}\"}}")).await
    }

    async fn count(&self, series: &str) -> u32 {
        let value = self.metric(series).await;
        value.to_string().parse().expect("a counter is a whole number")
    }
}
