//! Who lives, and which part of the budget is whose.

use super::*;
use crate::ledger::{Grant, Replica, WHOLE};

fn beat(joins: bool, limit: u32) -> Beat {
    Beat {
        name: "host".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        version: "1".to_owned(),
        term: Duration::from_secs(10),
        joins,
        taking: true,
        // Whoever keeps to something uses it.
        budget: Use { limit, used: limit, request: 500 },
    }
}

async fn alive(ledger: &Ledger, joins: bool, limit: u32, seconds: i64) -> Option<Grant> {
    in_time(ledger.beat(beat(joins, limit), at(seconds))).await.unwrap()
}

async fn row(ledger: &Ledger) -> Replica {
    let replicas = ledger.replicas().await.unwrap();
    replicas.into_iter().find(|replica| replica.id == ledger.replica()).unwrap()
}

#[tokio::test]
async fn signs_of_life_are_counted_and_shown() {
    let running = Running::start().await;
    let one = running.ledger.as_another();
    assert_eq!(alive(&one, false, 0, 0).await, None, "one that has not joined is not there");
    assert_eq!(
        alive(&one, true, 0, 1).await,
        Some(Grant { part: WHOLE, share: WHOLE / 8, target: WHOLE / 8 })
    );
    let first = row(&one).await;
    alive(&one, false, WHOLE, 3).await;
    let second = row(&one).await;
    assert_eq!(second.beat, first.beat + 1);
    assert_eq!((second.started, second.seen, second.gone), (at(1), at(3), None));
    assert_eq!((second.name.as_str(), second.term), ("host", Duration::from_secs(10)));
    assert_eq!(running.reader().await.replicas().await.unwrap(), [second]);
}

#[tokio::test]
async fn one_is_declared_gone_only_by_the_last_sign_of_its_life() {
    let running = Running::start().await;
    let (one, other) = (running.ledger.as_another(), running.ledger.as_another());
    alive(&one, true, 0, 0).await;
    let seen = row(&one).await;
    alive(&one, false, 0, 2).await;
    let declared = in_time(other.declare_gone(seen.id, seen.beat, at(20))).await.unwrap();
    assert!(!declared, "it gave a sign meanwhile");
    let seen = row(&one).await;
    assert!(in_time(other.declare_gone(seen.id, seen.beat, at(20))).await.unwrap());
    assert!(!in_time(other.declare_gone(seen.id, seen.beat, at(21))).await.unwrap(), "once");
    assert_eq!(row(&one).await.gone, Some(at(20)));
    assert_eq!(alive(&one, false, 0, 22).await, None, "it learns it");
    assert!(alive(&one, true, 0, 23).await.is_some(), "and begins anew");
    assert_eq!(row(&one).await.gone, None);
}

#[tokio::test]
async fn the_budget_is_divided_in_the_ledger() {
    let running = Running::start().await;
    let (one, other) = (running.ledger.as_another(), running.ledger.as_another());
    let half = WHOLE / 2;
    assert_eq!(alive(&one, true, WHOLE, 0).await.unwrap().share, WHOLE);
    assert_eq!(alive(&other, true, 0, 1).await.unwrap().share, 0);
    let shrink = alive(&one, false, WHOLE, 2).await.unwrap();
    assert_eq!((shrink.share, shrink.target), (WHOLE, half));
    assert_eq!(alive(&other, false, 0, 3).await.unwrap().share, 0, "it has not shrunk yet");
    assert_eq!(alive(&one, false, half, 4).await.unwrap().share, half);
    assert_eq!(alive(&other, false, 0, 5).await.unwrap().share, half / 8);
    assert_eq!(alive(&other, false, half, 6).await.unwrap().share, half);
    // What one that left has used in its last minute is still its own.
    in_time(other.leave(100_000, at(6))).await.unwrap();
    assert_eq!(alive(&one, false, WHOLE - 200_000, 7).await.unwrap().share, WHOLE - 100_000);
    assert_eq!(alive(&one, false, WHOLE - 100_000, 80).await.unwrap().share, WHOLE);
}

#[tokio::test]
async fn those_that_are_long_gone_are_forgotten() {
    let running = Running::start().await;
    let (one, other) = (running.ledger.as_another(), running.ledger.as_another());
    alive(&one, true, 0, 0).await;
    in_time(one.leave(0, at(1))).await.unwrap();
    alive(&other, true, 0, 800).await;
    assert_eq!(other.replicas().await.unwrap().len(), 2);
    alive(&other, true, 0, 1000).await;
    assert_eq!(other.replicas().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_pause_is_told_to_all_and_never_shortened() {
    let running = Running::start().await;
    let (one, other) = (running.ledger.as_another(), running.ledger.as_another());
    let tenant = tenant(TENANT);
    in_time(one.pause(vec![(tenant, at(60))], at(0))).await.unwrap();
    assert_eq!(other.pauses(at(1)).await.unwrap(), [(tenant, at(60))]);
    in_time(other.pause(vec![(tenant, at(30))], at(2))).await.unwrap();
    assert_eq!(one.pauses(at(3)).await.unwrap(), [(tenant, at(60))]);
    in_time(other.pause(vec![(tenant, at(90))], at(4))).await.unwrap();
    assert_eq!(one.pauses(at(60)).await.unwrap(), [(tenant, at(90))]);
    assert_eq!(one.pauses(at(90)).await.unwrap(), []);
}
