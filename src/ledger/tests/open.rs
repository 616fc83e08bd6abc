//! Opening: creation, the lock, crashes, and files that are something else.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::{
    ledger::{Backfill, LeaseKey, OpenError, prune::Retention, sqlite::Synced},
    reason::Reason,
};

#[tokio::test]
async fn an_empty_file_gets_the_schema_once() {
    let (directory, config) = Running::start().await.stop().await;
    let schema = "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('content', 'dead_letter')";
    assert_eq!(number(&mut tool(&config).await, schema).await, 2);
    assert_eq!(number(&mut tool(&config).await, "PRAGMA auto_vacuum").await, 2);
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    assert_eq!(running.announce(&["a"], 0).await, [Recorded::New]);
}

#[tokio::test]
async fn commits_reach_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut writer) = Ledger::open(&config(directory.path())).await.unwrap();
    let connection = writer.connection.as_mut().unwrap();
    let mode = query("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
    let mode: String = mode.first().unwrap();
    assert_eq!(mode, "wal");
    assert_eq!(number(connection, "PRAGMA synchronous").await, 2, "FULL");
    assert_eq!(number(connection, "PRAGMA foreign_keys").await, 1);
}

#[tokio::test]
async fn a_loss_of_power_may_take_leases_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, mut writer) = Ledger::open(&config(directory.path())).await.unwrap();
    let claim = ledger.claim(tenant(TENANT), 1, at(0));
    assert_eq!(synced(&mut writer, claim).await, Synced::Later);
    let leases = vec![LeaseKey { content: 1, token: 1 }];
    let renew = ledger.renew(leases.clone(), at(0));
    assert_eq!(synced(&mut writer, renew).await, Synced::Later);
    let announce = ledger.announce(Via::Webhook, vec![content(TENANT, "a")], at(0));
    assert_eq!(synced(&mut writer, announce).await, Synced::Now);
    for settlement in [delivered(1), Settlement::Release] {
        let settle = ledger.settle(leases[0], settlement, at(0));
        assert_eq!(synced(&mut writer, settle).await, Synced::Now);
    }
    assert_eq!([Synced::Later, Synced::Now].into_iter().min(), Some(Synced::Now), "as a group");

    let connection = writer.connection.as_mut().unwrap();
    for (synced, level) in [(Synced::Later, 1), (Synced::Now, 2), (Synced::Later, 1)] {
        connection.begin_synced(synced).await.unwrap();
        assert_eq!(number(connection, "PRAGMA synchronous").await, level, "{synced:?}");
        connection.commit().await.unwrap();
    }
    // Of what is rolled back before anything was run, nothing is believed.
    connection.begin().await.unwrap();
    connection.rollback().await.unwrap();
    connection.begin().await.unwrap();
    assert_eq!(number(connection, "PRAGMA synchronous").await, 2, "FULL");
}

/// When what is asked for has to be on the disk.
async fn synced<T>(writer: &mut Writer, asked: impl Future<Output = T>) -> Synced {
    tokio::select! {
        _ = asked => panic!("nobody answers"),
        command = writer.queue.next() => command.unwrap().synced(),
    }
}

#[tokio::test]
async fn files_are_private() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let modes: Vec<(String, u32)> = fs::read_dir(running.directory.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            (entry.file_name().into_string().unwrap(), mode & 0o777)
        })
        .collect();
    assert!(modes.len() >= 3, "{modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_ends() {
    let running = Running::start().await;
    let refused = Ledger::open(&running.config).await.err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains("ledger.db"), "{refused}");

    // Another name for the file is no way around.
    let link = running.directory.path().join("link.db");
    let Location::Sqlite(path) = &running.config.location else { panic!("it is a file") };
    std::os::unix::fs::symlink(path, &link).unwrap();
    let by_link = Config { location: Location::Sqlite(link), ..running.config.clone() };
    let refused = Ledger::open(&by_link).await.err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");

    let (_directory, config) = running.stop().await;
    assert!(Ledger::open(&config).await.is_ok());
}

#[tokio::test]
async fn a_clean_end_leaves_nothing_in_the_log() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let (directory, _) = running.stop().await;
    let log = fs::metadata(directory.path().join("ledger.db-wal"));
    assert!(log.map_or(0, |log| log.len()) == 0);
}

#[tokio::test]
async fn everything_acknowledged_survives_an_end_without_notice() {
    let running = Running::start().await;
    running.announce(&["a", "b"], 0).await;
    let lease = running.claim(1, 0).await.remove(0);
    running.announce(&["c"], 1).await;

    // The files as a killed process leaves them.
    let left = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(running.directory.path().join(name), left.path().join(name)).unwrap();
    }
    let copy = config(left.path());
    let reader = Reader::open(&copy).await.unwrap();
    assert_eq!(reader.status(at(1)).await.unwrap()[0].leased, 1);
    drop(reader);
    survived(left, copy, lease.clone()).await;

    let (directory, config) = running.kill().await;
    survived(directory, config, lease).await;
}

