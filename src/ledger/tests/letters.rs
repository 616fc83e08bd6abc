//! Dead letters beside a running ledger: looked at, replayed, and what cannot be.

use std::collections::HashSet;

use super::*;
use crate::{
    ledger::{DeadLetters, DeadRecord, Filter, Outcome, Wanted},
    reason::Reason,
};

impl Running {
    async fn letters(&self) -> DeadLetters {
        DeadLetters::open(&self.config).await.unwrap()
    }

    /// Settles content of its own in one way.
    async fn end(&self, id: &str, settlement: Settlement, seconds: i64) {
        self.announce(&[id], seconds).await;
        let lease = self.claim(1, seconds).await.remove(0);
        assert_eq!(self.settle(&lease, settlement, seconds).await, Settled::Applied);
    }

    async fn ids(&self, wanted: Wanted) -> Vec<(String, Option<u64>)> {
        let letters = self.letters().await.list(wanted, None).await.unwrap();
        letters.into_iter().map(|l| (l.announcement.id.to_string(), l.record_index)).collect()
    }
}

fn with_dead_records(indices: &[u64]) -> Settlement {
    let reason = Reason::RecordTooLarge;
    let dead = indices.iter().map(|&index| DeadRecord { index, reason }).collect();
    Settlement::Delivered { records: 5, duplicates: 1, dead, keys: Arc::default() }
}

fn any() -> HashSet<crate::content::CanonicalId> {
    HashSet::new()
}

#[tokio::test]
async fn letters_are_found_by_what_they_are_about() {
    let running = Running::start().await;
    running.end("gone", Settlement::Dead(Reason::ContentGone), 10).await;
    running.end("records", with_dead_records(&[3, 7]), 20).await;
    running.end("expired", Settlement::Expired(Reason::PastExpiration), 30).await;
    running.end("well", delivered(1), 40).await;
    let all = Wanted::default();
    let gone = ("gone".to_owned(), None);
    let records = [("records".to_owned(), Some(7)), ("records".to_owned(), Some(3))];
    let expired = ("expired".to_owned(), None);
    let newest_first = [expired.clone(), records[0].clone(), records[1].clone(), gone.clone()];
    assert_eq!(running.ids(all).await, newest_first);
    let reason = Some(Reason::ContentGone);
    assert_eq!(running.ids(Wanted { reason, ..all }).await, [gone]);
    assert_eq!(running.ids(Wanted { since: Some(at(21)), ..all }).await, [expired]);
    let of_another = Filter { tenant: Some(tenant(2)), content_type: None };
    assert_eq!(running.ids(Wanted { filter: of_another, ..all }).await, []);
    let of_type =
        Filter { tenant: Some(tenant(TENANT)), content_type: Some(ContentType::Exchange) };
    assert_eq!(running.ids(Wanted { filter: of_type, ..all }).await.len(), 4);
    let letters = running.letters().await;
    let newest = &letters.list(all, Some(1)).await.unwrap()[0];
    assert_eq!((newest.at, newest.attempts), (at(30), 0));
    assert_eq!(newest.reason, Some(Reason::PastExpiration));
}

#[tokio::test]
async fn replayed_content_starts_anew_and_keeps_what_it_delivered() {
    let running = Running::start().await;
    running.end("gone", Settlement::Dead(Reason::ContentGone), 10).await;
    running.end("records", with_dead_records(&[3, 7]), 20).await;
    let mut letters = running.letters().await;
    let replayed = letters.replay(Wanted::default(), &any(), at(50)).await.unwrap();
    let said: Vec<_> = replayed
        .iter()
        .map(|r| (r.letter.announcement.id.as_str(), r.letters, r.outcome))
        .collect();
    assert_eq!(said, [("records", 2, Outcome::Due), ("gone", 1, Outcome::Due)]);
    assert_eq!(running.ids(Wanted::default()).await, []);

    assert_eq!(running.claim(10, 49).await, []);
    let leases = running.claim(10, 50).await;
    assert_eq!(leases.len(), 2);
    assert!(leases.iter().all(|lease| lease.attempts == 0 && lease.last_reason.is_none()));
    for lease in &leases {
        assert_eq!(running.settle(lease, delivered(2), 60).await, Settled::Applied);
    }
    let status = running.reader().await.status(at(60)).await.unwrap();
    assert_eq!((status[0].delivered, status[0].dead, status[0].records), (2, 0, 5 + 2 + 2));
}

