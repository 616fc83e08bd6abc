//! A server that refuses, ends, or ends without notice.

use std::collections::HashSet;

use super::{server::Postgres, *};
use crate::ledger::Server;

async fn on(server: &Postgres) -> (TempDir, Config) {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::Postgres(Server::parse(&server.database().await).unwrap());
    let config = Config { location, ..config(directory.path()) };
    (directory, config)
}

/// Announces until it is stopped, and says what was acknowledged.
fn announcing(ledger: &Ledger, stop: &Shutdown) -> JoinSet<Vec<String>> {
    let mut lanes = JoinSet::new();
    for lane in 0..4 {
        let (ledger, stop) = (ledger.clone(), stop.clone());
        lanes.spawn(async move {
            let mut acknowledged = Vec::new();
            for serial in 0.. {
                if stop.is_requested() {
                    break;
                }
                let id = format!("l{lane}-{serial}");
                match ledger.announce(Via::Webhook, vec![content(TENANT, &id)], at(0)).await {
                    Ok(_) => acknowledged.push(id),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
            acknowledged
        });
    }
    lanes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_keeps_no_reader_and_no_connection_of_the_pool() {
    let mut server = Postgres::start();
    let (directory, config) = on(&server).await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    // More at once than there are connections.
    let look = async || {
        let looks = (0..12).map(|_| running.ledger.duties());
        futures_util::future::join_all(looks).await.iter().all(Result::is_ok)
    };
    assert!(in_time(look()).await);
    tokio::task::block_in_place(|| server.freeze());
    assert!(!in_time(look()).await, "nobody waits for good");
    tokio::task::block_in_place(|| server.start_again());
    in_time(async { while !look().await {} }).await;
    running.stop().await;
}

async fn is_writable(ledger: &Ledger, expected: bool) {
    in_time(async {
        while ledger.is_writable().await != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn through(end: impl Fn(&mut Postgres)) {
    let mut server = Postgres::start();
    let (directory, config) = on(&server).await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    let stop = Shutdown::new();
    let lanes = announcing(&running.ledger, &stop);
    for round in 0..3 {
        let before = running.announce(&[&format!("before{round}")], 0).await;
        assert_eq!(before, [Recorded::New]);
        server = tokio::task::spawn_blocking({
            let mut server = server;
            end(&mut server);
            move || server
        })
        .await
        .unwrap();
        is_writable(&running.ledger, false).await;
        assert!(running.ledger.depth().await.is_err());
        server.start_again();
        is_writable(&running.ledger, true).await;
    }
    stop.request();
    let acknowledged: Vec<String> = in_time(lanes.join_all()).await.into_iter().flatten().collect();
    assert!(!acknowledged.is_empty());
    let mut tool = running.tool().await;
    let rows = query("SELECT content_id FROM content").fetch_all(&mut tool).await.unwrap();
    let stored: HashSet<String> = rows.iter().map(|row| row.first().unwrap()).collect();
    let lost = acknowledged.iter().filter(|id| !stored.contains(*id)).count();
    assert_eq!(lost, 0, "of {} acknowledged", acknowledged.len());
    let waiting = running.ledger.depth().await.unwrap()[0].waiting;
    assert_eq!(waiting, stored.len() as u64);
    let claimed = running.claim(1, 1).await;
    assert_eq!(running.settle(&claimed[0], delivered(1), 1).await, Settled::Applied);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_ended_and_started_loses_nothing_acknowledged() {
    through(Postgres::stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_loses_nothing_acknowledged() {
    through(Postgres::kill).await;
}

#[tokio::test]
async fn commits_reach_the_disk_whatever_the_database_says() {
    let (_directory, config) = Running::site().await;
    run(
        &mut tool(&config).await,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', \
         current_database()); END $$",
    )
    .await;
    let (_ledger, mut writer) = Ledger::open(&config).await.unwrap();
    let shown = query("SHOW synchronous_commit");
    let row = shown.fetch_one(writer.connection.as_mut().unwrap()).await.unwrap();
    assert_eq!(row.first::<String>().unwrap(), "on");
}

#[tokio::test]
async fn one_bad_operation_does_not_poison_its_group() {
    Running::fails_alone(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.canonical_id = 'poison' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER poison BEFORE INSERT ON content FOR EACH ROW EXECUTE FUNCTION poison()",
    )
    .await;
}

#[tokio::test]
async fn a_failed_commit_fails_everyone_in_the_group_and_applies_nothing() {
    let (directory, config) = Running::site().await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let mut tool = tool(&config).await;
    // A reference that is checked at the commit only.
    run(
        &mut tool,
        "CREATE TABLE late (content BIGINT REFERENCES content (id) DEFERRABLE INITIALLY DEFERRED); \
         CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO late VALUES (-1); RETURN NEW; END $$; \
         CREATE TRIGGER late AFTER INSERT ON content FOR EACH ROW \
         WHEN (NEW.canonical_id = 'bad') EXECUTE FUNCTION late()",
    )
    .await;
    let announcing = queue(&ledger, &["a", "bad", "b"]).await;
    let running = Running::with(directory, config, ledger, writer);
    for (id, outcome) in in_time(announcing.join_all()).await {
        assert!(matches!(outcome, Err(LedgerError::Unavailable(_))), "{id}: {outcome:?}");
    }
    assert_eq!(number(&mut tool, "SELECT COUNT(*) FROM content").await, 0);
    assert_eq!(running.announce(&["a"], 0).await, [Recorded::New]);
}
