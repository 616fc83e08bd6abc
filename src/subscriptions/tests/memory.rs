//! Starts that another process made.

use super::*;
use crate::{ledger, microsoft::tokens::TokenError, moment::after};

/// A ledger whose writer runs.
async fn opened() -> (Ledger, JoinSet<()>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = ledger::Config {
        location: ledger::Location::Sqlite(folder.path().join("ledger.db")),
        lease: Duration::from_secs(300),
        keep_delivered: Duration::from_secs(14 * 86_400),
        keep_dead: Duration::from_secs(30 * 86_400),
    };
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { writer.run(Shutdown::new()).await.unwrap() });
    (ledger, tasks, folder)
}

#[tokio::test]
async fn the_rule_is_obeyed_after_a_restart_as_well() {
    let world = World::api(|asked| match asked.path.ends_with("/list") {
        true => Reply::new(200, "[]"),
        false => Reply::new(400, r#"{"error":{"code":"AF20021"}}"#),
    })
    .await;
    let (ledger, _tasks, _folder) = opened().await;
    let (first, _, _) = keeper_with(&world, None, Some(ledger.clone()), |_| ());
    first.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 2);
    drop(first);
    let (second, clock, _) = keeper_with(&world, None, Some(ledger), |_| ());
    second.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 2);
    assert!(second.waits(tenant(A), ContentType::General).is_some());
    clock.advance(Duration::from_secs(901));
    second.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 4);
}

#[tokio::test]
async fn a_start_that_is_cut_off_is_remembered() {
    let world = World::api(|asked| match asked.path.ends_with("/list") {
        true => Reply::new(200, "[]"),
        false => Reply::new(200, "{}").after(Duration::from_secs(3600)),
    })
    .await;
    let (ledger, _tasks, _folder) = opened().await;
    let (first, _, _) = keeper_with(&world, None, Some(ledger.clone()), |_| ());
    let mut check = Box::pin(first.check(tenant(A)));
    let asked = async {
        while starts(&world, A) < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = &mut check => panic!("Microsoft does not answer"),
        asked = timeout(DEADLINE, asked) => asked.expect("both are started"),
    }
    drop(check);
    let (second, _, _) = keeper_with(&world, None, Some(ledger), |_| ());
    timeout(DEADLINE, second.check(tenant(A))).await.expect("nothing is started");
    assert_eq!(starts(&world, A), 2);
    assert!(second.waits(tenant(A), ContentType::General).is_some());
}

#[tokio::test]
async fn a_start_that_never_reached_microsoft_does_not_count() {
    let world = World::api(|_| Reply::new(200, "[]")).await;
    let (keeper, clock, _) = keeper(&world, |_| ());
    let (id, content_type) = (tenant(A), ContentType::General);
    let begun = keeper.begun(id, content_type);
    assert_eq!(begun.allowed, after(begun.at, Duration::from_secs(900)));
    let unread = Err(CheckError::Api(ApiError::Token(TokenError::NotConfigured)));
    keeper.learn(&keeper.ended(begun, &unread));
    assert_eq!(keeper.waits(id, content_type), None);
    clock.advance(Duration::from_secs(1));
    let begun = keeper.begun(id, content_type);
    let ended = keeper.ended(begun, &Ok(Started::Already));
    keeper.learn(&ended);
    assert_eq!(keeper.waits(id, content_type), Some(ended.allowed));
}
