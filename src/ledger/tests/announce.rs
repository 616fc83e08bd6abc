//! Recording: grouped, idempotent (I1, I2), independent of who still waits.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn two_hundred_callers_at_once_are_all_recorded() {
    let running = Running::start().await;
    let ids: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let announced = queue_and_join(&running.ledger, &ids).await;
    assert_eq!(announced, 200);
    let depth = running.ledger.depth().await.unwrap();
    assert_eq!(depth[0].waiting, 200);
    assert_eq!(running.claim(1000, 0).await.len(), 200);
}

#[tokio::test]
async fn known_content_is_a_no_op() {
    let running = Running::start().await;
    assert_eq!(
        running.announce(&["a$x", "b", "a$x"], 0).await,
        [Recorded::New, Recorded::New, Recorded::Known]
    );
    // The listing and a notification spell one blob differently.
    assert_eq!(
        running.announce(&["a$x$IsFromNotification$6", "c"], 5).await,
        [Recorded::Known, Recorded::New]
    );
    let lease = running.claim(1, 10).await.remove(0);
    assert_eq!(lease.announcement.id.as_str(), "a$x");
    assert_eq!((lease.via, lease.announced, lease.attempts), (Via::Webhook, at(0), 0));
    assert_eq!(running.settle(&lease, delivered(3), 11).await, Settled::Applied);
    assert_eq!(running.announce(&["a$x"], 12).await, [Recorded::Known]);
    assert_eq!(running.claim(10, 12).await.len(), 2);
}

#[tokio::test]
async fn the_same_id_of_another_tenant_or_type_is_other_content() {
    let running = Running::start().await;
    let other_type = Announcement { content_type: ContentType::General, ..content(1, "a") };
    let announcements = vec![content(1, "a"), content(2, "a"), other_type.clone()];
    let recorded = running.ledger.announce(Via::Backfill, announcements, at(0)).await.unwrap();
    assert_eq!(recorded, [Recorded::New; 3]);
    let leases = running.claim(10, 0).await;
    assert_eq!(leases.len(), 2);
    assert_eq!(leases[1].announcement, other_type);
}

#[tokio::test]
async fn what_is_recorded_at_once_is_as_if_one_after_the_other() {
    let running = Running::start().await;
    let ledger = &running.ledger;
    let asked = [
        (Via::Webhook, vec![content(1, "a"), content(2, "a")]),
        (Via::Webhook, vec![content(1, "b"), content(1, "a")]),
        (Via::Sweep, vec![content(1, "b"), content(1, "c")]),
        (Via::Webhook, vec![content(1, "c"), content(2, "d")]),
        (Via::Webhook, vec![content(2, "d"), content(2, "a")]),
    ];
    // Nothing is written before all of it is queued: there is one thread, and nobody yields.
    let asked = (5..).zip(asked).map(|(seconds, (via, announcements))| {
        let announced = ledger.announce(via, announcements, at(seconds));
        async { announced.await.unwrap() }
    });
    let recorded = in_time(join_all(asked)).await;
    let [new, known] = [Recorded::New, Recorded::Known];
    assert_eq!(recorded, [[new, new], [new, known], [known, new], [known, new], [known, known]]);
    let waiting: Vec<_> =
        ledger.depth().await.unwrap().iter().map(|depth| (depth.tenant, depth.waiting)).collect();
    assert_eq!(waiting, [(tenant(1), 3), (tenant(2), 2)]);
    let announced = running.claim(10, 20).await.into_iter();
    let announced: Vec<_> =
        announced.map(|lease| (lease.announcement.id.to_string(), lease.announced)).collect();
    assert_eq!(announced, [("a", 5), ("b", 6), ("c", 7)].map(|(id, s)| (id.to_owned(), at(s))));
    // What the listing holds as well is noted as listed.
    let listed = query("SELECT canonical_id FROM content WHERE listed IS NOT NULL ORDER BY id");
    let listed = listed.fetch_all(&ledger.reads).await.unwrap();
    let listed: Vec<&str> = listed.iter().map(|row| row.try_get("canonical_id").unwrap()).collect();
    assert_eq!(listed, ["b", "c"]);
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nothing() {
    let (directory, config) = Running::site().await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let mut announcing = queue(&ledger, &["a", "b"]).await;
    announcing.shutdown().await;
    let running = Running::with(directory, config, ledger, writer);
    // The queue is in order, so what was asked before is done when this is answered.
    assert_eq!(
        running.announce(&["c", "a", "b"], 1).await,
        [Recorded::New, Recorded::Known, Recorded::Known]
    );
}

#[tokio::test]
async fn what_is_queued_at_shutdown_is_recorded_and_what_comes_later_refused() {
    let (directory, config) = Running::site().await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let mut announcing = queue(&ledger, &["a", "b"]).await;
    let shutdown = Shutdown::new();
    shutdown.request();
    in_time(writer.run(shutdown)).await.unwrap();
    while let Some(outcome) = in_time(announcing.join_next()).await {
        assert!(outcome.unwrap().1.is_ok());
    }
    let late = ledger.announce(Via::Sweep, vec![content(TENANT, "c")], at(0)).await;
    assert!(matches!(late, Err(LedgerError::Closed)), "{late:?}");
    assert!(matches!(ledger.depth().await, Err(LedgerError::Closed)));
    assert!(!ledger.is_writable().await);

    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    assert_eq!(running.claim(10, 0).await.len(), 2);
}

#[tokio::test]
async fn only_news_wakes() {
    let running = Running::start().await;
    let mut changes = running.ledger.changes();
    running.announce(&["a"], 0).await;
    in_time(changes.wait()).await;

    // What happens between a look into the ledger and the wait is not missed.
    let lease = running.claim(1, 0).await.remove(0);
    running.settle(&lease, Settlement::Release, 1).await;
    in_time(changes.wait()).await;

    running.announce(&["a"], 2).await;
    let lease = running.claim(1, 2).await.remove(0);
    let until = at(100);
    running.settle(&lease, Settlement::Postpone { until }, 3).await;
    // Answers come before wake-ups; one more operation makes sure that those had their turn.
    running.claim(1, 3).await;
    assert!(!changes.0.has_changed().unwrap());
}

async fn queue_and_join(ledger: &Ledger, ids: &[&str]) -> usize {
    let mut announcing = JoinSet::new();
    for id in ids {
        let (ledger, content) = (ledger.clone(), content(TENANT, id));
        announcing.spawn(async move { ledger.announce(Via::Webhook, vec![content], at(0)).await });
    }
    in_time(announcing.join_all())
        .await
        .into_iter()
        .filter(|outcome| matches!(outcome.as_deref(), Ok([Recorded::New])))
        .count()
}
