//! The stored identities of delivered records.

use super::*;
use crate::{identity::Key, reason::Reason};

fn keys(numbers: std::ops::Range<u128>) -> Arc<[Key]> {
    numbers.map(|number| Key::from_bytes(number.to_le_bytes())).collect()
}

impl Running {
    /// Settles content of its own at a moment, with these keys.
    async fn deliver(&self, id: &str, numbers: std::ops::Range<u128>, seconds: i64) {
        self.announce(&[id], seconds).await;
        let lease = self.claim(1, seconds).await.remove(0);
        let settlement = Settlement::Delivered {
            records: 1,
            duplicates: 0,
            dead: Vec::new(),
            keys: keys(numbers),
        };
        assert_eq!(self.settle(&lease, settlement, seconds).await, Settled::Applied);
    }

    /// When each row was stored, and its keys.
    async fn remembered(&self, since: i64, most: usize) -> Vec<(i64, Vec<Key>)> {
        let mut identities = self.ledger.identities(at(since), most).await.unwrap();
        let mut found = Vec::new();
        while let Some(page) = in_time(identities.next()).await.unwrap() {
            found.extend(
                page.into_iter().map(|row| (row.at.duration_since(at(0)).as_secs(), row.keys)),
            );
        }
        found
    }
}

#[tokio::test]
async fn they_are_found_oldest_first_after_a_restart() {
    let running = Running::start().await;
    running.deliver("a", 0..3, 10).await;
    running.deliver("b", 3..4, 20).await;
    running.deliver("none", 0..0, 25).await;
    let secret = running.ledger.secret();
    let (directory, config) = running.kill().await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    assert_eq!(running.ledger.secret(), secret, "the keys stay good");
    let expected = [(10, keys(0..3).to_vec()), (20, keys(3..4).to_vec())];
    assert_eq!(running.remembered(0, 100).await, expected);
    assert_eq!(running.remembered(10, 100).await, expected);
    assert_eq!(running.remembered(11, 100).await, expected[1..]);
    assert_eq!(running.remembered(21, 100).await, []);
}

#[tokio::test]
async fn of_too_many_the_newest_are_read() {
    let running = Running::start().await;
    for (id, start) in [("a", 0), ("b", 10), ("c", 20)] {
        running.deliver(id, start..start + 10, 5).await;
    }
    let numbers =
        |found: Vec<(i64, Vec<Key>)>| -> usize { found.iter().map(|row| row.1.len()).sum() };
    for (most, expected) in [(30, 30), (29, 20), (20, 20), (19, 10), (9, 0), (0, 0)] {
        assert_eq!(numbers(running.remembered(0, most).await), expected, "{most}");
        assert_eq!(running.ledger.identities(at(0), most).await.unwrap().ahead(), most);
    }
    assert_eq!(running.ledger.identities(at(0), 1000).await.unwrap().ahead(), 30);
    assert_eq!(running.ledger.identities(at(6), 1000).await.unwrap().ahead(), 0);
    assert_eq!(running.remembered(0, 10).await, [(5, keys(20..30).to_vec())]);
}

#[tokio::test]
async fn a_large_content_takes_several_rows_and_many_rows_several_pages() {
    let running = Running::start().await;
    running.deliver("large", 0..10_000, 1).await;
    let found = running.remembered(0, 100_000).await;
    assert_eq!(found.iter().map(|row| row.1.len()).collect::<Vec<_>>(), [4096, 4096, 1808]);
    for number in 0..150_u32 {
        running.deliver(&format!("c{number}"), number.into()..(number + 1).into(), 2).await;
    }
    assert_eq!(running.remembered(2, 100_000).await.len(), 150);
    // More than a page, all of one moment.
    running.deliver("larger", 20_000..90_000, 3).await;
    let found = running.remembered(3, 100_000).await;
    let found: Vec<_> = found.into_iter().flat_map(|(_, keys)| keys).collect();
    assert!(found == keys(20_000..90_000).to_vec(), "{} keys", found.len());
}

#[tokio::test]
async fn what_arrived_of_content_that_failed_is_kept() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let lease = running.claim(1, 0).await.remove(0);
    in_time(running.ledger.remember(lease.key, keys(0..2), at(5))).await.unwrap();
    let again = Settlement::Retry { at: at(9), reason: Reason::CutBody };
    assert_eq!(running.settle(&lease, again, 6).await, Settled::Applied);
    assert_eq!(running.remembered(0, 100).await, [(5, keys(0..2).to_vec())]);
    assert_eq!(running.claim(1, 9).await.len(), 1);
}

#[tokio::test]
async fn a_stale_settlement_stores_nothing() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let old = running.claim(1, 0).await.remove(0);
    running.claim(1, LEASE + 1).await;
    let settlement =
        Settlement::Delivered { records: 1, duplicates: 0, dead: Vec::new(), keys: keys(0..1) };
    assert_eq!(running.settle(&old, settlement, LEASE + 2).await, Settled::Stale);
    assert_eq!(running.remembered(0, 100).await, []);
}

#[tokio::test]
async fn what_is_of_no_use_any_more_is_pruned() {
    let running = Running::start().await;
    running.deliver("a", 0..1, 10).await;
    running.deliver("b", 1..2, 20).await;
    let (_directory, config) = running.stop().await;
    let (ledger, mut writer) = Ledger::open(&config).await.unwrap();
    let rows = "SELECT COUNT(*) FROM identity";
    writer.now = Some(at(30));
    writer.prune().await;
    assert_eq!(number(&mut tool(&config).await, rows).await, 2, "nobody said so");
    ledger.forget_identities(at(20));
    writer.prune().await;
    assert_eq!(number(&mut tool(&config).await, rows).await, 1);
    ledger.forget_identities(at(21));
    writer.prune().await;
    assert_eq!(number(&mut tool(&config).await, rows).await, 0);
    assert_eq!(number(&mut tool(&config).await, "SELECT COUNT(*) FROM content").await, 2);
}
