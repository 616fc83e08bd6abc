//! Several services on one database.

use std::collections::HashSet;

use super::*;
use crate::{
    ledger::{Backfill, Server},
    reason::Reason,
};

/// Another service on the same ledger.
async fn beside(running: &Running) -> Running {
    let (ledger, writer) = Ledger::open(&running.config).await.unwrap();
    Running::with(tempfile::tempdir().unwrap(), running.config.clone(), ledger, writer)
}

fn ids(leases: &[Lease]) -> Vec<String> {
    leases.iter().map(|lease| lease.announcement.id.to_string()).collect()
}

#[tokio::test]
async fn no_content_is_leased_by_two() {
    let one = Running::start().await;
    let two = beside(&one).await;
    let names: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    one.announce(&names, 0).await;
    let mut claiming = JoinSet::new();
    for round in 0..60 {
        let ledger = if round % 2 == 0 { &one.ledger } else { &two.ledger }.clone();
        claiming.spawn(async move { ledger.claim(tenant(TENANT), 7, at(1)).await.unwrap() });
    }
    let leases: Vec<Lease> = in_time(claiming.join_all()).await.into_iter().flatten().collect();
    let distinct: HashSet<String> = ids(&leases).into_iter().collect();
    assert_eq!((leases.len(), distinct.len()), (200, 200));
    let mut settling = JoinSet::new();
    for (number, lease) in leases.into_iter().enumerate() {
        // By the other one, every other time: a lease is whose key it is.
        let ledger = if number % 2 == 0 { &one.ledger } else { &two.ledger }.clone();
        settling.spawn(async move { ledger.settle(lease.key, delivered(1), at(2)).await.unwrap() });
    }
    let settled = in_time(settling.join_all()).await;
    assert!(settled.iter().all(|settled| *settled == Settled::Applied));
    assert_eq!(one.ledger.depth().await.unwrap(), []);
}

#[tokio::test]
async fn a_start_takes_no_lease_of_another_and_an_outdated_holder_changes_nothing() {
    let one = Running::start().await;
    one.announce(&["a"], 0).await;
    let old = one.claim(1, 0).await.remove(0);
    let two = beside(&one).await;
    assert!(two.claim(1, LEASE - 1).await.is_empty());
    let new = two.claim(1, LEASE).await.remove(0);
    assert_eq!((new.lost, new.last_reason), (true, Some(Reason::LeaseLost)));
    assert_eq!(one.settle(&old, delivered(1), LEASE).await, Settled::Stale);
    assert_eq!(one.ledger.renew(vec![old.key], at(LEASE)).await.unwrap(), []);
    assert_eq!(two.settle(&new, delivered(1), LEASE).await, Settled::Applied);
}

#[tokio::test]
async fn what_two_announce_at_once_is_new_once() {
    let one = Running::start().await;
    let two = beside(&one).await;
    let mut announcing = JoinSet::new();
    for page in 0..20 {
        for (ledger, turned) in [(&one.ledger, false), (&two.ledger, true)] {
            let ledger = ledger.clone();
            let mut contents: Vec<_> =
                (0..30).map(|n| content(TENANT, &format!("p{page}-{n}"))).collect();
            // In the order in which each waits for what the other holds.
            if turned {
                contents.reverse();
            }
            announcing.spawn(async move { ledger.announce(Via::Sweep, contents, at(0)).await });
        }
    }
    let recorded = in_time(announcing.join_all()).await.into_iter().flat_map(Result::unwrap);
    assert_eq!(recorded.filter(|recorded| *recorded == Recorded::New).count(), 600);
    assert_eq!(one.ledger.depth().await.unwrap()[0].waiting, 600);
}

