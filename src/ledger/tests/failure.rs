//! A database that refuses: one operation, one commit, for a while.

use super::*;

#[tokio::test]
async fn one_bad_operation_does_not_poison_its_group() {
    Running::fails_alone(
        "CREATE TRIGGER poison BEFORE INSERT ON content WHEN NEW.canonical_id = 'poison' \
         BEGIN SELECT RAISE(ABORT, 'poison'); END;",
    )
    .await;
}

#[tokio::test]
async fn a_failed_commit_fails_everyone_in_the_group_and_applies_nothing() {
    let (directory, config, ledger, writer) = opened().await;
    let mut tool = tool(&config).await;
    // A reference that is checked at the commit only.
    run(
        &mut tool,
        "CREATE TABLE late (content BIGINT REFERENCES content (id) DEFERRABLE INITIALLY DEFERRED); \
         CREATE TRIGGER late AFTER INSERT ON content WHEN NEW.canonical_id = 'bad' \
         BEGIN INSERT INTO late VALUES (-1); END;",
    )
    .await;
    let ids: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.insert(50, "bad");
    let announcing = queue(&ledger, &ids).await;
    let running = Running::with(directory, config, ledger, writer);
    for (id, outcome) in in_time(announcing.join_all()).await {
        assert!(matches!(outcome, Err(LedgerError::Unavailable(_))), "{id}: {outcome:?}");
    }
    assert_eq!(number(&mut tool, "SELECT COUNT(*) FROM content").await, 0);
    assert_eq!(running.announce(&["a"], 0).await, [Recorded::New]);
}

#[tokio::test]
async fn a_full_disk_makes_it_unavailable_until_there_is_room() {
    let (directory, config, ledger, writer) = opened().await;
    let running = Running::with(directory, config, ledger, with_room(writer, 60));
    let mut recorded = 0;
    let error = loop {
        let batch = (recorded..recorded + 50).map(|n| content(TENANT, &format!("c{n}")));
        match running.ledger.announce(Via::Sweep, batch.collect(), at(0)).await {
            Ok(_) => recorded += 50,
            Err(error) => break error,
        }
        assert!(recorded < 10_000, "the limit holds");
    };
    assert!(matches!(error, LedgerError::Unavailable(_)), "{error:?}");
    let mut tool = running.tool().await;
    let count = number(&mut tool, "SELECT COUNT(*) FROM content").await;
    assert_eq!(count, recorded, "what was acknowledged, and nothing else");

    run(&mut tool, "DELETE FROM content WHERE id % 2 = 0").await;
    assert_eq!(running.announce(&["new"], 1).await, [Recorded::New]);
    assert!(running.ledger.is_writable().await);
}

#[tokio::test]
async fn it_knows_whether_it_can_commit() {
    let (directory, config, ledger, mut writer) = opened().await;
    let Database::Sqlite(database) = &mut writer.database else { panic!("it is a file") };
    database.write = database.write.clone().busy_timeout(Duration::from_millis(20));
    writer.connection = None;
    let running = Running::with(directory, config, ledger, writer);
    assert!(running.ledger.is_writable().await);

    let mut tool = running.tool().await;
    run(&mut tool, "BEGIN IMMEDIATE").await;
    let refused = running.ledger.announce(Via::Sweep, vec![content(TENANT, "a")], at(0)).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    assert!(!running.ledger.is_writable().await);

    run(&mut tool, "ROLLBACK").await;
    assert!(running.ledger.is_writable().await, "found out by trying");
    assert_eq!(running.announce(&["a"], 0).await, [Recorded::New]);
}

async fn opened() -> (TempDir, Config, Ledger, Writer) {
    let (directory, config) = Running::site().await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    (directory, config, ledger, writer)
}
