//! What others do, and how long it takes, while a ledger is copied.

use std::collections::HashSet;

use tokio::{runtime::Handle, task::block_in_place};

use super::*;

/// Copies a ledger, and lets something happen when its rows are written and not yet kept.
async fn copied_while(
    from: &Config,
    to: &Config,
    happens: impl Future<Output = ()>,
) -> Result<Vec<Copied>, CopyError> {
    let mut happens = Some(happens);
    let told = |progress: Progress<'_>| {
        if matches!(progress, Progress::Verifying { .. })
            && let Some(happens) = happens.take()
        {
            block_in_place(|| Handle::current().block_on(happens));
        }
    };
    in_time(copy(&from.location, &to.location, told)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_came_and_left_is_noticed() {
    let (folder, source) = Running::start().await.stop().await;
    let (_server, target) = empty().await;
    let visit = async {
        let (ledger, writer) = Ledger::open(&source).await.unwrap();
        let visitor = Running::with(folder, source.clone(), ledger, writer);
        let beat = Beat {
            name: "visitor".to_owned(),
            address: String::new(),
            version: String::new(),
            term: Duration::from_secs(2),
            joins: true,
            taking: true,
            budget: Use::default(),
        };
        in_time(visitor.ledger.beat(beat, at(0))).await.unwrap();
        visitor.announce(&["acknowledged"], 0).await;
        in_time(visitor.ledger.leave(0, at(1))).await.unwrap();
        visitor.stop().await;
    };
    let refused = copied_while(&source, &target, visit).await.unwrap_err();
    let CopyError::Alive { replica, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(replica, "visitor");
    assert_eq!(contents(&target).await, 0);
    // Gone before it begins, it keeps nobody waiting.
    copied(&source, &target).await.unwrap();
    assert_eq!(contents(&target).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_write_are_noticed() {
    let (_file, file) = filled().await;
    let (_server, source) = empty().await;
    copied(&file, &source).await.unwrap();
    let (_other, target) = empty().await;
    let changed = |refused: Result<Vec<Copied>, CopyError>| match refused.unwrap_err() {
        CopyError::Changed { table, .. } => table,
        other => panic!("{other:?}"),
    };

    let consent = async {
        let mut onboarding = Onboarding::open(&source).await.unwrap();
        onboarding.expect("another", at(3), at(900)).await.unwrap();
    };
    assert_eq!(changed(copied_while(&source, &target, consent).await), "consent");
    let replay = async {
        let mut letters = DeadLetters::open(&source).await.unwrap();
        let replayed = letters.replay(Wanted::default(), &HashSet::new(), at(4)).await.unwrap();
        assert!(!replayed.is_empty());
    };
    assert_eq!(changed(copied_while(&source, &target, replay).await), "dead_letter");
    let backfill = async {
        let mut backfill = Backfill::open(&source).await.unwrap();
        backfill.announce(&[content(TENANT, "older")], at(5)).await.unwrap();
    };
    assert_eq!(changed(copied_while(&source, &target, backfill).await), "content");
    assert_eq!(contents(&target).await, 0);
    copied(&source, &target).await.unwrap();
    assert_eq!(contents(&target).await, 6);
}

#[tokio::test]
async fn either_side_may_wait_for_the_other() {
    let (_file, file) = filled().await;
    let (_server, source) = empty().await;
    copied(&file, &source).await.unwrap();
    let (_other, target) = Running::start().await.stop().await;
    // What the session says that reads, in a row that is copied; and the one that writes beside it.
    run(
        &mut tool(&source).await,
        "DROP TABLE pause; CREATE VIEW pause AS SELECT CONCAT(current_setting('statement_timeout'), \
         ' ', current_setting('idle_in_transaction_session_timeout')) AS tenant, \
         CAST(0 AS BIGINT) AS until",
    )
    .await;
    let mut server = tool(&target).await;
    run(
        &mut server,
        "CREATE TABLE noted (limits TEXT); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO noted VALUES (CONCAT(current_setting('statement_timeout'), ' ', \
         current_setting('idle_in_transaction_session_timeout'))); RETURN NEW; END $$; \
         CREATE TRIGGER note BEFORE INSERT ON pause FOR EACH ROW EXECUTE FUNCTION note()",
    )
    .await;
    copied(&source, &target).await.unwrap();
    for limits in ["SELECT tenant FROM pause", "SELECT limits FROM noted"] {
        let row = query(limits).fetch_one(&mut server).await.unwrap();
        assert_eq!(row.first::<String>().unwrap(), "0 0", "{limits}");
    }
}
