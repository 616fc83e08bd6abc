//! What a content costs with one replica, with two and with three on one database: time on the cores
//! of the replicas, and of the database, from the first claim to the last settlement, while there is
//! always something to claim. Whatever else a machine does adds to that and never takes away, so
//! each is done three times, in turns, and the least of them counts.
//!
//! It takes four minutes and is to have the machine for itself, so `tests/run` runs it before the
//! others; for figures, also those of two, `M365_TEST_REPLICAS=long M365_TEST_BINARY=target/release/m365-collector
//! cargo test --test it replicas::cost -- --nocapture`.

use std::{fs, time::Duration};

use m365_collector::{
    content::ContentType,
    simulator::{Fault, Operation},
};
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::{
    books::{Book, RECORDS, again, say},
    fleet::Fleet,
    lasting,
    watch::Ledger,
};
use crate::support::{eventually, postgres::Postgres};

#[tokio::test(flavor = "multi_thread")]
async fn a_content_costs_three_hardly_more_than_one() {
    let contents = usize::try_from(lasting(500, 4000).as_secs()).expect("it is small");
    let sizes: &[usize] = if contents > 500 { &[1, 2, 3] } else { &[1, 3] };
    let mut least = [f64::INFINITY; 4];
    for _ in 0..3 {
        for replicas in sizes.iter().copied() {
            let cost = cost(replicas, contents).await.per_content();
            least[replicas] = least[replicas].min(cost);
        }
    }
    let times = least[3] / least[1];
    say(&format!("three cost {times:.2} times what one does"));
    assert!(times <= 1.3, "{times:.2}");
}

/// Time on the cores.
struct Cost {
    replicas: Duration,
    database: Duration,
    contents: usize,
}

impl Cost {
    /// Seconds on a core for a content, of all parts together.
    fn per_content(&self) -> f64 {
        (self.replicas + self.database).as_secs_f64() / self.contents as f64
    }
}

async fn cost(replicas: usize, contents: usize) -> Cost {
    let server = Postgres::start();
    let database = server.database().await;
    let mut fleet = Fleet::new(&database, 3, replicas, |world| {
        world.notification_batch = 100;
    })
    .await;
    // What is compared is the work, not its limits.
    fleet.site.set("fetch.requests_per_minute", &1_000_000);
    fleet.site.set("devo.confirm_interval", "1s");
    fleet.start().await;
    let mut ledger = Ledger::new(&database);
    let mut connection = PgConnection::connect(&database).await.expect("the database is there");
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .expect("every server has one");
    let postmaster = Times::of(&backend.to_string()).expect("it lives").parent;
    let of_replicas = || {
        let processes = fleet.running().into_iter().map(|place| fleet.process(place).id());
        processes.filter_map(|id| Times::of(&id.to_string())).map(|times| times.own).sum()
    };
    let idle: (Duration, _) = (of_replicas(), family(&postmaster));
    tokio::time::sleep(IDLE).await;
    let of_core = |time: Duration| 100.0 * time.as_secs_f64() / IDLE.as_secs_f64();
    say(&format!(
        "{replicas} replicas with nothing to do: {:.1} % of a core, and {:.1} % for the database",
        of_core(of_replicas().saturating_sub(idle.0)),
        of_core(family(&postmaster).saturating_sub(idle.1)),
    ));
    let mut book = Book::new(1);
    let until = hold(&fleet, &mut book).await;
    while book.contents < contents {
        let (nth, most) = (book.contents, contents.min(book.contents + 100));
        for nth in nth..most {
            book.publish(fleet.site.simulator.microsoft(), fleet.site.tenant(nth % 3), of(nth / 3));
        }
        // The webhook takes its turn.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("everything is announced", async || ledger.count("TRUE").await == Some(contents))
        .await;
    assert!(Instant::now() < until, "announcing took too long");
    tokio::time::sleep_until(until).await;
    let (before, database_before): (Duration, _) = (of_replicas(), family(&postmaster));
    let started = Instant::now();
    let arrivals = book.delivered(&fleet, &mut ledger).await;
    let took = started.elapsed();
    let cost = Cost {
        replicas: of_replicas().saturating_sub(before),
        database: family(&postmaster).saturating_sub(database_before),
        contents,
    };
    assert_eq!(again(&arrivals).count(), 0, "nothing comes twice");
    let both = (cost.replicas + cost.database).as_secs_f64();
    say(&format!(
        "{replicas} replicas: {contents} contents of {RECORDS} records in {took:.1?}; {:.0} contents \
         for each second of the replicas on a core, {:.0} with the database, whose part is {:.0} %",
        contents as f64 / cost.replicas.as_secs_f64(),
        contents as f64 / both,
        100.0 * cost.database.as_secs_f64() / both,
    ));
    fleet.finish().await;
    cost
}

/// Keeps everybody from claiming until the moment that is returned.
async fn hold(fleet: &Fleet, book: &mut Book) -> Instant {
    let microsoft = fleet.site.simulator.microsoft();
    let pause = lasting(20, 100);
    let retry_after = Some(pause);
    microsoft.fail(Operation::Blob, Fault::Throttled429 { retry_after }, 3);
    for tenant in 0..3 {
        book.publish(microsoft, fleet.site.tenant(tenant), of(0));
    }
    eventually("all are throttled", async || {
        let requests = microsoft.requests();
        requests.iter().filter(|request| request.status == Some(429)).count() == 3
    })
    .await;
    let until = Instant::now() + pause;
    // The others look every second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    until
}

fn of(nth: usize) -> ContentType {
    ContentType::ALL[nth % ContentType::ALL.len()]
}

/// Time on the cores of a server with all its processes, also those that ended.
fn family(postmaster: &str) -> Duration {
    let first = Times::of(postmaster).expect("the server runs");
    let processes = fs::read_dir("/proc").expect("it is Linux").flatten();
    let processes = processes.filter_map(|entry| Times::of(entry.file_name().to_str()?));
    let children = processes.filter(|process| process.parent == postmaster);
    children.map(|child| child.own).sum::<Duration>() + first.own + first.of_the_dead
}

/// What the kernel counts of a process.
struct Times {
    parent: String,
    own: Duration,
    of_the_dead: Duration,
}

impl Times {
    fn of(process: &str) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name is in brackets and may hold anything.
        let fields: Vec<_> = text.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<u32>().ok().map(|ticks| TICK * ticks);
        Some(Self {
            parent: fields[1].to_owned(),
            own: ticks(11)? + ticks(12)?,
            of_the_dead: ticks(13)? + ticks(14)?,
        })
    }
}

const IDLE: Duration = Duration::from_secs(10);

/// In which `/proc/PID/stat` counts.
const TICK: Duration = Duration::from_millis(10);
