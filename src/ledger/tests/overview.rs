//! What the page is told.

use super::*;
use crate::{
    ledger::{DeadRecord, Feed, GivenUp, Tally},
    moment::after,
    reason::Reason,
};

const FEED: fn() -> Feed = || (tenant(TENANT), ContentType::Exchange);

/// Two delivered in different steps, one waiting, one dead, one with a dead record.
async fn some() -> Running {
    let running = Running::start().await;
    running.announce(&["a"], 100).await;
    let lease = running.claim(1, 100).await.remove(0);
    running.settle(&lease, delivered(5), 200).await;
    running.announce(&["b", "c"], 1000).await;
    let leases = running.claim(2, 1000).await;
    running.settle(&leases[0], delivered(7), 1900).await;
    running.settle(&leases[1], Settlement::Dead(Reason::ContentGone), 1900).await;
    let listed = Announcement { created: at(DAY), ..content(TENANT, "d") };
    running.ledger.announce(Via::Sweep, vec![listed], at(DAY)).await.unwrap();
    let lease = running.claim(1, DAY).await.remove(0);
    let dead = vec![DeadRecord { index: 3, reason: Reason::RecordTooLarge }];
    let settlement =
        Settlement::Delivered { records: 1, duplicates: 0, dead, keys: Arc::default() };
    running.settle(&lease, settlement, DAY + 1).await;
    running.ledger.announce(Via::Sweep, vec![content(2, "e")], at(DAY)).await.unwrap();
    running
}

#[tokio::test]
async fn traffic_is_told_by_step() {
    let running = some().await;
    let reader = running.ledger.reader();
    let step = Duration::from_secs(600);
    let found = reader.traffic(at(0), step, 4).await.unwrap();
    let traffic = &found[&FEED()];
    assert_eq!(traffic.announced, [1, 2, 0, 0]);
    assert_eq!(traffic.delivered, [1, 0, 0, 1]);
    assert_eq!(traffic.records, [5, 0, 0, 7]);
    assert_eq!(traffic.late[3], SignedDuration::from_secs(1900));
    assert_eq!((traffic.notified, traffic.last), (Some(at(1000)), Some(at(1900))));
    assert_eq!(traffic.found, Some(at(DAY)), "it is beyond the last step, and known");
    // What came before does not count.
    let found = reader.traffic(at(1000), step, 2).await.unwrap();
    assert_eq!(found[&FEED()].announced, [2, 0]);
    assert_eq!(found[&FEED()].delivered, [0, 1]);
    assert!(reader.traffic(at(2 * DAY), step, 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn books_count_what_was_listed_and_what_is_dead() {
    let running = some().await;
    let books = running.ledger.reader().books(at(0)).await.unwrap();
    let day = at(0).as_second() / DAY;
    let exchange = &books[&FEED()];
    assert_eq!(exchange.days[&day], Tally { dead: 1, ..Tally::default() });
    let listed = Tally { listed: 1, delivered: 1, dead_records: 1, ..Tally::default() };
    assert_eq!(exchange.days[&(day + 1)], listed);
    assert_eq!(exchange.notified, Some(at(1000)));
    assert_eq!(exchange.delivered, Some(at(DAY + 1)));
    let waiting = Tally { listed: 1, waiting: 1, ..Tally::default() };
    assert_eq!(books[&(tenant(2), ContentType::Exchange)].days[&day], waiting);
    // The first content that is new enough is found by its id.
    assert_eq!(running.ledger.reader().books(at(1)).await.unwrap()[&FEED()].days.len(), 1);
}

#[tokio::test]
async fn what_waits_and_what_is_dead_is_told_by_feed() {
    let running = some().await;
    let reader = running.ledger.reader();
    assert!(reader.waiting(tenant(TENANT)).await.unwrap().is_empty());
    let waiting = reader.waiting(tenant(2)).await.unwrap();
    assert_eq!(waiting[&ContentType::Exchange], 1);
    let group = |reason, at, replayable| GivenUp {
        feed: FEED(),
        reason: Some(reason),
        letters: 1,
        replayable,
        at,
    };
    let large = group(Reason::RecordTooLarge, at(DAY + 1), 1);
    let gone = group(Reason::ContentGone, at(1900), 1);
    assert_eq!(reader.given_up(at(DAY + 2)).await.unwrap(), [large, gone]);
    let deleted = after(at(7 * DAY), SignedDuration::from_secs(1));
    let given_up = reader.given_up(deleted).await.unwrap();
    assert!(given_up.iter().all(|group| group.replayable == 0), "{given_up:?}");
}

#[tokio::test]
async fn an_empty_ledger_has_nothing_to_tell() {
    let running = Running::start().await;
    let reader = running.ledger.reader();
    assert!(reader.traffic(at(0), Duration::from_secs(60), 3).await.unwrap().is_empty());
    assert!(reader.books(at(0)).await.unwrap().is_empty());
    assert!(reader.given_up(at(0)).await.unwrap().is_empty());
    assert!(reader.every_sweep().await.unwrap().is_empty());
}