#[tokio::test]
async fn a_group_that_the_server_ends_for_another_is_tried_again() {
    let running = Running::start().await;
    let mut tool = running.tool().await;
    let insert = "INSERT INTO content (tenant, content_type, canonical_id, content_id, via, \
         created, expires, announced, state, due) SELECT '00000000-0000-0000-0000-000000000001', \
         'Audit.Exchange', id, id, 'sweep', 0, 0, 0, 'waiting', 0 FROM ";
    let sql = move |id: &str| AssertSqlSafe(format!("{insert} (VALUES ('{id}')) AS one (id)"));
    let Connection::Postgres(tool) = &mut tool else { panic!("it is a server") };
    sqlx::raw_sql("BEGIN").execute(&mut **tool).await.unwrap();
    sqlx::raw_sql(sql("b")).execute(&mut **tool).await.unwrap();
    let ledger = running.ledger.clone();
    let mut announcing = JoinSet::new();
    announcing.spawn(async move {
        let both = vec![content(TENANT, "a"), content(TENANT, "b")];
        ledger.announce(Via::Webhook, both, at(0)).await
    });
    let mut looker = running.tool().await;
    let waits = "SELECT COUNT(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    in_time(async { while number(&mut looker, waits).await == 0 {} }).await;
    // Each waits for the other now, and the one that has waited longer is ended.
    sqlx::raw_sql(sql("a")).execute(&mut **tool).await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut **tool).await.unwrap();
    let recorded = in_time(announcing.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(recorded, [Recorded::Known; 2]);
}

#[tokio::test]
async fn what_waits_is_counted_whoever_counted_it_and_whoever_is_gone() {
    let one = Running::start().await;
    let two = beside(&one).await;
    one.announce(&["a", "b", "c"], 0).await;
    two.announce(&["d", "a"], 0).await;
    let mut command = Backfill::open(&one.config).await.unwrap();
    command.announce(&[content(TENANT, "old")], at(0)).await.unwrap();
    for lease in two.claim(3, 0).await {
        assert_eq!(two.settle(&lease, delivered(1), 0).await, Settled::Applied);
    }
    let waiting = async |ledger: &Ledger| ledger.depth().await.unwrap()[0].waiting;
    assert_eq!((waiting(&one.ledger).await, waiting(&two.ledger).await), (2, 2));
    let (_directory, config) = one.kill().await;
    // Whoever starts takes over the counts of all, of living ones too.
    let (ledger, _writer) = Ledger::open(&config).await.unwrap();
    assert_eq!(waiting(&ledger).await, 2);
    assert_eq!(number(&mut tool(&config).await, "SELECT COUNT(*) FROM backlog").await, 1);
    two.announce(&["e"], 1).await;
    assert_eq!(waiting(&ledger).await, 3);
}

#[tokio::test]
async fn all_may_start_at_once_on_an_empty_database() {
    let (_directory, config) = Running::site().await;
    let mut opening = JoinSet::new();
    for _ in 0..5 {
        let config = config.clone();
        opening.spawn(async move { Ledger::open(&config).await.map(drop) });
    }
    for opened in in_time(opening.join_all()).await {
        opened.unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_leaves_the_work_of_others_alone() {
    let one = Running::start().await;
    let two = beside(&one).await;
    one.announce(&["late", "theirs"], 1000).await;
    let lease = two.claim(1, 1000).await.remove(0);
    // Its clock was set back by most of that.
    one.announce(&["other"], 100).await;
    assert_eq!(ids(&one.claim(9, 100).await), ["theirs", "other"]);
    assert_eq!(two.settle(&lease, delivered(1), 1001).await, Settled::Applied);
}

#[test]
fn an_address_shows_no_password_and_nothing_is_overlooked_in_it() {
    let server = Server::parse("postgres://joe:hunter2@db:5433/ledger?sslmode=verify-full");
    let server = server.unwrap();
    assert_eq!(server.to_string(), "postgres://db:5433/ledger");
    let location = Location::Postgres(server);
    let database = crate::ledger::database::Database::existing(&location).unwrap();
    assert!(!format!("{location:?} {database:?}").contains("hunter2"));
    for wrong in [
        "postgres://joe@db/ledger?sslmod=verify-full",
        "postgres://joe@db/ledger?sslmode=very",
        "postgres://joe@db/ledger?password=hunter2",
        "mysql://joe@db/ledger",
        "postgres:ledger",
    ] {
        assert!(Server::parse(wrong).is_err(), "{wrong}");
    }
}
