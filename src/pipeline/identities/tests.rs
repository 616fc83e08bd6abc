//! Flights that meet: who sends, who waits, and what is remembered after it.

use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;
use crate::{
    content::{ContentId, ContentType, Via},
    ledger::tests::config,
    pipeline::tally::Lines,
    route::Head,
    shutdown::Shutdown,
};

fn identities() -> Identities {
    with_room_for(10_000)
}

fn with_room_for(keys: usize) -> Identities {
    let config =
        Config { remember: Duration::from_secs(3600), remember_max: keys.try_into().unwrap() };
    let identities = Identities::new(&config, secret());
    identities.advance(NOW);
    identities
}

fn secret() -> Secret {
    Secret::from([7; 16])
}

fn content(id: &str) -> Announcement {
    Announcement {
        tenant: Uuid::from_u128(1).into(),
        content_type: ContentType::Exchange,
        id: ContentId::parse(id).unwrap(),
        created: NOW,
        expires: NOW,
    }
}

/// Judges records by their `Id`s.
fn judge(flight: &mut Flight, ids: &[&str]) -> Vec<Verdict> {
    judge_in(flight, &content("a"), ids)
}

fn judge_in(flight: &mut Flight, content: &Announcement, ids: &[&str]) -> Vec<Verdict> {
    let secret = secret();
    let made = Keys::new(&secret, content);
    let keys: Vec<_> = (0..)
        .zip(ids)
        .map(|(index, id)| {
            let head = Head {
                id: (!id.is_empty()).then(|| id.as_bytes().into()),
                creation_time: Some(b"2026-01-05T08:00:00".into()),
                workload: None,
            };
            made.of(&head).unwrap_or_else(|| made.of_place(index, b"{}"))
        })
        .collect();
    flight.judge(&keys)
}

/// Sends what was judged as one batch each, and lands with these batches confirmed.
fn land(mut flight: Flight, confirmed: &[Range<usize>], failed: Option<Reason>) -> usize {
    flight.all_sent();
    flight.land(confirmed, failed);
    flight.unstored().len()
}

/// One batch of these records that arrives.
fn deliver(identities: &Identities, ids: &[&str]) -> Vec<Verdict> {
    let mut flight = identities.flight();
    let verdicts = judge(&mut flight, ids);
    flight.batch_sent(Lines::default());
    land(flight, FIRST, None);
    verdicts
}

fn held(identities: &Identities) -> (usize, usize, usize) {
    let state = identities.state();
    (state.held, state.window.flying(), state.flights.len())
}

#[tokio::test]
async fn a_confirmed_record_is_not_sent_again() {
    let identities = identities();
    assert_eq!(deliver(&identities, &["a", "b"]), [New, New]);
    assert_eq!(deliver(&identities, &["b", "c", "a"]), [Duplicate, New, Duplicate]);
    assert_eq!(held(&identities), (0, 0, 0));
}

#[tokio::test]
async fn a_record_without_an_id_is_known_in_its_own_place_only() {
    let identities = identities();
    let mut flight = identities.flight();
    assert_eq!(judge_in(&mut flight, &content("a"), &["", ""]), [New, New]);
    flight.batch_sent(Lines::default());
    land(flight, FIRST, Some(Reason::CutBody));
    let mut again = identities.flight();
    assert_eq!(judge_in(&mut again, &content("a"), &["", "", ""]), [Duplicate, Duplicate, New]);
    let mut other = identities.flight();
    assert_eq!(judge_in(&mut other, &content("b"), &["", ""]), [New, New]);
}

#[tokio::test]
async fn a_repetition_within_a_content_is_sent_once_and_needs_nobody() {
    let identities = identities();
    let mut flight = identities.flight();
    assert_eq!(judge(&mut flight, &["a", "a"]), [New, Duplicate]);
    flight.batch_sent(Lines::default());
    flight.land(FIRST, None);
    assert_eq!(flight.needs_landed().await, Ok(()));
}

#[tokio::test]
async fn what_was_never_confirmed_suppresses_nothing() {
    let identities = identities();
    let mut flight = identities.flight();
    judge(&mut flight, &["a"]);
    flight.batch_sent(Lines::default());
    assert_eq!(land(flight, &[], Some(Reason::ConnectionLost)), 0);
    let mut dropped = identities.flight();
    assert_eq!(judge(&mut dropped, &["a"]), [New]);
    drop(dropped);
    assert_eq!(deliver(&identities, &["a"]), [New]);
    assert_eq!(held(&identities), (0, 0, 0));
}

