//! What one replica stores and another reads.

use super::*;
use crate::{
    identity::Key,
    ledger::{Following, LeaseKey},
};

fn keys(numbers: std::ops::Range<u128>) -> Arc<[Key]> {
    numbers.map(|number| Key::from_bytes(number.to_le_bytes())).collect()
}

async fn store(ledger: &Ledger, numbers: std::ops::Range<u128>) {
    let lease = LeaseKey { content: 1, token: 1 };
    in_time(ledger.remember(lease, keys(numbers), at(1))).await.unwrap();
}

/// Everything that is there, as numbers.
async fn read(following: &mut Following) -> Vec<u128> {
    let mut numbers = Vec::new();
    loop {
        let (rows, more) = in_time(following.next()).await.unwrap();
        let keys = rows.iter().flat_map(|row| &row.keys);
        numbers.extend(keys.map(|key| u128::from_le_bytes(key.to_bytes())));
        if !more {
            return numbers;
        }
    }
}

async fn follow(ledger: &Ledger) -> Following {
    ledger.follow().await.unwrap().expect("others share it")
}

#[tokio::test]
async fn each_reads_what_others_store_once_and_nothing_of_its_own() {
    let running = Running::start().await;
    let (one, other) = (running.ledger.as_another(), running.ledger.as_another());
    join(&one, 0).await;
    join(&other, 0).await;
    let (mut of_one, mut of_other) = (follow(&one).await, follow(&other).await);
    store(&one, 0..3).await;
    store(&other, 10..12).await;
    store(&one, 3..4).await;
    assert_eq!(read(&mut of_other).await, [0, 1, 2, 3]);
    assert_eq!(read(&mut of_one).await, [10, 11]);
    assert_eq!(read(&mut of_other).await, [], "once");
    // One that joins later is followed from its beginning.
    let third = running.ledger.as_another();
    join(&third, 0).await;
    store(&third, 20..21).await;
    assert_eq!(read(&mut of_one).await, [20]);
    assert_eq!(read(&mut of_other).await, [20]);
    // What one delivered last is read when it is gone, too.
    store(&one, 5..6).await;
    in_time(one.leave(0, at(5))).await.unwrap();
    assert_eq!(read(&mut of_other).await, [5]);
}

#[tokio::test]
async fn what_is_committed_late_is_not_missed() {
    let running = Running::start().await;
    let (one, other) = (running.ledger.as_another(), running.ledger.as_another());
    join(&one, 0).await;
    let mut following = follow(&other).await;
    for number in 0..10 {
        store(&one, number..number + 1).await;
    }
    // Transactions with the numbers 2, 3, 4 and 8 are not committed yet.
    let mut tool = running.tool().await;
    run(&mut tool, "CREATE TABLE late AS SELECT * FROM identity WHERE seq IN (2, 3, 4, 8)").await;
    run(&mut tool, "DELETE FROM identity WHERE seq IN (2, 3, 4, 8)").await;
    assert_eq!(read(&mut following).await, [0, 4, 5, 6, 8, 9]);
    run(&mut tool, "INSERT INTO identity SELECT * FROM late WHERE seq IN (3, 8)").await;
    assert_eq!(read(&mut following).await, [2, 7]);
    store(&one, 10..11).await;
    run(&mut tool, "INSERT INTO identity SELECT * FROM late WHERE seq IN (4)").await;
    assert_eq!(read(&mut following).await, [10, 3]);
    run(&mut tool, "INSERT INTO identity SELECT * FROM late WHERE seq IN (2)").await;
    assert_eq!(read(&mut following).await, [1]);
    assert_eq!(read(&mut following).await, []);
}

#[tokio::test]
async fn pages_are_bounded_and_a_beginning_may_repeat_the_last_rows_only() {
    let running = Running::start().await;
    let (one, other) = (running.ledger.as_another(), running.ledger.as_another());
    join(&one, 0).await;
    let mut following = follow(&other).await;
    store(&one, 0..200_000).await;
    let (rows, more) = in_time(following.next()).await.unwrap();
    let first: usize = rows.iter().map(|row| row.keys.len()).sum();
    assert!(more && first < 75_000, "{first}");
    assert_eq!(read(&mut following).await.len(), 200_000 - first);
    let mut tool = running.tool().await;
    run(&mut tool, "UPDATE identity SET seq = seq + 5000").await;
    assert_eq!(read(&mut follow(&other).await).await.len(), 200_000, "49 rows, which may be known");
    run(&mut tool, "UPDATE identity SET seq = seq * 100").await;
    let repeated = read(&mut follow(&other).await).await.len();
    assert!(repeated < 12 * 4096, "of the last 1024 numbers: {repeated}");
}
