//! The ledger on real files and real servers. Time is whatever a test says it is.
//!
//! The modules here are tests on `SQLite`; [`postgres`] has those of them that say nothing of an
//! engine once more, on `PostgreSQL`.

use std::{marker::PhantomData, path::Path, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    Beat, Config, Lease, Ledger, LedgerError, Location, Me, Reader, Recorded, Settled, Settlement,
    Use, Writer,
    database::Database,
    sql::{Connection, query},
};
use crate::{
    content::{Announcement, ContentId, ContentType, TenantId, Via},
    shutdown::Shutdown,
};

mod alone;
mod announce;
mod backfill;
mod claim;
mod duties;
mod failure;
mod following;
mod hot;
mod identities;
mod letters;
mod listed;
mod model;
mod open;
mod overview;
mod plans;
mod postgres;
mod prune;
mod reader;
mod roll;
mod tenants;

/// Which engine a ledger is on.
trait Engine {
    /// Whether what a process had leased is due again when another opens the ledger.
    const TAKES_BACK: bool;

    /// An empty ledger of its own.
    fn config(directory: &Path) -> impl Future<Output = Config>;
}

/// `SQLite`.
struct File;

impl Engine for File {
    const TAKES_BACK: bool = true;

    async fn config(directory: &Path) -> Config {
        config(directory)
    }
}

type Running = On<File>;

/// A ledger in a directory of its own, with its writer running.
struct On<E> {
    ledger: Ledger,
    shutdown: Shutdown,
    writer: JoinSet<Result<(), LedgerError>>,
    config: Config,
    directory: TempDir,
    engine: PhantomData<E>,
}

impl<E: Engine> On<E> {
    const TAKES_BACK: bool = E::TAKES_BACK;

    /// What is needed to open an empty ledger.
    async fn site() -> (TempDir, Config) {
        let directory = tempfile::tempdir().unwrap();
        let config = E::config(directory.path()).await;
        (directory, config)
    }

    async fn start() -> Self {
        let (directory, config) = Self::site().await;
        let (ledger, writer) = Ledger::open(&config).await.unwrap();
        Self::with(directory, config, ledger, writer)
    }

    fn with(directory: TempDir, config: Config, ledger: Ledger, writer: Writer) -> Self {
        let shutdown = Shutdown::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(shutdown.clone()));
        Self { ledger, shutdown, writer: tasks, config, directory, engine: PhantomData }
    }

    /// Ends the writer in order.
    async fn stop(mut self) -> (TempDir, Config) {
        self.shutdown.request();
        in_time(self.writer.join_next()).await.unwrap().unwrap().unwrap();
        (self.directory, self.config)
    }

    /// Ends the writer wherever it is.
    async fn kill(mut self) -> (TempDir, Config) {
        in_time(self.writer.shutdown()).await;
        (self.directory, self.config)
    }

    async fn announce(&self, ids: &[&str], seconds: i64) -> Vec<Recorded> {
        let announcements = ids.iter().map(|id| content(TENANT, id)).collect();
        in_time(self.ledger.announce(Via::Webhook, announcements, at(seconds))).await.unwrap()
    }

    async fn claim(&self, limit: u32, seconds: i64) -> Vec<Lease> {
        in_time(self.ledger.claim(tenant(TENANT), limit, at(seconds))).await.unwrap()
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement, seconds: i64) -> Settled {
        in_time(self.ledger.settle(lease.key, settlement, at(seconds))).await.unwrap()
    }

    /// Where a trigger refuses `poison`, it is refused alone, and nobody of its group with it.
    async fn fails_alone(trigger: &'static str) {
        let (directory, config) = Self::site().await;
        let (ledger, writer) = Ledger::open(&config).await.unwrap();
        run(&mut tool(&config).await, trigger).await;
        let announcing = queue(&ledger, &["a", "poison", "b"]).await;
        let running = Self::with(directory, config, ledger, writer);
        for (id, outcome) in in_time(announcing.join_all()).await {
            assert_eq!(outcome.is_err(), id == "poison", "{id}: {outcome:?}");
        }
        assert_eq!(running.claim(10, 0).await.len(), 2);
    }

    /// A connection of an operator's own tool.
    async fn tool(&self) -> Connection {
        tool(&self.config).await
    }

    async fn reader(&self) -> Reader {
        Reader::open(&self.config).await.unwrap()
    }
}

