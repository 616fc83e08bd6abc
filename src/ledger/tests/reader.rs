//! What people and gauges are told.

use std::collections::HashSet;

use super::*;
use crate::{
    ledger::{Backfill, DeadLetters, Depth, Filter, Status, Wanted},
    reason::Reason,
};

#[tokio::test]
async fn it_counts_beside_a_running_service() {
    let running = Running::start().await;
    running.announce(&["a", "b", "c", "d", "e", "f"], 0).await;
    let leases = running.claim(5, 0).await;
    running.settle(&leases[0], delivered(5), 1).await;
    running.settle(&leases[1], delivered(6), 1).await;
    running.settle(&leases[2], Settlement::Dead(Reason::ContentGone), 1).await;
    running.settle(&leases[3], Settlement::Expired(Reason::PastExpiration), 1).await;

    let reader = running.reader().await;
    let expected = Status {
        tenant: tenant(TENANT),
        content_type: ContentType::Exchange,
        waiting: 1,
        leased: 1,
        delivered: 2,
        dead: 1,
        expired: 1,
        oldest_created: Some(at(0)),
        first_expiry: Some(at(7 * DAY)),
        records: 11,
    };
    assert_eq!(reader.status(at(2)).await.unwrap(), std::slice::from_ref(&expected));
    // A lease that ran out is nobody's work.
    let lost = Status { waiting: 2, leased: 0, ..expected };
    assert_eq!(reader.status(at(LEASE)).await.unwrap(), [lost]);

    // What is written meanwhile is seen next time.
    running.announce(&["g"], 3).await;
    assert_eq!(reader.status(at(3)).await.unwrap()[0].waiting, 2);
    let (_directory, config) = running.stop().await;
    assert!(Reader::open(&config).await.is_ok());
}

#[tokio::test]
async fn it_lists_what_is_pending() {
    let running = Running::start().await;
    let general = Announcement {
        content_type: ContentType::General,
        created: at(-60),
        ..content(TENANT, "general")
    };
    running.announce(&["a", "b"], 0).await;
    running.ledger.announce(Via::Sweep, vec![general, content(2, "other")], at(1)).await.unwrap();
    let lease = running.claim(1, 1).await.remove(0);
    let reason = Reason::Timeout;
    running.settle(&lease, Settlement::Retry { at: at(60), reason }, 2).await;
    running.claim(1, 3).await;

    let reader = running.reader().await;
    let all = reader.pending(Filter::default(), 10, at(4)).await.unwrap();
    let rows: Vec<_> = all
        .iter()
        .map(|row| {
            let id = row.announcement.id.as_str();
            (id, row.via, row.attempts, row.leased, row.last_reason)
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("general", Via::Sweep, 0, false, None),
            ("a", Via::Webhook, 1, false, Some(reason)),
            ("b", Via::Webhook, 0, true, None),
            ("other", Via::Sweep, 0, false, None),
        ]
    );
    assert_eq!((all[1].due, all[1].announced), (at(60), at(0)));
    assert_eq!(all[2].due, at(3 + LEASE));

    let of_two = Filter { tenant: Some(tenant(2)), ..Filter::default() };
    assert_eq!(reader.pending(of_two, 10, at(4)).await.unwrap(), all[3..]);
    let of_general = Filter { content_type: Some(ContentType::General), ..Filter::default() };
    assert_eq!(reader.pending(of_general, 10, at(4)).await.unwrap(), all[..1]);
    let two = reader.pending(Filter::default(), 2, at(4)).await.unwrap();
    assert_eq!(two, all[..2]);
}

#[tokio::test]
async fn depth_is_of_everything_undelivered() {
    let running = Running::start().await;
    assert_eq!(running.ledger.depth().await.unwrap(), []);
    let young = Announcement { created: at(10), expires: at(5), ..content(2, "young") };
    running.ledger.announce(Via::Sweep, vec![young, content(2, "old")], at(1)).await.unwrap();
    running.announce(&["a", "b"], 1).await;
    let leases = running.claim(2, 1).await;
    running.settle(&leases[0], delivered(1), 2).await;
    let one = Depth {
        tenant: tenant(TENANT),
        waiting: 1,
        oldest_created: at(0),
        first_expiry: at(7 * DAY),
    };
    let two = Depth { tenant: tenant(2), waiting: 2, oldest_created: at(0), first_expiry: at(5) };
    assert_eq!(running.ledger.depth().await.unwrap(), [one, two]);
}

#[tokio::test]
async fn depth_is_right_whoever_writes_and_after_any_end() {
    let running = Running::start().await;
    running.announce(&["a", "b", "c", "d", "a"], 0).await;
    let mut commands = Backfill::open(&running.config).await.unwrap();
    let found = [content(2, "old"), content(TENANT, "a"), content(TENANT, "older")];
    commands.announce(&found, at(0)).await.unwrap();
    assert_eq!(depths(&running.ledger).await, [5, 1]);
    let leases = running.claim(3, 0).await;
    for (lease, settlement) in leases.iter().zip([
        delivered(1),
        Settlement::Dead(Reason::ContentGone),
        Settlement::Retry { at: at(9), reason: Reason::Timeout },
    ]) {
        assert_eq!(running.settle(lease, settlement, 1).await, Settled::Applied);
    }
    assert_eq!(running.settle(&leases[0], delivered(1), 1).await, Settled::Stale);
    assert_eq!(depths(&running.ledger).await, [3, 1]);
    let mut letters = DeadLetters::open(&running.config).await.unwrap();
    letters.replay(Wanted::default(), &HashSet::new(), at(2)).await.unwrap();
    assert_eq!(depths(&running.ledger).await, [4, 1]);
    let (_directory, config) = running.kill().await;
    let (ledger, _writer) = Ledger::open(&config).await.unwrap();
    assert_eq!(depths(&ledger).await, [4, 1]);
    let counted = "SELECT COUNT(*) FROM (SELECT tenant, COUNT(*) FROM content \
         WHERE state = 'waiting' GROUP BY tenant \
         EXCEPT SELECT tenant, SUM(waiting) FROM backlog GROUP BY tenant) AS wrong";
    assert_eq!(number(&mut tool(&config).await, counted).await, 0);
}

async fn depths(ledger: &Ledger) -> Vec<u64> {
    ledger.depth().await.unwrap().iter().map(|depth| depth.waiting).collect()
}
