use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use prometheus::Registry;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::{
    content::{ContentId, ContentType},
    ledger,
    microsoft::world::{A, Asked, Reply, World, tenant, tenants},
};

/// A sweep of a world that answers as it says, and its ledger.
struct Site {
    sweep: Sweep,
    ledger: Ledger,
    _tasks: JoinSet<()>,
    _directory: TempDir,
}

impl Site {
    async fn start(world: &World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (ledger, writer) =
            Ledger::open(&ledger::tests::config(directory.path())).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { writer.run(Shutdown::new()).await.unwrap() });
        let config = Config {
            interval: Duration::from_secs(600),
            settle: None,
            startup_lookback: window::MAX_LOOKBACK,
        };
        let registry = Registry::new();
        let sweep = Sweep::new(
            config,
            world.client(),
            ledger.clone(),
            tenants(),
            Clock::system(),
            Announced::register(&registry, &tenants()).unwrap(),
            Metrics::register(&registry, &tenants()).unwrap(),
        );
        Self { sweep, ledger, _tasks: tasks, _directory: directory }
    }

    /// Sweeps the last week of one feed once.
    async fn week(&self) -> Result<(), ListError> {
        let tenants = tenants();
        let tenant = tenants.find(tenant(A)).unwrap();
        let mut feed = Feed::new(ContentType::General, Completed::default());
        self.sweep.sweep(&tenant, &mut feed, window::MAX_LOOKBACK).await
    }

    async fn swept(&self) -> Vec<SweepDepth> {
        let swept = self.ledger.sweeps(tenant(A)).await.unwrap();
        swept.into_iter().map(|swept| swept.depth).collect()
    }

    /// The ids of what is due.
    async fn known(&self) -> Vec<String> {
        let leases = self.ledger.claim(tenant(A), 1000, now()).await.unwrap();
        let mut ids: Vec<_> = leases.iter().map(|it| it.announcement.id.to_string()).collect();
        ids.sort();
        ids
    }
}

/// How many hours before now the window ends that is asked for.
fn end(asked: &Asked) -> i64 {
    let (_, end) = asked.query.split_once("endTime=").unwrap();
    let end = end.split('&').next().unwrap().replace("%3A", ":");
    let end: Timestamp = format!("{end}Z").parse().unwrap();
    now().duration_since(end).as_hours()
}

fn now() -> Timestamp {
    Clock::system().now()
}

fn entry(id: &str) -> String {
    let id = ContentId::parse(id).unwrap();
    format!(r#"{{"contentId":"{id}","contentCreated":"{}"}}"#, now())
}

#[tokio::test]
async fn a_day_that_cannot_be_listed_hides_no_other() {
    let ends = Arc::new(Mutex::new(BTreeMap::<i64, u32>::new()));
    let seen = ends.clone();
    let world = World::api(move |asked| {
        let end = end(asked);
        *seen.lock().unwrap().entry(end).or_default() += 1;
        match end {
            24 => Reply::new(400, r#"{"error":{"code":"AF20055"}}"#),
            _ => Reply::new(200, format!("[{}]", entry(&format!("of-{end}")))),
        }
    })
    .await;
    let site = Site::start(&world).await;
    assert!(site.week().await.is_err());
    let asked: Vec<_> = ends.lock().unwrap().keys().copied().collect();
    assert_eq!(asked, [0, 24, 48, 72, 96, 120, 144]);
    let expected = ["of-0", "of-120", "of-144", "of-48", "of-72", "of-96"];
    assert_eq!(site.known().await, expected);
    // The day before yesterday is not known, so no more than a day is.
    let mut swept = site.swept().await;
    swept.sort_by_key(|depth| depth.as_str());
    assert_eq!(swept, [SweepDepth::Day, SweepDepth::Recent]);
}

#[tokio::test]
async fn the_last_hours_are_swept_where_their_day_cannot_be() {
    let world = World::api(|asked| {
        let (_, start) = asked.query.split_once("startTime=").unwrap();
        let start = start.split('&').next().unwrap().replace("%3A", ":");
        let start: Timestamp = format!("{start}Z").parse().unwrap();
        match now().duration_since(start).as_hours() {
            0..3 => Reply::new(200, format!("[{}]", entry("young"))),
            _ => Reply::new(400, r#"{"error":{"code":"AF20055"}}"#),
        }
    })
    .await;
    let site = Site::start(&world).await;
    assert!(site.week().await.is_err());
    assert_eq!(site.known().await, ["young"]);
    assert_eq!(site.swept().await, [SweepDepth::Recent]);
}

#[tokio::test]
async fn a_page_that_names_one_elsewhere_keeps_what_it_lists() {
    for elsewhere in ["https://evil.example/next", "http://[broken"] {
        let world = World::api(move |_| {
            Reply::new(200, format!("[{}]", entry("a"))).header("NextPageUri", elsewhere)
        })
        .await;
        let site = Site::start(&world).await;
        assert!(site.week().await.is_err(), "the rest is not known");
        assert_eq!(site.known().await, ["a"]);
        assert!(site.swept().await.is_empty());
    }
}