impl Ledger {
    /// The same ledger as another process sees it that shares it.
    pub(crate) fn as_another(&self) -> Self {
        Self { me: Arc::new(Me::sharing()), ..self.clone() }
    }
}

/// A writer whose file may grow to so many pages, and not at all if it has them already: what a
/// full disk looks like to `SQLite`.
pub(crate) fn with_room(mut writer: Writer, pages: u32) -> Writer {
    let Database::Sqlite(database) = &mut writer.database else { panic!("it is a file") };
    database.write = database.write.clone().pragma("max_page_count", pages.to_string());
    writer.connection = None;
    writer
}

/// A ledger in a file.
pub(crate) fn config(directory: &Path) -> Config {
    Config {
        location: Location::Sqlite(directory.join("ledger.db")),
        lease: Duration::from_secs(300),
        keep_delivered: Duration::from_secs(14 * DAY.unsigned_abs()),
        keep_dead: Duration::from_secs(30 * DAY.unsigned_abs()),
    }
}

async fn tool(config: &Config) -> Connection {
    Database::existing(&config.location).unwrap().connect().await.unwrap()
}

async fn run(connection: &mut Connection, sql: &'static str) {
    match connection {
        Connection::Postgres(on) => sqlx::raw_sql(sql).execute(&mut **on).await.map(drop),
        Connection::Sqlite(on, ..) => sqlx::raw_sql(sql).execute(on).await.map(drop),
    }
    .unwrap();
}

async fn number(connection: &mut Connection, sql: &'static str) -> i64 {
    query(sql).fetch_one(connection).await.unwrap().first().unwrap()
}

/// The first sign of life of a replica.
async fn join(ledger: &Ledger, seconds: i64) {
    let beat = Beat {
        name: String::new(),
        address: String::new(),
        version: String::new(),
        term: Duration::from_secs(10),
        joins: true,
        taking: true,
        budget: Use::default(),
    };
    in_time(ledger.beat(beat, at(seconds))).await.unwrap().expect("it has joined");
}

/// Starts announcing one content each, and returns when all of it is queued.
async fn queue(ledger: &Ledger, ids: &[&str]) -> JoinSet<(String, Result<(), LedgerError>)> {
    let before = ledger.commands.prompt();
    let mut announcing = JoinSet::new();
    for id in ids {
        let (ledger, id) = (ledger.clone(), (*id).to_owned());
        announcing.spawn(async move {
            let outcome = ledger.announce(Via::Webhook, vec![content(TENANT, &id)], at(0)).await;
            (id, outcome.map(drop))
        });
    }
    in_time(async {
        while ledger.commands.prompt() < before + ids.len() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    announcing
}

fn tenant(number: u128) -> TenantId {
    TenantId::from(Uuid::from_u128(number))
}

fn content(of: u128, id: &str) -> Announcement {
    Announcement {
        tenant: tenant(of),
        content_type: ContentType::Exchange,
        id: ContentId::parse(id).unwrap(),
        created: at(0),
        expires: at(7 * DAY),
    }
}

/// A moment in the ledger's life.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap() + SignedDuration::from_secs(seconds)
}

fn delivered(records: u64) -> Settlement {
    Settlement::Delivered { records, duplicates: 0, dead: Vec::new(), keys: Arc::default() }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("done in time")
}

const TENANT: u128 = 1;
const DAY: i64 = 24 * 60 * 60;
const LEASE: i64 = 300;