#[tokio::test]
async fn a_replay_counts_where_nothing_was_counted() {
    let running = Running::start().await;
    running.end("gone", Settlement::Dead(Reason::ContentGone), 10).await;
    // As after the migration that began to count, when this tenant had nothing waiting.
    let mut tool = tool(&running.config).await;
    run(&mut tool, "DELETE FROM backlog").await;
    let mut letters = running.letters().await;
    letters.replay(Wanted::default(), &any(), at(50)).await.unwrap();
    assert_eq!(running.ledger.depth().await.unwrap()[0].waiting, 1);
    assert_eq!(running.ledger.tenants_due(&[tenant(TENANT)], at(50)).await.unwrap().len(), 1);
    assert_eq!(running.claim(10, 50).await.len(), 1);
}

#[tokio::test]
async fn what_microsoft_deleted_is_not_replayed_and_keeps_its_letter() {
    let running = Running::start().await;
    running.end("told", Settlement::Expired(Reason::ContentExpired), 10).await;
    running.end("gone", Settlement::Dead(Reason::ContentGone), 10).await;
    let mut letters = running.letters().await;
    for (seconds, outcome) in [(7 * DAY, Outcome::Deleted), (7 * DAY - 1, Outcome::Due)] {
        let replayed = letters.replay(Wanted::default(), &any(), at(seconds)).await.unwrap();
        let outcomes: Vec<_> = replayed.iter().map(|r| r.outcome).collect();
        assert_eq!(outcomes, [outcome, Outcome::Deleted]);
    }
    assert_eq!(running.ids(Wanted::default()).await, [("told".to_owned(), None)]);
    assert_eq!(running.claim(10, 7 * DAY).await.len(), 1);
}

#[tokio::test]
async fn one_content_is_replayed_by_its_id_in_either_form() {
    let running = Running::start().await;
    for id in ["a$na0018", "b$na0018"] {
        running.end(id, Settlement::Dead(Reason::ContentGone), 10).await;
    }
    let ids = HashSet::from([ContentId::parse("a$na0018$na0018").unwrap().canonical()]);
    let mut letters = running.letters().await;
    let replayed = letters.replay(Wanted::default(), &ids, at(20)).await.unwrap();
    assert_eq!(replayed.len(), 1);
    assert_eq!(replayed[0].letter.announcement.id.as_str(), "a$na0018");
    assert_eq!(running.ids(Wanted::default()).await, [("b$na0018".to_owned(), None)]);
}

#[tokio::test]
async fn thousands_are_replayed_while_the_service_writes() {
    const DEAD: usize = 2500;
    let running = Running::start().await;
    let mut tool = running.tool().await;
    run(
        &mut tool,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
         INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, \
         expires, announced, state, due, settled) SELECT '00000000-0000-0000-0000-000000000001', \
         'Audit.Exchange', 'd' || i, 'd' || i, 'sweep', 0, 9000000000000, 0, 'dead', 0, 0 FROM n; \
         INSERT INTO dead_letter (content, reason, at) SELECT id, 'content_gone', 0 FROM content",
    )
    .await;
    let mut letters = running.letters().await;
    let any = any();
    let replaying = letters.replay(Wanted::default(), &any, at(0));
    let announcing = async {
        for number in 0..100 {
            running.announce(&[&format!("new{number}")], 0).await;
        }
    };
    let (replayed, ()) = in_time(async { tokio::join!(replaying, announcing) }).await;
    let replayed = replayed.unwrap();
    assert_eq!(replayed.len(), DEAD);
    assert!(replayed.iter().all(|content| content.outcome == Outcome::Due));
    let waiting = running.ledger.depth().await.unwrap()[0].waiting;
    assert_eq!(waiting, DEAD as u64 + 100);
}
