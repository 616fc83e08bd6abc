//! A newer version changes the schema while others work.

use super::*;
use crate::ledger::postgres::MIGRATIONS;

/// A database as an earlier version left it.
async fn at_step(step: i64) -> (TempDir, Config) {
    let (directory, config) = Running::site().await;
    let mut tool = tool(&config).await;
    let Connection::Postgres(connection) = &mut tool else { panic!("it is a server") };
    MIGRATIONS.run_direct(Some(step), &mut **connection, false).await.unwrap();
    (directory, config)
}

#[tokio::test]
async fn a_change_waits_for_those_who_work_and_holds_nobody_up() {
    let (directory, config) = at_step(7).await;
    let mut worker = tool(&config).await;
    run(
        &mut worker,
        "SET idle_in_transaction_session_timeout = 0; \
         BEGIN; INSERT INTO identity (content, at, number, keys) VALUES (1, 1, 0, '')",
    )
    .await;
    let mut opening = JoinSet::new();
    let place = config.clone();
    opening.spawn(async move { Ledger::open(&place).await.unwrap() });
    let waits = "SELECT COUNT(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut looker = tool(&config).await;
    in_time(async { while number(&mut looker, waits).await == 0 {} }).await;
    // Whoever comes now waits behind the change, but not for as long as the worker takes.
    in_time(number(&mut looker, "SELECT COUNT(*) FROM identity")).await;
    assert_eq!(number(&mut looker, "SELECT MAX(version) FROM _sqlx_migrations").await, 7);
    run(&mut worker, "COMMIT").await;
    let (ledger, writer) = in_time(opening.join_next()).await.unwrap().unwrap();
    assert_eq!(number(&mut looker, "SELECT COUNT(seq) FROM identity").await, 0);
    let running = Running::with(directory, config, ledger, writer);
    assert_eq!(running.announce(&["a"], 0).await, [Recorded::New]);
}

#[tokio::test]
async fn what_a_change_left_half_made_is_made_again() {
    let (directory, config) = at_step(9).await;
    let mut tool = tool(&config).await;
    run(&mut tool, "CREATE INDEX content_created ON content (created)").await;
    // As it is when its maker is killed.
    run(
        &mut tool,
        "SET allow_system_table_mods = on; UPDATE pg_index SET indisvalid = false \
         WHERE indexrelid = CAST('content_created' AS REGCLASS)",
    )
    .await;
    let mut opening = JoinSet::new();
    for _ in 0..3 {
        let config = config.clone();
        opening.spawn(async move { Ledger::open(&config).await.unwrap() });
    }
    let (ledger, writer) = in_time(opening.join_all()).await.pop().unwrap();
    let made = "SELECT COUNT(*) FROM pg_index WHERE indisvalid AND indnkeyatts = 3 \
         AND indexrelid = CAST('content_created' AS REGCLASS)";
    assert_eq!(number(&mut tool, made).await, 1);
    let running = Running::with(directory, config, ledger, writer);
    assert_eq!(running.announce(&["a"], 0).await, [Recorded::New]);
}

#[tokio::test]
async fn what_was_made_for_somebody_who_was_killed_is_taken_as_it_is() {
    let (directory, config) = at_step(9).await;
    let mut tool = tool(&config).await;
    run(&mut tool, created()).await;
    let made = number(&mut tool, CREATED).await;
    let (ledger, writer) = in_time(Ledger::open(&config)).await.unwrap();
    assert_eq!(number(&mut tool, CREATED).await, made);
    assert_eq!(number(&mut tool, "SELECT MAX(version) FROM _sqlx_migrations").await, 10);
    let running = Running::with(directory, config, ledger, writer);
    assert_eq!(running.announce(&["a"], 0).await, [Recorded::New]);
}

#[tokio::test]
async fn what_is_being_made_for_somebody_who_was_killed_is_waited_for() {
    let (_directory, config) = at_step(9).await;
    let mut looker = tool(&config).await;
    let mut worker = tool(&config).await;
    run(
        &mut worker,
        "SET idle_in_transaction_session_timeout = 0; BEGIN; \
         INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, expires, \
         announced, state, due) VALUES ('x', 'y', 'z', 'z', 'sweep', 0, 0, 0, 'waiting', 0)",
    )
    .await;
    let mut orphan = tool(&config).await;
    let mut making = JoinSet::new();
    making.spawn(async move {
        run(&mut orphan, "SET statement_timeout = 0; SET lock_timeout = 0").await;
        run(&mut orphan, created()).await;
    });
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    in_time(async { while number(&mut looker, waiting).await < 1 {} }).await;
    let begun = number(&mut looker, CREATED).await;
    let mut opening = JoinSet::new();
    let place = config.clone();
    opening.spawn(async move { Ledger::open(&place).await.unwrap() });
    let looking = "SELECT COUNT(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'SELECT 1 FROM pg_locks%'";
    in_time(async { while number(&mut looker, looking).await < 1 {} }).await;
    run(&mut worker, "ROLLBACK").await;
    in_time(making.join_next()).await.unwrap().unwrap();
    in_time(opening.join_next()).await.unwrap().unwrap();
    assert_eq!(number(&mut looker, CREATED).await, begun, "it is not made again");
    let whole = "SELECT COUNT(*) FROM pg_index WHERE indisvalid \
         AND indexrelid = CAST('content_created' AS REGCLASS)";
    assert_eq!(number(&mut looker, whole).await, 1);
    assert_eq!(number(&mut looker, "SELECT MAX(version) FROM _sqlx_migrations").await, 10);
}

/// What step 10 runs.
fn created() -> &'static str {
    MIGRATIONS.iter().find(|step| step.version == 10).unwrap().sql.as_str()
}

/// Which index it made: another one has another number.
const CREATED: &str = "SELECT CAST(CAST(CAST('content_created' AS REGCLASS) AS OID) AS BIGINT)";