async fn survived(directory: TempDir, config: Config, lease: Lease) {
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    // Nobody waits for a lease whose holder is gone with its process.
    let claimed = running.claim(10, 1).await;
    assert_eq!(claimed.len(), 3);
    let again = claimed.iter().find(|claimed| claimed.announcement == lease.announcement);
    assert_eq!(again.unwrap().last_reason, Some(Reason::LeaseLost));
    assert_eq!(running.settle(&lease, delivered(1), 1).await, Settled::Stale);
}

#[tokio::test]
async fn what_is_no_ledger_is_refused_by_name_and_with_advice() {
    let (_directory, config) = Running::site().await;
    let Location::Sqlite(path) = &config.location else { panic!("it is a file") };
    fs::write(path, "certainly not a database, and long enough ".repeat(100)).unwrap();
    for refused in
        [Ledger::open(&config).await.err().unwrap(), Reader::open(&config).await.err().unwrap()]
    {
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
        let text = refused.to_string();
        assert!(text.contains("ledger.db") && text.contains("move it away"));
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_unless_that_has_only_added_to_it() {
    let (directory, config) = Running::start().await.stop().await;
    run(
        &mut tool(&config).await,
        "INSERT INTO _sqlx_migrations SELECT 9000, 'later', installed_on, success, checksum, \
         execution_time FROM _sqlx_migrations LIMIT 1; \
         ALTER TABLE content ADD COLUMN later TEXT",
    )
    .await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    running.announce(&["a"], 0).await;
    assert_eq!(running.reader().await.status(at(0)).await.unwrap()[0].waiting, 1);
    Backfill::open(&running.config).await.unwrap();
    let (_directory, config) = running.stop().await;

    run(&mut tool(&config).await, "UPDATE schema_floor SET step = 9000").await;
    for refused in [
        Ledger::open(&config).await.err().unwrap(),
        Reader::open(&config).await.err().unwrap(),
        Backfill::open(&config).await.err().unwrap(),
    ] {
        assert!(matches!(refused, OpenError::Schema { step: 9000, .. }), "{refused:?}");
        assert!(refused.to_string().contains("newer"), "{refused}");
    }
}

#[tokio::test]
async fn a_reader_does_not_bring_a_file_up_to_date() {
    let (_directory, config) = Running::start().await.stop().await;
    run(&mut tool(&config).await, "DELETE FROM _sqlx_migrations").await;
    let refused = Reader::open(&config).await.err().unwrap();
    assert!(matches!(refused, OpenError::Outdated { step: 1, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_place_that_cannot_be_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory.path().join("missing"));
    let refused = Ledger::open(&config).await.err().unwrap();
    assert!(matches!(refused, OpenError::File { .. }), "{refused:?}");
    let refused = Reader::open(&config).await.err().unwrap();
    assert!(matches!(refused, OpenError::Missing { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_file_of_an_older_version_waits_for_its_service() {
    let running = Running::start().await;
    run(&mut running.tool().await, "DELETE FROM _sqlx_migrations WHERE version = 2").await;
    let refused = Backfill::open(&running.config).await.err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
}

#[tokio::test]
async fn the_writer_prunes_by_itself_and_the_file_shrinks() {
    let (directory, config) = Running::start().await.stop().await;
    let mut tool = tool(&config).await;
    run(
        &mut tool,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, \
         expires, announced, state, due, settled) SELECT 'x', 'y', i, i, 'sweep', 0, 0, 0, \
         'delivered', 0, 0 FROM n",
    )
    .await;
    let full = number(&mut tool, "PRAGMA page_count").await;
    let (ledger, mut writer) = Ledger::open(&config).await.unwrap();
    writer.retention = Retention { interval: Duration::from_millis(10), ..writer.retention };
    let running = Running::with(directory, config, ledger, writer);
    running.claim(1, 0).await;
    in_time(async {
        while number(&mut tool, "SELECT COUNT(*) FROM content").await > 0
            || number(&mut tool, "PRAGMA page_count").await > full / 2
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_start_counts_anew() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    run(&mut running.tool().await, "UPDATE backlog SET waiting = -7").await;
    assert_eq!(running.ledger.depth().await.unwrap(), []);
    let (_directory, config) = running.stop().await;
    let (ledger, _writer) = Ledger::open(&config).await.unwrap();
    assert_eq!(ledger.depth().await.unwrap()[0].waiting, 1);
}
