//! Leases: order, exclusivity, loss, settlement (I3, I4), and what serves them.

use std::collections::HashSet;

use super::*;
use crate::{ledger::DeadRecord, reason::Reason};

#[tokio::test]
async fn due_longest_comes_first_and_tenants_are_apart() {
    let running = Running::start().await;
    running.announce(&["late"], 20).await;
    running.announce(&["early", "early2"], 10).await;
    running.ledger.announce(Via::Sweep, vec![content(2, "other")], at(0)).await.unwrap();

    assert_eq!(ids(&running.claim(2, 30).await), ["early", "early2"]);
    assert_eq!(ids(&running.claim(2, 30).await), ["late"]);
    assert!(running.claim(2, 30).await.is_empty());
    assert!(running.claim(0, 30).await.is_empty());
}

#[tokio::test]
async fn nothing_is_due_before_its_time() {
    let running = Running::start().await;
    running.announce(&["a"], 10).await;
    let tenants = [tenant(3), tenant(TENANT), tenant(2)];
    assert!(running.claim(1, 9).await.is_empty());
    assert_eq!(running.ledger.tenants_due(&tenants, at(9)).await.unwrap(), []);
    assert_eq!(running.ledger.tenants_due(&tenants, at(10)).await.unwrap(), [tenant(TENANT)]);
    running.claim(1, 10).await;
    assert_eq!(running.ledger.tenants_due(&tenants, at(10)).await.unwrap(), []);
}

#[tokio::test]
async fn no_content_is_leased_twice_at_once() {
    let running = Running::start().await;
    let names: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    running.announce(&names, 0).await;
    let mut claiming = JoinSet::new();
    for _ in 0..16 {
        let ledger = running.ledger.clone();
        claiming.spawn(async move { ledger.claim(tenant(TENANT), 9, at(1)).await.unwrap() });
    }
    let leases: Vec<Lease> = in_time(claiming.join_all()).await.into_iter().flatten().collect();
    let distinct: HashSet<String> = ids(&leases).into_iter().collect();
    assert_eq!((leases.len(), distinct.len()), (100, 100));
}

#[tokio::test]
async fn a_lost_lease_is_claimed_again_and_its_old_holder_is_stale() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let old = running.claim(1, 0).await.remove(0);
    assert!(running.claim(1, LEASE - 1).await.is_empty());
    let new = running.claim(1, LEASE).await.remove(0);
    assert_ne!(old.key, new.key);
    assert_eq!((new.attempts, new.last_reason, new.lost), (1, Some(Reason::LeaseLost), true));
    assert!(!old.lost, "the first one");

    let now = at(LEASE + 1);
    let ours = running.ledger.renew(vec![old.key, new.key], now).await;
    assert_eq!(ours.unwrap(), [new.key]);
    assert_eq!(running.settle(&old, delivered(1), LEASE + 1).await, Settled::Stale);
    assert_eq!(running.settle(&new, delivered(2), LEASE + 2).await, Settled::Applied);
    assert_eq!(running.settle(&new, delivered(2), LEASE + 3).await, Settled::Stale);
    let status = running.reader().await.status(now).await.unwrap();
    assert_eq!((status[0].delivered, status[0].records), (1, 2));
}

#[tokio::test]
async fn a_lost_lease_is_told_once() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    running.claim(1, 0).await;
    let mut lease = running.claim(1, LEASE).await.remove(0);
    assert!(lease.lost);
    let lost = Reason::LeaseLost;
    let settlements = [
        Settlement::Postpone { until: at(LEASE + 1) },
        Settlement::Release,
        // What a content waited for was lost, and that is counted already.
        Settlement::Retry { at: at(LEASE + 1), reason: lost },
    ];
    for settlement in settlements {
        let settling = format!("{settlement:?}");
        assert_eq!(running.settle(&lease, settlement, LEASE + 1).await, Settled::Applied);
        lease = running.claim(1, LEASE + 1).await.remove(0);
        assert_eq!((lease.last_reason, lease.lost), (Some(lost), false), "{settling}");
    }
    assert!(running.claim(1, 2 * LEASE + 1).await[0].lost, "another one");
}