#[tokio::test]
async fn of_a_broken_flight_only_the_confirmed_batches_are_remembered() {
    let identities = identities();
    let mut flight = identities.flight();
    for ids in [["a", "b"], ["c", "d"], ["e", "f"]] {
        judge(&mut flight, &ids);
        flight.batch_sent(Lines::default());
    }
    judge(&mut flight, &["never sent"]);
    assert_eq!(land(flight, &[0..1, 2..3], Some(Reason::ConnectionLost)), 4);
    let again = deliver(&identities, &["a", "b", "c", "d", "e", "f", "never sent"]);
    assert_eq!(again, [Duplicate, Duplicate, New, New, Duplicate, Duplicate, New]);
}

#[tokio::test]
async fn a_confirmed_batch_lands_while_the_rest_is_in_flight() {
    let identities = identities();
    let mut flight = identities.flight();
    for ids in [["a", "b"], ["c", "d"]] {
        judge(&mut flight, &ids);
        flight.batch_sent(Lines::default());
    }
    let mut other = identities.flight();
    assert_eq!(judge(&mut other, &["b", "c"]), [Duplicate; 2]);
    assert!(flight.land_next(FIRST));
    assert!(!flight.land_next(FIRST));
    assert_eq!(flight.unstored().len(), 2);
    // What landed needs nobody, what did not still does.
    let mut next = identities.flight();
    assert_eq!(judge(&mut next, &["a"]), [Duplicate]);
    next.land(&[], None);
    assert_eq!(next.needs_landed().await, Ok(()));
    assert_eq!(held(&identities).1, 2, "only what is not confirmed is in flight");

    flight.all_sent();
    flight.land(BOTH, None);
    assert_eq!(flight.unstored().len(), 4);
    // A need that began before the landing is met by both parts of it.
    other.land(&[], None);
    assert_eq!(other.needs_landed().await, Ok(()));
    assert_eq!(deliver(&identities, &["a", "b", "c", "d"]), [Duplicate; 4]);
    drop((flight, other, next));
    assert_eq!(held(&identities), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_in_flight_is_left_to_its_owner_and_waited_for() {
    let identities = identities();
    let (mut owner, mut other) = (identities.flight(), identities.flight());
    judge(&mut owner, &["a", "b"]);
    owner.batch_sent(Lines::default());
    assert_eq!(judge(&mut other, &["c", "b"]), [New, Duplicate]);
    other.batch_sent(Lines::default());
    other.land(FIRST, None);
    assert_eq!(other.unstored().len(), 1);
    // For as long as the confirmation takes, once everything is sent.
    owner.all_sent();
    let wait = tokio::time::timeout(10 * PATIENCE, other.needs_landed());
    assert!(wait.await.is_err(), "the owner has not landed");
    land(owner, FIRST, None);
    assert_eq!(other.needs_landed().await, Ok(()));
    assert_eq!(deliver(&identities, &["a", "b", "c"]), [Duplicate; 3]);
}

#[tokio::test]
async fn the_failure_of_an_owner_is_that_of_whoever_needs_it() {
    let identities = identities();
    let (mut owner, mut other) = (identities.flight(), identities.flight());
    judge(&mut owner, &["a"]);
    owner.batch_sent(Lines::default());
    judge(&mut owner, &["b"]);
    assert_eq!(judge(&mut other, &["b", "c"]), [Duplicate, New]);
    other.batch_sent(Lines::default());
    other.land(FIRST, None);
    land(owner, FIRST, Some(Reason::CutBody));
    assert_eq!(other.needs_landed().await, Err(Reason::CutBody));
    // What did arrive is remembered on both sides.
    assert_eq!(deliver(&identities, &["a", "b", "c"]), [Duplicate, New, Duplicate]);
}

#[tokio::test]
async fn a_need_is_met_by_the_part_of_a_broken_owner_that_arrived() {
    let identities = identities();
    let (mut owner, mut other) = (identities.flight(), identities.flight());
    judge(&mut owner, &["a", "b"]);
    owner.batch_sent(Lines::default());
    assert_eq!(judge(&mut other, &["a", "b"]), [Duplicate; 2]);
    land(owner, FIRST, Some(Reason::CutBody));
    other.land(&[], None);
    assert_eq!(other.needs_landed().await, Ok(()));
}

#[tokio::test]
async fn two_that_need_each_other_both_land() {
    let identities = identities();
    let (mut one, mut two) = (identities.flight(), identities.flight());
    judge(&mut one, &["a"]);
    judge(&mut two, &["b"]);
    assert_eq!(judge(&mut one, &["b"]), [Duplicate]);
    assert_eq!(judge(&mut two, &["a"]), [Duplicate]);
    for flight in [&mut one, &mut two] {
        flight.batch_sent(Lines::default());
        flight.land(FIRST, None);
    }
    assert_eq!((one.needs_landed().await, two.needs_landed().await), (Ok(()), Ok(())));
}

#[tokio::test]
async fn a_panic_is_a_failure() {
    let identities = identities();
    let (mut owner, mut other) = (identities.flight(), identities.flight());
    judge(&mut owner, &["a"]);
    judge(&mut other, &["a"]);
    drop(owner);
    other.land(&[], None);
    assert!(other.needs_landed().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_takes_for_ever_is_not_waited_for() {
    let identities = identities();
    let (mut owner, mut other) = (identities.flight(), identities.flight());
    judge(&mut owner, &["a"]);
    assert_eq!(judge(&mut other, &["a"]), [Duplicate]);
    other.land(&[], None);
    assert_eq!(other.needs_landed().await, Err(Reason::Unconfirmed));
    drop(other);
    // The next attempt takes the record over, and the old owner leaves it alone.
    let mut next = identities.flight();
    assert_eq!(judge(&mut next, &["a"]), [New]);
    drop(owner);
    assert_eq!(judge(&mut identities.flight(), &["a"]), [Duplicate]);
    next.batch_sent(Lines::default());
    assert_eq!(land(next, FIRST, None), 1);
    assert_eq!(deliver(&identities, &["a"]), [Duplicate]);
}

#[tokio::test]
async fn beyond_the_bound_records_are_sent_and_not_kept() {
    let identities = identities();
    identities.state().held = identities.0.max_held - 2;
    let mut flight = identities.flight();
    assert_eq!(judge(&mut flight, &["a", "b", "c", "c"]), [New, New, Unremembered, Unremembered]);
    // There is no room to note a need either.
    let mut other = identities.flight();
    assert_eq!(judge(&mut other, &["a", "d"]), [Unremembered; 2]);
    drop(flight);
    assert_eq!(judge(&mut other, &["e"]), [New]);
}

#[tokio::test]
async fn what_is_recalled_has_room_from_the_beginning() {
    const NUMBER: usize = 50_000;
    let folder = tempfile::tempdir().unwrap();
    let (ledger, writer) = Ledger::open(&config(folder.path())).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run(Shutdown::new()));
    let content = content("a");
    ledger.announce(Via::Webhook, vec![content.clone()], NOW).await.unwrap();
    let lease = ledger.claim(content.tenant, 1, NOW).await.unwrap().remove(0);
    let secret = secret();
    let made = Keys::new(&secret, &content);
    let keys: Arc<[_]> = (0..NUMBER).map(|place| made.of_place(place as u64, b"{}")).collect();
    ledger.remember(lease.key, Arc::clone(&keys), NOW).await.unwrap();

    let identities = with_room_for(2 * NUMBER);
    assert_eq!(identities.recall(&ledger, NOW).await.unwrap(), NUMBER);
    let mut ready = Window::new(&identities.0.config, Timestamp::MIN);
    let mut grown = Window::new(&identities.0.config, Timestamp::MIN);
    ready.expect(NUMBER);
    keys.iter().for_each(|key| grown.insert(*key));
    assert_eq!(identities.state().window.bytes(), ready.bytes(), "no table has grown");
    assert_ne!(grown.bytes(), ready.bytes(), "it would be seen if one had");
}

/// The first batch, and no other.
#[expect(clippy::single_range_in_vec_init, reason = "one range is meant")]
const FIRST: &[Range<usize>] = &[0..1];

/// The first two.
#[expect(clippy::single_range_in_vec_init, reason = "one range is meant")]
const BOTH: &[Range<usize>] = &[0..2];

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

use Verdict::{Duplicate, New, Unremembered};
