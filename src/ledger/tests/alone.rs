//! What is particular to a file of one process, among the tests of replicas.

use sqlx::AssertSqlSafe;

use super::*;
use crate::{
    identity::Key,
    ledger::{Duty, LeaseKey, following},
};

#[tokio::test]
async fn the_only_process_forgets_everybody_before_it() {
    let running = Running::start().await;
    join(&running.ledger, 0).await;
    let (_directory, config) = running.kill().await;
    let (ledger, _writer) = Ledger::open(&config).await.unwrap();
    assert_eq!(ledger.replicas().await.unwrap(), []);
    assert!(!ledger.is_shared());
}

#[tokio::test]
async fn nobody_follows_where_nobody_shares() {
    let running = Running::start().await;
    assert!(running.ledger.follow().await.unwrap().is_none());
    let (lease, keys) = (LeaseKey { content: 1, token: 1 }, [Key::from_bytes([1; 16])]);
    in_time(running.ledger.remember(lease, keys.into(), at(1))).await.unwrap();
    let mut tool = running.tool().await;
    let alone = "SELECT COUNT(*) FROM identity WHERE replica IS NULL AND seq IS NULL";
    assert_eq!(number(&mut tool, alone).await, 1, "and nothing is indexed for it");
}

#[tokio::test]
async fn looking_costs_what_is_new() {
    let running = Running::start().await;
    let mut tool = running.tool().await;
    for statement in [following::NUMBERS, following::NEXT, following::TOP] {
        let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let Connection::Sqlite(tool, ..) = &mut tool else { unreachable!("it is a file") };
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).fetch_all(tool).await.unwrap();
        let plan: Vec<_> = plan.into_iter().map(|row| row.3).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("identity_seq (replica=?"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn only_the_holder_of_the_duty_prunes() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let lease = running.claim(1, 0).await.remove(0);
    running.settle(&lease, delivered(1), 0).await;
    let one = running.ledger.as_another();
    join(&one, 1).await;
    let fence = in_time(one.take(vec![(Duty::Prune, 0)], at(1))).await.unwrap().remove(0);
    let holder = one.replica().to_string();
    let (_directory, config) = running.stop().await;
    drop(one);
    let (ledger, mut writer) = Ledger::open(&config).await.unwrap();
    writer.now = Some(at(14 * DAY));
    let mut tool = tool(&config).await;
    let rows = "SELECT COUNT(*) FROM content";

    ledger.prune_under(None);
    writer.prune().await;
    assert_eq!(number(&mut tool, rows).await, 1, "another does");
    // Opening the file took every duty back.
    ledger.prune_under(Some(fence));
    writer.prune().await;
    assert_eq!(number(&mut tool, rows).await, 1, "the duty is not ours any more");
    let give = query("UPDATE duty SET holder = $1").bind(holder);
    give.execute(&mut tool).await.unwrap();
    writer.prune().await;
    assert_eq!(number(&mut tool, rows).await, 0);
}
