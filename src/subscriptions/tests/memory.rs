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
async fn a_start_that_never_reached_microsoft_and_one_of_the_future_do_not_count() {
    let world = World::api(|_| Reply::new(200, "[]")).await;
    let (keeper, clock, _) = keeper(&world, |_| ());
    let unread = Err(CheckError::Api(ApiError::Token(TokenError::NotConfigured)));
    assert_eq!(keeper.allowed_again(&unread), None);
    let now = clock.now();
    assert!(keeper.allowed_again(&Ok(Started::Already)).unwrap() >= now + Duration::from_secs(900));
    let later = |seconds| after(now, Duration::from_secs(seconds));
    let content_type = ContentType::General;
    keeper.not_before(&Start {
        tenant: tenant(A),
        content_type,
        at: later(3600),
        allowed: later(4500),
    });
    assert_eq!(keeper.waits(tenant(A), content_type), None, "the clock was set back since");
    keeper.not_before(&Start { tenant: tenant(A), content_type, at: now, allowed: later(900) });
    assert_eq!(keeper.waits(tenant(A), content_type), Some(later(900)));
}
