//! The disk of the ledger is full, and has room again.
//!
//! The kernel's limit on the size of a file stands for the disk: what would make a file longer
//! than that fails, and the limit of a living process can be changed.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    process::Command,
    time::Duration,
};

use m365_collector::{content::ContentType, simulator::devo::fingerprint};
use rand::RngExt as _;
use sqlx::{
    Connection as _, Row as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::{RECORDS, seeded};
use crate::support::{
    books::Doomed,
    collector::{Collector, Site},
    eventually, get, patience, records,
};

const TYPE: ContentType = ContentType::Exchange;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the number is stated")]
async fn a_full_disk_acknowledges_nothing_it_cannot_store_and_recovers_by_itself() {
    let (_, mut random) = seeded();
    let mut site = Site::start(1, None, |world| {
        world.notification_retries = vec![Duration::from_millis(100); 10_000];
        world.notification_batch = 3;
    })
    .await;
    site.set("devo.confirm_interval", "300ms");
    // Without this, the process would be killed rather than told.
    let mut collector = site.run_after("trap '' XFSZ").await;
    site.registered(ContentType::ALL.len()).await;
    let mut published = Published::new();

    for round in 0..ROUNDS {
        for _ in 0..5 {
            publish(&site, &mut published, random.random());
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
        // Every other time not even standard error, which is a file here, can take a line.
        let most = if round % 2 == 1 { 512 } else { 64 * 1024 };
        let room = random.random_range(1..most);
        limit(&collector, &room.to_string());
        let full = site.simulator.clock().now();
        eventually("a notification is refused", async || {
            publish(&site, &mut published, random.random());
            let attempts = site.simulator.microsoft().attempts();
            attempts.iter().any(|attempt| attempt.at >= full && attempt.status == Some(503))
        })
        .await;
        assert_eq!(get(site.admin, "/livez").await.0, 200);
        eventually("it is not ready", async || get(site.admin, "/readyz").await.0 == 503).await;
        acknowledged_is_stored(&site).await;
        if round + 1 == ROUNDS {
            break;
        }
        limit(&collector, "unlimited");
        eventually("it is ready again", async || get(site.admin, "/readyz").await.0 == 200).await;
        let lines = (published.len() * RECORDS) as u64;
        let arrived = site.simulator.devo().wait_for(lines, patience()).await;
        arrived.expect("what was refused comes again");
        assert!(collector.process.is_running());
    }
    assert_eq!(site.simulator.devo().received().repeated, 0, "no confirmation was cut");

    // Killed while it can settle nothing: what has arrived and is not settled comes once more.
    collector.process.kill();
    acknowledged_is_stored(&site).await;
    let settled = delivered(&site).await;
    let collector = site.run().await;
    eventually("everything is delivered", async || delivered(&site).await.len() == published.len())
        .await;
    site.agrees(&Doomed::default()).await;
    let held = (published.len() - settled.len()) * RECORDS;
    assert_eq!(collector.stop().await.code, Some(0));
    let received = site.simulator.devo().received();
    eprintln!(
        "{ROUNDS} full disks, {} records: {} arrived, {} came again of at most {held} that were \
         unconfirmed when the process was killed",
        published.len() * RECORDS,
        received.distinct,
        received.repeated,
    );
    assert_eq!(received.distinct, (published.len() * RECORDS) as u64);
    assert!(received.repeated <= held as u64, "{} of {held}", received.repeated);
    for (id, content) in &published {
        let most = if settled.contains(id) { 1 } else { 2 };
        for record in content {
            let times = site.simulator.devo().times_received(record);
            assert!((1..=most).contains(&times), "{:x} {times} times", fingerprint(record));
        }
    }
}

/// The records of each content, by its id.
type Published = HashMap<String, Vec<Vec<u8>>>;

fn publish(site: &Site, published: &mut Published, seed: u64) {
    let content = records(seed, site.tenant(0), TYPE, RECORDS);
    let id = site.simulator.microsoft().publish(site.tenant(0), TYPE, &content);
    published.insert(id.as_str().to_owned(), content);
}

/// Every content of a notification that was answered with 200 is in the file.
async fn acknowledged_is_stored(site: &Site) {
    let attempts = site.simulator.microsoft().attempts();
    let stored = states(site).await;
    let acknowledged = attempts.iter().filter(|attempt| attempt.status == Some(200));
    for entry in acknowledged.flat_map(|attempt| attempt.entries.iter()) {
        assert!(stored.contains_key(&entry.content_id), "{} was acknowledged", entry.content_id);
    }
}

async fn delivered(site: &Site) -> HashSet<String> {
    let states = states(site).await.into_iter();
    states.filter(|(_, state)| state == "delivered").map(|(id, _)| id).collect()
}

/// The state of every content in the ledger, by its id.
async fn states(site: &Site) -> HashMap<String, String> {
    let path: &Path = &site.folder.path().join("ledger.db");
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut ledger = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query("SELECT content_id, state FROM content");
    let rows = rows.fetch_all(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
    rows.iter().map(|row| (row.get("content_id"), row.get("state"))).collect()
}

/// How long a file of this process may become.
fn limit(collector: &Collector, bytes: &str) {
    let process = collector.process.id().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &process, &limit]).status();
    assert!(status.expect("util-linux is installed").success(), "the limit can be set");
}

const ROUNDS: usize = 4;
