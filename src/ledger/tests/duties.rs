//! Duties: one holder at a time, and what an earlier one writes is refused.

use super::*;
use crate::{
    content::ContentType,
    ledger::{Duty, Fence, HeldDuty, Start, SweepDepth, Swept},
};

/// Two that share a ledger.
async fn two(running: &Running) -> (Ledger, Ledger) {
    let (one, other) = (running.ledger.as_another(), running.ledger.as_another());
    join(&one, 0).await;
    join(&other, 0).await;
    (one, other)
}

async fn take(ledger: &Ledger, duty: Duty, token: i64) -> Option<Fence> {
    in_time(ledger.take(vec![(duty, token)], at(1))).await.unwrap().pop()
}

async fn held(ledger: &Ledger, duty: Duty) -> HeldDuty {
    let duties = ledger.duties().await.unwrap();
    duties.into_iter().find(|held| held.duty == duty).unwrap()
}

fn sweep() -> Duty {
    Duty::Sweep(tenant(TENANT))
}

fn swept(seconds: i64) -> Vec<Swept> {
    vec![Swept {
        content_type: ContentType::Exchange,
        depth: SweepDepth::Recent,
        until: at(seconds),
        at: at(seconds),
    }]
}

#[tokio::test]
async fn of_two_that_saw_the_same_one_gets_it() {
    let running = Running::start().await;
    let (one, other) = two(&running).await;
    let mine = take(&one, sweep(), 0).await.unwrap();
    assert_eq!(take(&other, sweep(), 0).await, None);
    assert_eq!(held(&other, sweep()).await.holder, Some(one.replica()));
    in_time(one.give(vec![mine])).await.unwrap();
    assert_eq!(held(&other, sweep()).await.holder, None);
    let theirs = take(&other, sweep(), 1).await.unwrap();
    assert_eq!(take(&one, sweep(), 1).await, None);
    // Giving back what is another's by now changes nothing.
    in_time(one.give(vec![mine])).await.unwrap();
    assert_eq!(other.fence(&held(&one, sweep()).await), Some(theirs));
}

#[tokio::test]
async fn every_duty_is_found_again_as_it_was_taken() {
    let running = Running::start().await;
    let (one, _) = two(&running).await;
    let duties = [Duty::Prune, sweep(), Duty::Subscriptions(tenant(2)), Duty::Sweep(tenant(2))];
    let wanted = duties.iter().map(|duty| (*duty, 0)).collect();
    assert_eq!(in_time(one.take(wanted, at(5))).await.unwrap().len(), 4);
    let found = running.reader().await.duties().await.unwrap();
    assert_eq!(found.len(), 4);
    for duty in duties {
        let held = found.iter().find(|held| held.duty == duty).unwrap();
        assert_eq!((held.holder, held.token, held.since), (Some(one.replica()), 1, at(5)));
    }
}

#[tokio::test]
async fn who_is_gone_takes_nothing_and_holds_nothing_when_it_comes_back() {
    let running = Running::start().await;
    let (one, other) = two(&running).await;
    take(&one, sweep(), 0).await.unwrap();
    let beat = one.replicas().await.unwrap();
    let beat = beat.iter().find(|replica| replica.id == one.replica()).unwrap().beat;
    assert!(in_time(other.declare_gone(one.replica(), beat, at(20))).await.unwrap());
    assert_eq!(take(&one, Duty::Prune, 0).await, None);
    join(&one, 21).await;
    assert_eq!(one.fence(&held(&one, sweep()).await), None);
    // One that looked before it came back has lost nothing by that, and wins once.
    assert!(take(&other, sweep(), 1).await.is_some());
    assert_eq!(take(&one, sweep(), 1).await, None);
}

#[tokio::test]
async fn what_an_outdated_holder_writes_is_refused() {
    let running = Running::start().await;
    let (one, other) = two(&running).await;
    let tenant = tenant(TENANT);
    let old = take(&one, sweep(), 0).await.unwrap();
    in_time(one.swept_under(Some(old), tenant, swept(10))).await.unwrap();
    in_time(one.leave(0, at(11))).await.unwrap();
    let new = take(&other, sweep(), 1).await.unwrap();
    in_time(other.swept_under(Some(new), tenant, swept(20))).await.unwrap();

    let refused = in_time(one.swept_under(Some(old), tenant, swept(30))).await;
    assert!(matches!(refused, Err(LedgerError::Outdated)), "{refused:?}");
    assert_eq!(other.sweeps(tenant).await.unwrap(), swept(20));
    assert!(running.ledger.is_writable().await, "a refusal says nothing of the disk");

    let start = Start { tenant, content_type: ContentType::Dlp, at: at(30), allowed: at(900) };
    let refused = in_time(one.started_under(Some(old), start)).await;
    assert!(matches!(refused, Err(LedgerError::Outdated)), "{refused:?}");
    assert_eq!(other.starts(tenant).await.unwrap(), []);
    in_time(other.started_under(Some(new), start)).await.unwrap();
    assert_eq!(other.starts(tenant).await.unwrap(), [start]);
}

#[tokio::test]
async fn a_refusal_in_a_group_refuses_nothing_else() {
    let running = Running::start().await;
    let (one, other) = two(&running).await;
    let old = take(&one, sweep(), 0).await.unwrap();
    in_time(one.leave(0, at(2))).await.unwrap();
    let new = take(&other, sweep(), 1).await.unwrap();
    let tenant = tenant(TENANT);
    let (refused, done, announced) = in_time(async {
        tokio::join!(
            one.swept_under(Some(old), tenant, swept(3)),
            other.swept_under(Some(new), tenant, swept(4)),
            running.announce(&["a"], 5),
        )
    })
    .await;
    assert!(matches!(refused, Err(LedgerError::Outdated)), "{refused:?}");
    done.unwrap();
    assert_eq!(announced, [Recorded::New]);
    assert_eq!(other.sweeps(tenant).await.unwrap(), swept(4));
}
