//! Who says what there is, on a real ledger and with a Microsoft that answers as told. It is noon.

use std::{num::NonZeroUsize, time::Duration};

use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::{
    content::{Announcement, ContentId, Via},
    ledger::{self, Ledger, SweepDepth, Swept},
    microsoft::world::{A, Reply, World, tenant},
    shutdown::Shutdown,
    sweep::window::MAX_LOOKBACK,
};

const FEED: ContentType = ContentType::General;

const RHYTHM: sweep::Config = sweep::Config {
    interval: Duration::from_secs(600),
    settle: Some(Duration::from_secs(300)),
    startup_lookback: Duration::ZERO,
};

/// A ledger, and a clock that stands at a quarter past noon or a little later.
struct Books {
    ledger: Ledger,
    reader: Reader,
    clock: Clock,
    noon: Timestamp,
    _writer: JoinSet<()>,
    _directory: TempDir,
}

impl Books {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = ledger::tests::config(directory.path());
        let (ledger, writer) = Ledger::open(&config).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { writer.run(Shutdown::new()).await.unwrap() });
        let clock = Clock::system();
        let tomorrow = days(clock.now(), after(clock.now(), DAY))[0].1.end;
        let noon = after(tomorrow, SignedDuration::from_hours(12));
        let ahead = after(noon, SignedDuration::from_mins(15)).duration_since(clock.now());
        clock.advance(ahead.try_into().unwrap());
        let reader = Reader::open(&config).await.unwrap();
        Self { ledger, reader, clock, noon, _writer: tasks, _directory: directory }
    }

    /// A sweep that was complete so long ago.
    async fn sweep(&self, depth: SweepDepth, ago: SignedDuration) {
        let at = before(self.clock.now(), ago);
        let until = before(at, SignedDuration::from_mins(5));
        let swept = Swept { content_type: FEED, depth, until, at };
        self.ledger.swept(tenant(A), vec![swept]).await.unwrap();
    }

    /// Content that a sweep found.
    async fn listed(&self, id: &str, created: Timestamp) {
        let found = Announcement {
            tenant: tenant(A),
            content_type: FEED,
            id: ContentId::parse(id).unwrap(),
            created,
            expires: after(created, MAX_LOOKBACK),
        };
        self.ledger.announce(Via::Sweep, vec![found], self.clock.now()).await.unwrap();
    }

    async fn report(&self, world: Option<&World>, from: Option<Timestamp>) -> Report {
        let lister =
            world.map(|it| Lister::new(it.client(), self.clock.clone(), NonZeroUsize::MIN));
        let completeness =
            Completeness::new(self.reader.clone(), lister, RHYTHM, self.clock.clone());
        completeness.report(&[(tenant(A), FEED)], from, None).await.unwrap()
    }

    async fn sources(&self, world: Option<&World>) -> Vec<Source> {
        self.report(world, None).await.days.iter().map(|day| day.source).collect()
    }
}

#[tokio::test]
async fn nothing_is_whole_that_nobody_knows_of() {
    let books = Books::new().await;
    let refused = World::api(|_| Reply::new(403, r#"{"error":{"code":"AF10001"}}"#)).await;
    for world in [None, Some(&refused)] {
        let report = books.report(world, None).await;
        assert_eq!(report.unknown().count(), 8);
        assert!(!report.is_whole() && !report.is_sound());
        assert_eq!(report.silent.len(), usize::from(world.is_some()));
    }
    // What Microsoft says now counts, sweeps or not.
    let empty = World::api(|_| Reply::new(200, "[]")).await;
    assert_eq!(books.sources(Some(&empty)).await, [Source::Microsoft; 8]);
    assert!(books.report(Some(&empty), None).await.is_whole());
}

#[tokio::test]
async fn a_day_is_the_sweeps_when_one_was_complete_over_all_of_it() {
    let books = Books::new().await;
    books.sweep(SweepDepth::Recent, SignedDuration::ZERO).await;
    assert_eq!(books.sources(None).await, [Source::Unknown; 8]);
    // Half of yesterday is not enough.
    books.sweep(SweepDepth::Day, SignedDuration::ZERO).await;
    let mut expected = [Source::Unknown; 8];
    expected[7] = Source::Sweep;
    assert_eq!(books.sources(None).await, expected);
    books.sweep(SweepDepth::Week, SignedDuration::ZERO).await;
    assert_eq!(books.sources(None).await, [Source::Sweep; 8]);
    assert!(books.report(None, None).await.is_whole());
    // The service ends, and the day goes on.
    books.clock.advance(Duration::from_secs(3600));
    expected = [Source::Sweep; 8];
    expected[7] = Source::Unknown;
    assert_eq!(books.sources(None).await, expected);
}

#[tokio::test]
async fn of_the_day_at_the_edge_the_earlier_part_is_the_sweeps() {
    let books = Books::new().await;
    let midnight = before(books.noon, DAY * 7 + DAY / 2);
    books.listed("early", after(midnight, SignedDuration::from_hours(6))).await;
    // Microsoft was asked for this time, and does not list it: what it says counts.
    books.listed("late", after(midnight, SignedDuration::from_hours(18))).await;
    let world = World::api(|_| Reply::new(200, "[]")).await;
    let edge = async || {
        let report = books.report(Some(&world), Some(midnight)).await;
        assert!(report.days[1..].iter().all(|day| day.source == Source::Microsoft), "{report:?}");
        (report.days[0].tally.listed, report.days[0].source)
    };
    assert_eq!(edge().await, (1, Source::Unknown), "no sweep is known to have covered it");
    books.sweep(SweepDepth::Week, SignedDuration::ZERO).await;
    assert_eq!(edge().await, (1, Source::Unknown), "it began later");
    books.sweep(SweepDepth::Week, SignedDuration::from_hours(13)).await;
    assert_eq!(edge().await, (1, Source::Sweep));
}

#[test]
fn what_is_cut_is_cut_in_a_whole_second() {
    let now: Timestamp = "2026-01-31T12:00:00.7Z".parse().unwrap();
    let check = |start: &str, expected: &str| {
        assert_eq!(listed_from(start.parse().unwrap(), now).to_string(), expected);
    };
    check("2026-01-24T00:00:00Z", "2026-01-24T12:05:00Z");
    check("2026-01-24T12:01:00.8Z", "2026-01-24T12:01:00.8Z");
    check("2026-01-30T00:00:00Z", "2026-01-30T00:00:00Z");
}

fn check(from: &str, to: &str, expected: &[(&str, &str, &str)]) {
    let days = days(from.parse().unwrap(), to.parse().unwrap());
    let said: Vec<_> = days
        .iter()
        .map(|(day, window)| (day.to_string(), window.start.to_string(), window.end.to_string()))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(day, start, end)| ((*day).into(), (*start).into(), (*end).into()))
        .collect();
    assert_eq!(said, expected);
}

#[test]
fn ranges_are_cut_at_midnight() {
    check(
        "2026-02-27T18:00:00Z",
        "2026-03-01T06:00:00.5Z",
        &[
            ("2026-02-27", "2026-02-27T18:00:00Z", "2026-02-28T00:00:00Z"),
            ("2026-02-28", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z", "2026-03-01T06:00:00.5Z"),
        ],
    );
    check(
        "2026-01-05T00:00:00Z",
        "2026-01-06T00:00:00Z",
        &[("2026-01-05", "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z")],
    );
    check("2026-01-06T00:00:00Z", "2026-01-06T00:00:00Z", &[]);
    check("2026-01-06T00:00:00Z", "2026-01-05T00:00:00Z", &[]);
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
