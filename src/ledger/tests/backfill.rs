//! Announcing from another process, beside the service or without it.

use super::*;
use crate::ledger::{Backfill, Backfilled, Completed};

fn all(ids: &[String]) -> Vec<Announcement> {
    ids.iter().map(|id| content(TENANT, id)).collect()
}

fn window(start: i64, end: i64) -> Completed {
    Completed {
        tenant: tenant(TENANT),
        content_type: ContentType::Exchange,
        start: at(start),
        end: at(end),
    }
}

#[tokio::test]
async fn it_takes_turns_with_a_busy_service() {
    let running = Running::start().await;
    let mut backfill = Backfill::open(&running.config).await.unwrap();
    let old: Vec<String> = (0..700).map(|serial| format!("old{serial}")).collect();
    let (ledger, stop) = (running.ledger.clone(), Shutdown::new());
    let mut live = JoinSet::new();
    for lane in 0..4 {
        let (ledger, stop) = (ledger.clone(), stop.clone());
        live.spawn(async move {
            let mut announced = 0;
            while !stop.is_requested() {
                let id = format!("live{lane}-{announced}");
                ledger.announce(Via::Webhook, vec![content(TENANT, &id)], at(0)).await.unwrap();
                announced += 1;
            }
            announced
        });
    }
    let recorded = in_time(backfill.announce(&all(&old), at(1))).await.unwrap();
    assert!(recorded.iter().all(|recorded| *recorded == Recorded::New));
    let again = in_time(backfill.announce(&all(&old[..3]), at(1))).await.unwrap();
    assert_eq!(again, [Recorded::Known; 3]);
    stop.request();
    let live: usize = in_time(live.join_all()).await.into_iter().sum();
    let waiting = running.ledger.depth().await.unwrap()[0].waiting;
    assert_eq!(waiting, old.len() as u64 + live as u64);
}

#[tokio::test]
async fn live_content_is_claimed_first_however_young() {
    let running = Running::start().await;
    let mut backfill = Backfill::open(&running.config).await.unwrap();
    let old: Vec<String> = (0..3).map(|serial| format!("old{serial}")).collect();
    backfill.announce(&all(&old), at(0)).await.unwrap();
    running.announce(&["live0", "live1"], 10).await;
    let due = running.ledger.tenants_due(&[tenant(TENANT)], at(9)).await.unwrap();
    assert_eq!(due.len(), 1, "the backfill alone makes its tenant due");
    let claim = async |limit| {
        let leases = running.claim(limit, 10).await;
        leases.iter().map(|lease| lease.announcement.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(claim(1).await, ["live0"]);
    assert_eq!(claim(3).await, ["live1", "old0", "old1"]);
    running.announce(&["live2"], 10).await;
    assert_eq!(claim(9).await, ["live2", "old2"]);
}

#[tokio::test]
async fn without_a_service_the_content_waits_for_one() {
    let (directory, config) = Running::site().await;
    let mut backfill = Backfill::open(&config).await.unwrap();
    backfill.announce(&all(&["old".to_owned()]), at(0)).await.unwrap();
    // The service starts while the command still runs.
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    assert_eq!(running.claim(9, 1).await.len(), 1);
    backfill.announce(&all(&["older".to_owned()]), at(2)).await.unwrap();
    assert_eq!(running.claim(9, 3).await.len(), 1);
}

#[tokio::test]
async fn completed_windows_are_remembered() {
    let (_directory, config) = Running::site().await;
    let mut backfill = Backfill::open(&config).await.unwrap();
    backfill.complete(window(0, 100), at(0)).await.unwrap();
    backfill.complete(window(0, 100), at(1)).await.unwrap();
    let mut backfill = Backfill::open(&config).await.unwrap();
    assert!(backfill.is_complete(window(0, 100)).await.unwrap());
    assert!(backfill.is_complete(window(20, 100)).await.unwrap());
    assert!(!backfill.is_complete(window(0, 101)).await.unwrap());
    assert!(!backfill.is_complete(window(-1, 100)).await.unwrap());
    let other = Completed { content_type: ContentType::General, ..window(0, 100) };
    assert!(!backfill.is_complete(other).await.unwrap());
    // Long after, nobody can ask for it any more.
    backfill.complete(window(40 * DAY, 40 * DAY + 1), at(41 * DAY)).await.unwrap();
    assert!(!backfill.is_complete(window(0, 100)).await.unwrap());
}

#[tokio::test]
async fn the_service_counts_what_commands_announced() {
    let running = Running::start().await;
    let mut backfill = Backfill::open(&running.config).await.unwrap();
    backfill.announce(&all(&["before".to_owned()]), at(0)).await.unwrap();
    let (mark, found) = running.ledger.backfilled(None).await.unwrap();
    assert!(found.is_empty());
    running.announce(&["live"], 0).await;
    backfill.announce(&all(&["one".to_owned(), "two".to_owned()]), at(0)).await.unwrap();
    let (mark, found) = running.ledger.backfilled(Some(mark)).await.unwrap();
    let expected =
        Backfilled { tenant: tenant(TENANT), content_type: ContentType::Exchange, contents: 2 };
    assert_eq!(found, [expected]);
    let (_, found) = running.ledger.backfilled(Some(mark)).await.unwrap();
    assert!(found.is_empty());
}
