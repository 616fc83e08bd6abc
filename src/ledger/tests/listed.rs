//! What listings leave behind: marks on content, and how far sweeps came.

use super::*;
use crate::ledger::{SweepDepth, Swept};

#[tokio::test]
async fn listed_content_is_remembered_as_such_known_or_not() {
    let running = Running::start().await;
    running.announce(&["told$IsFromNotification", "told-only"], 0).await;
    let listed = |id: &str| Announcement { created: at(-90), ..content(TENANT, id) };
    let both = vec![listed("told"), listed("listed")];
    let recorded = running.ledger.announce(Via::Sweep, both.clone(), at(100)).await.unwrap();
    assert_eq!(recorded, [Recorded::Known, Recorded::New]);
    let again = running.ledger.announce(Via::Sweep, both, at(200)).await.unwrap();
    assert_eq!(again, [Recorded::Known, Recorded::Known]);

    let epoch = at(0).as_millisecond();
    let rows = query("SELECT * FROM content ORDER BY id")
        .fetch_all(&mut running.tool().await)
        .await
        .unwrap();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            let second = |name: &str| {
                let ms: Option<i64> = row.try_get(name).unwrap();
                ms.map(|ms| (ms - epoch) / 1000)
            };
            let times = (second("created"), second("listed"), second("listed_created"));
            let text = |name| row.try_get::<String>(name).unwrap();
            (text("content_id"), text("via"), times)
        })
        .collect();
    let expected = [
        ("told$IsFromNotification", "webhook", (Some(0), Some(100), Some(-90))),
        ("told-only", "webhook", (Some(0), None, None)),
        ("listed", "sweep", (Some(-90), Some(100), Some(-90))),
    ]
    .map(|(id, via, times)| (id.to_owned(), via.to_owned(), times));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn of_two_expirations_the_later_one_counts_until_the_first_has_passed() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let last = 9 * DAY;
    for (now, listed, expected) in
        [(1, 5, 7), (2, 9, 9), (3, 8, 9), (last - 1, 9, 9), (last, 20, 9), (last + 1, 20, 9)]
    {
        let listed = Announcement { expires: at(listed * DAY), ..content(TENANT, "a") };
        running.ledger.announce(Via::Sweep, vec![listed], at(now)).await.unwrap();
        let lease = running.claim(1, now).await.remove(0);
        assert_eq!(lease.announcement.expires, at(expected * DAY), "at {now}");
        running.settle(&lease, Settlement::Release, now).await;
    }
}

#[tokio::test]
async fn a_page_that_lists_content_twice_records_it_once() {
    let running = Running::start().await;
    let page = vec![content(TENANT, "a"), content(TENANT, "a"), content(2, "a")];
    let recorded = running.ledger.announce(Via::Sweep, page, at(1)).await.unwrap();
    assert_eq!(recorded, [Recorded::New, Recorded::Known, Recorded::New]);
    assert_eq!(running.ledger.depth().await.unwrap().len(), 2);
}

#[tokio::test]
async fn listing_known_content_moves_nothing() {
    let running = Running::start().await;
    running.announce(&["a", "b"], 0).await;
    let lease = running.claim(1, 0).await.remove(0);
    let all = vec![content(TENANT, "a"), content(TENANT, "b")];
    running.ledger.announce(Via::Sweep, all.clone(), at(1)).await.unwrap();
    assert_eq!(running.settle(&lease, delivered(1), 2).await, Settled::Applied);
    running.ledger.announce(Via::Sweep, all, at(3)).await.unwrap();
    assert_eq!(running.claim(5, 3).await.len(), 1);
}

#[tokio::test]
async fn sweeps_are_remembered_across_a_restart() {
    let running = Running::start().await;
    let swept = |depth, until, when| Swept {
        content_type: ContentType::Exchange,
        depth,
        until: at(until),
        at: at(when),
    };
    let first = vec![swept(SweepDepth::Recent, -5, 0), swept(SweepDepth::Day, -5, 0)];
    running.ledger.swept(tenant(TENANT), first).await.unwrap();
    let second = swept(SweepDepth::Recent, 595, 600);
    running.ledger.swept(tenant(TENANT), vec![second]).await.unwrap();
    let (directory, config) = running.kill().await;
    let (ledger, writer) = Ledger::open(&config).await.unwrap();
    let running = Running::with(directory, config, ledger, writer);
    let mut known = running.ledger.sweeps(tenant(TENANT)).await.unwrap();
    known.sort_by_key(|swept| swept.at);
    assert_eq!(known, [swept(SweepDepth::Day, -5, 0), second]);
    assert!(running.ledger.sweeps(tenant(2)).await.unwrap().is_empty());
}
