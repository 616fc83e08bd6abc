//! `ledger`: what a content costs the ledger while few or very many others wait.
//!
//! Ledgers in files on disk with different numbers of waiting contents, of which one third is due
//! and two thirds wait for another try. In turns, the same number of contents is announced, claimed
//! and settled in each, so that what waits stays as much as it was. Contents are announced ten at a
//! time by eight callers, claimed as many as a pipeline has places, and settled all at once, as
//! they are when a session is confirmed.
//!
//! The same is done on a `PostgreSQL` server of its own, with its settings as they come. Its own CPU
//! is not in the figures.
//!
//! No identities are settled with them: their cost depends on the records, not on what waits, and
//! would only hide a difference.

#[expect(dead_code, reason = "the server is not ended here")]
#[path = "../it/support/postgres.rs"]
mod postgres;
mod support;

use std::{fs, process::ExitCode, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use m365_collector::{
    content::{Announcement, ContentId, ContentType, TenantId, Via},
    ledger::{Config, Lease, Ledger, LedgerError, Location, Server, Settled, Settlement},
    reason::Reason,
    shutdown::Shutdown,
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

use support::{Arguments, Column, Cost, Limit, Meter, Report, Spread, Table, number, text};

fn main() -> ExitCode {
    let arguments = Arguments::read(
        "ledger",
        "What a content costs the ledger while few or very many others wait.",
    );
    let mut report = Report::new("ledger", arguments.quick);
    let waiting = arguments.amount([1_000, 100_000, 1_000_000], [1_000, 10_000, 100_000]);
    let rounds = arguments.amount(15, 5);
    // One thread, so that no work is moved between cores within a measurement.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");

    let mut shelves: Vec<Shelf> =
        waiting.iter().map(|waiting| runtime.block_on(Shelf::in_file(*waiting))).collect();
    let server = postgres::Postgres::start();
    let mut remote: Vec<Shelf> = waiting[..2]
        .iter()
        .map(|waiting| runtime.block_on(Shelf::on_server(&server, *waiting)))
        .collect();
    for round in 0..=rounds {
        for shelf in shelves.iter_mut().chain(&mut remote) {
            let turn = runtime.block_on(shelf.turn());
            // The first round warms up and is not counted.
            if round > 0 {
                shelf.turns.push(turn);
            }
        }
    }

    tables(&shelves, &mut report);
    costs("On a server", &remote, &mut report);
    let limits: Vec<_> = shelves.iter().map(Shelf::cpu).collect();
    let [fewest, .., most] = &*limits else { unreachable!("there are three") };
    let names = STEPS.map(|step| format!("{step}, most / fewest waiting (CPU)"));
    for ((name, most), fewest) in names.iter().zip(most).zip(fewest) {
        report.limit(name, most / fewest, Limit::AtMost(1.3));
    }
    let sum = |cpu: &[f64; 3]| cpu.iter().sum::<f64>();
    report.limit("together (CPU)", sum(most) / sum(fewest), Limit::AtMost(1.3));
    report.finish()
}

fn costs(place: &str, shelves: &[Shelf], report: &mut Report) {
    let mut table = Table::new(
        &format!("{place}, cost of a content: median of rounds of {TURN} contents"),
        [
            Column::new("waiting", "contents"),
            Column::new("announce", "CPU us"),
            Column::new("claim", "CPU us"),
            Column::new("settle", "CPU us"),
            Column::new("announce", "wall us"),
            Column::new("claim", "wall us"),
            Column::new("settle", "wall us"),
            Column::new("together", "CPU us"),
        ],
    );
    for shelf in shelves {
        let (cpu, wall) = (shelf.cpu(), shelf.wall());
        let mut row = vec![text(shelf.waiting.to_string())];
        row.extend(cpu.iter().chain(&wall).map(|micros| number(*micros, 1)));
        row.push(number(cpu.iter().sum(), 1));
        table.row(row);
    }
    report.table(&table);
}

fn tables(shelves: &[Shelf], report: &mut Report) {
    costs("In a file", shelves, report);
    let mut table = Table::new(
        "Filling it, a thousand at a time, and what that makes of the file",
        [
            Column::new("waiting", "contents"),
            Column::new("announce", "CPU us"),
            Column::new("file", "MB"),
            Column::new("per content", "bytes"),
        ],
    );
    for shelf in shelves {
        let waiting = f64::from(shelf.waiting);
        table.row([
            text(shelf.waiting.to_string()),
            number(shelf.filling.cpu.as_secs_f64() * 1e6 / waiting, 1),
            number(shelf.file as f64 / 1e6, 1),
            number(shelf.file as f64 / waiting, 0),
        ]);
    }
    report.table(&table);
}

/// A ledger, and what its operations cost.
struct Shelf {
    ledger: Ledger,
    writer: JoinSet<Result<(), LedgerError>>,
    stop: Shutdown,
    /// Where the file is, if it is one.
    _folder: Option<TempDir>,
    waiting: u32,
    /// Contents announced so far.
    announced: u32,
    now: Timestamp,
    filling: Cost,
    /// Its size once filled.
    file: u64,
    /// Costs of announcing, claiming and settling [`TURN`] contents.
    turns: Vec<[Cost; 3]>,
}

impl Shelf {
    /// A file in which so many contents wait.
    async fn in_file(waiting: u32) -> Self {
        // Not below /tmp, which may be memory.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the folder is ours");
        let path = folder.path().join("ledger.db");
        let mut shelf = Self::filled(Location::Sqlite(path.clone()), Some(folder), waiting).await;
        shelf.file = fs::metadata(path).expect("it is there").len();
        shelf
    }

    /// A database on a server in which so many contents wait.
    async fn on_server(server: &postgres::Postgres, waiting: u32) -> Self {
        let address = Server::parse(&server.database().await).expect("it is one");
        Self::filled(Location::Postgres(address), None, waiting).await
    }

    async fn filled(location: Location, folder: Option<TempDir>, waiting: u32) -> Self {
        let (ledger, writer, stop) = open(&location).await;
        let mut shelf = Self {
            ledger,
            writer,
            stop,
            _folder: folder,
            waiting,
            announced: 0,
            now: BEGINNING,
            filling: Cost::default(),
            file: 0,
            turns: Vec::new(),
        };
        shelf.fill().await;
        // Closing moves all of the log into the file.
        shelf.stop.request();
        shelf.writer.join_next().await.expect("it ran").expect("no panic").expect("closed");
        (shelf.ledger, shelf.writer, shelf.stop) = open(&location).await;
        shelf
    }

    async fn fill(&mut self) {
        let meter = Meter::here();
        let mut left = self.waiting;
        while left > 0 {
            let step = left.min(1000);
            let contents = self.contents(step);
            let recorded = self.ledger.announce(Via::Webhook, contents, self.now).await;
            recorded.expect("the disk has room");
            left -= step;
        }
        self.filling = meter.cost();
        // As an outage leaves it: most of what waits was tried and waits for another try.
        let tried = self.waiting / 3 * 2;
        let mut left = tried;
        let at = self.now + SignedDuration::from_hours(240);
        while left > 0 {
            let settlement = Settlement::Retry { at, reason: Reason::Timeout };
            let leases = self.claim(left.min(PLACES * 8)).await;
            left -= u32::try_from(leases.len()).expect("few were asked for");
            self.settle(leases, &settlement).await;
        }
    }

    /// Announces, claims and settles as many.
    async fn turn(&mut self) -> [Cost; 3] {
        let meter = Meter::here();
        let contents = self.contents(TURN);
        self.announce(contents).await;
        let announce = meter.cost();

        let meter = Meter::here();
        let mut leases = Vec::new();
        while leases.len() < TURN as usize {
            leases.extend(self.claim(PLACES).await);
        }
        let claim = meter.cost();

        let keys = Arc::new([]);
        let settlement = Settlement::Delivered { records: 700, duplicates: 3, dead: vec![], keys };
        let meter = Meter::here();
        self.settle(leases, &settlement).await;
        [announce, claim, meter.cost()]
    }

    async fn announce(&self, contents: Vec<Announcement>) {
        let mut callers = JoinSet::new();
        for contents in contents.chunks(contents.len().div_ceil(CALLERS)) {
            let (ledger, contents, now) = (self.ledger.clone(), contents.to_vec(), self.now);
            callers.spawn(async move {
                for notification in contents.chunks(10) {
                    let recorded = ledger.announce(Via::Webhook, notification.to_vec(), now).await;
                    recorded.expect("the disk has room");
                }
            });
        }
        callers.join_all().await;
    }

    /// Of each tenant in its turn, as a fair pipeline does.
    async fn claim(&mut self, limit: u32) -> Vec<Lease> {
        self.now += SignedDuration::from_millis(10);
        let turn = self.now.as_millisecond() / 10 % i64::from(TENANTS);
        let tenant = tenant(u32::try_from(turn).expect("a remainder is small"));
        self.ledger.claim(tenant, limit, self.now).await.expect("the ledger is well")
    }

    async fn settle(&self, leases: Vec<Lease>, settlement: &Settlement) {
        let mut callers = JoinSet::new();
        for lease in leases {
            let (ledger, settlement, now) = (self.ledger.clone(), settlement.clone(), self.now);
            callers.spawn(async move { ledger.settle(lease.key, settlement, now).await });
        }
        for settled in callers.join_all().await {
            assert_eq!(settled.expect("the disk has room"), Settled::Applied);
        }
    }

    /// The next contents, as Microsoft names them: by the time, the feed and the data centre.
    fn contents(&mut self, count: u32) -> Vec<Announcement> {
        self.now += SignedDuration::from_secs(1);
        let made = (0..count).map(|_| {
            self.announced += 1;
            let number = self.announced;
            let content_type = ContentType::ALL[number as usize / TENANTS as usize % 5];
            let feed = content_type.as_str();
            let at = self.now.as_second();
            let lower = feed.to_lowercase().replace('.', "_");
            let id = format!("{at}{number:010}$20260105094512345$${lower}${feed}$na0017");
            Announcement {
                tenant: tenant(number % TENANTS),
                content_type,
                id: ContentId::parse(&id).expect("it is one"),
                created: self.now,
                expires: self.now + SignedDuration::from_hours(7 * 24),
            }
        });
        made.collect()
    }

    fn cpu(&self) -> [f64; 3] {
        self.per_content(|cost| cost.cpu)
    }

    fn wall(&self) -> [f64; 3] {
        self.per_content(|cost| cost.wall)
    }

    /// Microseconds.
    fn per_content(&self, part: impl Fn(&Cost) -> Duration) -> [f64; 3] {
        [0, 1, 2].map(|step: usize| {
            let costs = self.turns.iter().map(|turn| part(&turn[step]));
            Spread::of_durations(costs).median() * 1e6 / f64::from(TURN)
        })
    }
}

async fn open(location: &Location) -> (Ledger, JoinSet<Result<(), LedgerError>>, Shutdown) {
    let day = Duration::from_secs(24 * 3600);
    let (ledger, writer) = Ledger::open(&Config {
        location: location.clone(),
        lease: Duration::from_secs(300),
        keep_delivered: 14 * day,
        keep_dead: 30 * day,
    })
    .await
    .expect("a ledger can be made");
    let stop = Shutdown::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run(stop.clone()));
    (ledger, tasks, stop)
}

fn tenant(number: u32) -> TenantId {
    Uuid::from_u128(u128::from(number) + 1).into()
}

const STEPS: [&str; 3] = ["announce", "claim", "settle"];

/// Contents announced, claimed and settled in one turn; less than are due in the smallest ledger.
const TURN: u32 = 320;

/// The default of `fetch.concurrency`.
const PLACES: u32 = 32;

const CALLERS: usize = 8;

const TENANTS: u32 = 10;

/// 2026-01-05T08:00:00Z
const BEGINNING: Timestamp = Timestamp::constant(1_767_600_000, 0);