#[tokio::test]
async fn undecodable_bodies_in_a_row_are_counted() {
    let mut running = Running::start().await;
    running.announce(&["a"], 0).await;
    let retry = |reason| Settlement::Retry { at: at(1), reason };
    let undecodable = || retry(Reason::Undecodable);
    // The settlement, and how many in a row the next holder is told.
    let steps = [
        (retry(Reason::ServerError), 0),
        (undecodable(), 1),
        (undecodable(), 2),
        (Settlement::Postpone { until: at(1) }, 2),
        (Settlement::Release, 2),
        (retry(Reason::LeaseLost), 2),
        (undecodable(), 3),
        (retry(Reason::Timeout), 0),
        (undecodable(), 1),
    ];
    let mut lease = running.claim(1, 0).await.remove(0);
    for (settlement, row) in steps {
        let settling = format!("{settlement:?}");
        assert_eq!(running.settle(&lease, settlement, 1).await, Settled::Applied);
        lease = running.claim(1, 1).await.remove(0);
        assert_eq!(lease.undecodable, row, "{settling}");
    }
    let (directory, config) = running.kill().await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    running = Running::with(directory, config, ledger, writer);
    let lease = running.claim(1, 1 + LEASE).await.remove(0);
    assert_eq!((lease.lost, lease.undecodable), (true, 1), "it outlives a lost lease");
}

#[tokio::test]
async fn a_renewed_lease_lasts_a_whole_lease_from_then() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let lease = running.claim(1, 0).await.remove(0);
    let ours = running.ledger.renew(vec![lease.key], at(200)).await;
    assert_eq!(ours.unwrap(), [lease.key]);
    assert!(running.claim(1, 200 + LEASE - 1).await.is_empty());
    // Nobody else did the work, so even a late settlement counts.
    assert_eq!(running.settle(&lease, delivered(1), 200 + LEASE).await, Settled::Applied);
}

#[tokio::test]
async fn settlements_that_do_not_end_content_say_when_it_is_due() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let reason = Reason::ServerError;
    let (at_50, at_90) = (at(50), at(90));
    // The settlement, when it is due again, and what the next holder is told.
    let steps = [
        (Settlement::Retry { at: at_50, reason }, 50, 1, Some(reason)),
        (Settlement::Postpone { until: at_90 }, 90, 1, Some(reason)),
        (Settlement::Release, 91, 1, Some(reason)),
    ];
    let mut lease = running.claim(1, 0).await.remove(0);
    let mut now = 0;
    for (settlement, due, attempts, last_reason) in steps {
        now += 1;
        let settling = format!("{settlement:?}");
        assert_eq!(running.settle(&lease, settlement, now).await, Settled::Applied);
        assert!(running.claim(1, due - 1).await.is_empty(), "{settling}");
        lease = running.claim(1, due).await.remove(0);
        assert_eq!((lease.attempts, lease.last_reason), (attempts, last_reason), "{settling}");
        now = due;
    }
}

#[tokio::test]
async fn what_is_given_up_on_is_kept_with_its_reason() {
    let running = Running::start().await;
    running.announce(&["a", "b", "c"], 0).await;
    let leases = running.claim(3, 0).await;
    let dead = vec![
        DeadRecord { index: 4, reason: Reason::RecordTooLarge },
        DeadRecord { index: 9, reason: Reason::MalformedRecord },
    ];
    let settlements = [
        Settlement::Dead(Reason::ContentGone),
        Settlement::Expired(Reason::PastExpiration),
        Settlement::Delivered { records: 8, duplicates: 1, dead, keys: Arc::default() },
    ];
    for (lease, settlement) in leases.iter().zip(settlements) {
        assert_eq!(running.settle(lease, settlement, 7).await, Settled::Applied);
    }
    let rows = query(
        "SELECT content_id || ' ' || state || ', attempts ' || attempts || ', duplicates ' || \
         duplicates || ', record ' || COALESCE(CAST(record_index AS TEXT), '-') || ': ' || reason FROM content \
         JOIN dead_letter ON content = content.id WHERE at = settled ORDER BY dead_letter.id",
    )
    .fetch_all(&mut running.tool().await)
    .await
    .unwrap();
    let rows: Vec<String> = rows.iter().map(|row| row.first().unwrap()).collect();
    assert_eq!(
        rows,
        [
            "a dead, attempts 1, duplicates 0, record -: content_gone",
            "b expired, attempts 0, duplicates 0, record -: past_expiration",
            "c delivered, attempts 0, duplicates 1, record 4: record_too_large",
            "c delivered, attempts 0, duplicates 1, record 9: malformed_record",
        ]
    );
}

