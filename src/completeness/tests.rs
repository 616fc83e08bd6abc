//! Who says what there is, on a real ledger and with a Microsoft that answers as told. It is noon.

use std::{num::NonZeroUsize, time::Duration};

use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::{
    content::{Announcement, ContentId, Via},
    ledger::{self, Ledger, Settlement, SweepDepth, Swept},
    microsoft::world::{A, Reply, World, tenant},
    reason::Reason,
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

    fn content(&self, id: &str, created: Timestamp) -> Announcement {
        Announcement {
            tenant: tenant(A),
            content_type: FEED,
            id: ContentId::parse(id).unwrap(),
            created,
            expires: after(created, MAX_LOOKBACK),
        }
    }

    /// Content that a sweep found.
    async fn listed(&self, id: &str, created: Timestamp) {
        let found = self.content(id, created);
        self.ledger.announce(Via::Sweep, vec![found], self.clock.now()).await.unwrap();
    }

    async fn report(&self, world: Option<&World>, from: Option<Timestamp>) -> Report {
        let lister =
            world.map(|it| Lister::new(it.client(), self.clock.clone(), NonZeroUsize::MIN));
        let completeness =
            Completeness::new(self.reader.clone(), lister, RHYTHM, self.clock.clone());
        let feeds = [(tenant(A), FEED)];
        let report = completeness.report(&feeds, from, None).await.unwrap();
        if world.is_none() && from.is_none() {
            // The page says the same.
            let week = completeness.week(&feeds).await.unwrap();
            assert_eq!(week[&feeds[0]].days, report.days);
        }
        report
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
    // Microsoft was asked for this time and lists it no longer; that it did, stands.
    books.listed("late", after(midnight, SignedDuration::from_hours(18))).await;
    let world = World::api(|_| Reply::new(200, "[]")).await;
    let edge = async || {
        let report = books.report(Some(&world), Some(midnight)).await;
        assert!(report.days[1..].iter().all(|day| day.source == Source::Microsoft), "{report:?}");
        (report.days[0].tally.listed, report.days[0].source)
    };
    assert_eq!(edge().await, (2, Source::Unknown), "no sweep is known to have covered it");
    books.sweep(SweepDepth::Week, SignedDuration::ZERO).await;
    assert_eq!(edge().await, (2, Source::Unknown), "it began later");
    books.sweep(SweepDepth::Week, SignedDuration::from_hours(13)).await;
    assert_eq!(edge().await, (2, Source::Sweep));
}

#[tokio::test]
async fn what_is_listed_twice_is_one_and_what_is_dead_counts_listed_or_not() {
    let books = Books::new().await;
    let yesterday = before(books.noon, DAY);
    for id in ["listed-dead", "told-dead", "told-alive"] {
        let told = books.content(id, yesterday);
        books.ledger.announce(Via::Webhook, vec![told], books.clock.now()).await.unwrap();
    }
    books.listed("swept", yesterday).await;
    let now = after(books.clock.now(), SignedDuration::from_secs(1));
    for lease in books.ledger.claim(tenant(A), 10, now).await.unwrap() {
        if lease.announcement.id.as_str().ends_with("dead") {
            let dead = Settlement::Dead(Reason::ContentGone);
            books.ledger.settle(lease.key, dead, now).await.unwrap();
        }
    }
    // Two pages that overlap, and another id of the same content.
    let page = move |ids: &[&str]| {
        let entry = |id: &&str| format!(r#"{{"contentId":"{id}","contentCreated":"{yesterday}"}}"#);
        format!("[{}]", ids.iter().map(entry).collect::<Vec<_>>().join(","))
    };
    let day = yesterday.strftime("%Y-%m-%d").to_string();
    let world = World::api(move |asked| {
        if !asked.query.contains(&format!("startTime={day}")) {
            return Reply::new(200, "[]");
        }
        if asked.query.contains("nextPage") {
            return Reply::new(200, page(&["listed-dead$IsFromNotification", "unknown"]));
        }
        let next = format!("{}?{}&nextPage=2", asked.path, asked.query);
        Reply::new(200, page(&["listed-dead"])).header("NextPageUri", next)
    })
    .await;
    let report = books.report(Some(&world), None).await;
    let expected = Tally { listed: 3, waiting: 1, dead: 2, missing: 1, ..Tally::default() };
    assert_eq!(report.total(), expected);
    // Without Microsoft only what was announced and is dead is known, and what was swept.
    let report = books.report(None, None).await;
    assert_eq!(report.total(), Tally { listed: 1, waiting: 1, dead: 2, ..Tally::default() });
    assert!(!report.is_sound());
}

#[tokio::test]
async fn one_type_that_is_refused_and_one_bad_day_leave_the_others() {
    let books = Books::new().await;
    let bad_day = before(books.noon, DAY * 3).strftime("startTime=%Y-%m-%d").to_string();
    let world = World::api(move |asked| match &asked.query {
        query if query.contains("DLP.All") => Reply::new(403, r#"{"error":{"code":"AF10001"}}"#),
        query if query.contains(&bad_day) => Reply::new(400, r#"{"error":{"code":"AF20055"}}"#),
        _ => Reply::new(200, "[]"),
    })
    .await;
    let lister = Lister::new(world.client(), books.clock.clone(), NonZeroUsize::MIN);
    let completeness =
        Completeness::new(books.reader.clone(), Some(lister), RHYTHM, books.clock.clone());
    let feeds = [(tenant(A), ContentType::Dlp), (tenant(A), FEED)];
    let report = completeness.report(&feeds, None, None).await.unwrap();
    let unknown: Vec<_> = report.unknown().map(|day| day.content_type).collect();
    assert_eq!(unknown, [[ContentType::Dlp; 8].as_slice(), &[FEED]].concat());
    assert_eq!(report.silent.len(), 2);
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
