//! The real binary killed at a hundred moments under load.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    time::Duration,
};

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};
use sqlx::{
    Connection as _, Row as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::seeded;
use crate::{
    crash::{Book, kill_again_and_again},
    support::{books::Doomed, collector::Site, eventually},
};

/// Between two kills a record may arrive once, and again after a kill only if its content was not
/// settled when the kill cut its session.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_lose_nothing_and_repeat_only_what_they_cut() {
    let (seed, _) = seeded();
    // Two collectors, because each spends much of its life waiting.
    tokio::join!(killed(seed, KILLS / 2), killed(seed.wrapping_add(1), KILLS / 2));
}

#[expect(clippy::print_stderr, reason = "the number is stated")]
async fn killed(seed: u64, kills: usize) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut site = Site::start(2, None, |world| {
        world.notification_retries = vec![Duration::from_millis(50); 10_000];
        world.notification_batch = 3;
    })
    .await;
    site.set("devo.confirm_interval", "100ms");
    site.set("log.filter", "info");
    let mut book = Book::new(seed);
    let ledger = site.folder.path().join("ledger.db");
    let devo = site.simulator.devo();
    let mut before = HashMap::new();
    let mut may_repeat: HashMap<u128, u32> = HashMap::new();
    let mut settled = HashSet::new();

    let collector = kill_again_and_again(&site, &mut book, &mut random, kills, 30, async |book| {
        eventually("the cut sessions are read to their ends", async || {
            let sessions = devo.received().sessions;
            sessions.opened == sessions.ended + sessions.broken
        })
        .await;
        let now = devo.arrivals();
        let settled_before = std::mem::replace(&mut settled, delivered(&ledger).await);
        for (record, content) in book.records() {
            let times = |arrivals: &HashMap<_, u32>| arrivals.get(&record).copied().unwrap_or(0);
            let arrived = times(&now) - times(&before);
            let id = content.as_str();
            assert!(arrived <= 1, "a record arrived {arrived} times in one life");
            assert!(arrived == 0 || !settled_before.contains(id), "a settled record came again");
            assert!(times(&now) > 0 || !settled.contains(id), "a settled record never arrived");
            if arrived == 1 && !settled.contains(id) {
                *may_repeat.entry(record).or_default() += 1;
            }
        }
        before = now;
    })
    .await;
    let said = collector.stop().await;
    assert_eq!(said.code, Some(0), "{}", said.err);

    let received = devo.received();
    let arrivals = devo.arrivals();
    for (record, _) in book.records() {
        let times = arrivals.get(&record).copied().unwrap_or(0);
        let cut = may_repeat.get(&record).copied().unwrap_or(0);
        assert!((1..=1 + cut).contains(&times), "arrived {times} times, {cut} times cut");
    }
    let held: u32 = may_repeat.values().sum();
    eprintln!(
        "{kills} kills, {} records in {} contents: none missing, {} came again of {held} that were \
         held unconfirmed when a kill cut their session",
        book.records().len(),
        book.contents(),
        received.repeated,
    );
    assert_eq!(received.distinct, book.records().len() as u64);
    assert_eq!(received.malformed, 0);
    site.agrees(&Doomed::default()).await;
}

/// The ids of what is settled as delivered, in a ledger nobody has open.
async fn delivered(ledger: &Path) -> HashSet<String> {
    let options = SqliteConnectOptions::new().filename(ledger);
    let mut ledger = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query("SELECT content_id FROM content WHERE state = 'delivered'");
    let rows = rows.fetch_all(&mut ledger).await.unwrap();
    let ids = rows.iter().map(|row| row.get("content_id")).collect();
    ledger.close().await.unwrap();
    ids
}

const KILLS: usize = 100;