#[tokio::test]
async fn a_row_of_another_version_does_not_starve_its_tenant() {
    let running = Running::start().await;
    running.announce(&["a", "b", "c"], 0).await;
    let mut tool = running.tool().await;
    run(
        &mut tool,
        "UPDATE content SET content_type = 'Audit.Tomorrow' WHERE content_id = 'a'; \
         UPDATE content SET last_reason = 'of_tomorrow' WHERE content_id = 'b';",
    )
    .await;
    assert_eq!(ids(&running.claim(2, 1).await), ["b"]);
    assert_eq!(ids(&running.claim(2, 2).await), ["c"]);
    assert_eq!(number(&mut tool, "SELECT COUNT(*) FROM content WHERE state = 'waiting'").await, 3);
}

#[tokio::test]
async fn what_was_queued_before_the_clock_was_set_back_is_due_all_the_same() {
    let (directory, config) = Running::site().await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let announce = ledger.announce(Via::Webhook, vec![content(TENANT, "a")], at(3600));
    let claim = ledger.claim(tenant(TENANT), 1, at(0));
    // Both are queued when the writer begins, and are one group.
    let start = async { Running::with(directory, config, ledger.clone(), writer) };
    let (announced, claimed, running) = tokio::join!(announce, claim, start);
    assert_eq!(announced.unwrap(), [Recorded::New]);
    assert!(claimed.unwrap().is_empty(), "it is of the future");
    assert_eq!(ids(&running.claim(1, 1).await), ["a"]);
}

#[tokio::test]
async fn what_is_settled_long_after_it_ended_sets_no_clock_back() {
    let running = Running::start().await;
    running.announce(&["a", "b"], 0).await;
    let leases = running.claim(2, 3600).await;
    // It waited in the queue for an hour.
    assert_eq!(running.settle(&leases[0], delivered(1), 0).await, Settled::Applied);
    assert!(running.claim(2, 3601).await.is_empty(), "the other one is still held");
}

#[tokio::test]
async fn what_has_expired_is_claimed_by_itself_and_the_rest_stays_due() {
    let running = Running::start().await;
    let ends = |id, seconds| Announcement { expires: at(seconds), ..content(TENANT, id) };
    let announcements = vec![ends("late", 60), ends("soon", 20), ends("held", 20)];
    running.ledger.announce(Via::Webhook, announcements, at(0)).await.unwrap();
    let expired = async |seconds| {
        let claim = running.ledger.claim_expired(tenant(TENANT), 10, at(seconds));
        in_time(claim).await.unwrap()
    };
    assert!(expired(19).await.is_empty());
    let held = running.claim(3, 19).await;
    for lease in held.iter().filter(|lease| lease.announcement.id.as_str() != "held") {
        running.settle(lease, Settlement::Release, 19).await;
    }
    let claimed = expired(20).await;
    assert_eq!(ids(&claimed), ["soon"]);
    running.settle(&claimed[0], Settlement::Expired(Reason::PastExpiration), 20).await;
    assert!(expired(20).await.is_empty());
    assert_eq!(ids(&running.claim(3, 20).await), ["late"]);
}

fn ids(leases: &[Lease]) -> Vec<String> {
    leases.iter().map(|lease| lease.announcement.id.to_string()).collect()
}
