use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::content::ContentType;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn swept(depth: SweepDepth, at: Timestamp) -> Swept {
    Swept { content_type: ContentType::General, depth, until: at, at }
}

fn completed(times: [(SweepDepth, i64); 3]) -> Completed {
    let mut completed = Completed::default();
    times.into_iter().for_each(|(depth, second)| completed.note(&swept(depth, at(second))));
    completed
}

const CADENCE: Cadence =
    Cadence { interval: Duration::from_secs(600), startup_lookback: Duration::from_secs(86_400) };

fn spelled(windows: &[Window]) -> Vec<String> {
    let minute = "%dT%H:%M:%S";
    let spell = |w: &Window| format!("{}-{}", w.start.strftime(minute), w.end.strftime(minute));
    windows.iter().map(spell).collect()
}

#[test]
fn the_widest_depth_that_is_due_is_swept() {
    use SweepDepth::{Day, Recent, Week};
    let done = completed([(Recent, 0), (Day, 0), (Week, 0)]);
    let due = |second| CADENCE.due(&done, false, at(second));
    assert_eq!(due(599), None);
    assert_eq!(due(600), Some(RECENT));
    assert_eq!(due(3600), Some(DAY));
    assert_eq!(due(86_399), Some(DAY));
    assert_eq!(due(86_400), Some(MAX_LOOKBACK));
    assert_eq!(CADENCE.pause(&done, at(100)), seconds(500));
    let mixed = completed([(Recent, 3000), (Day, 0), (Week, 0)]);
    assert_eq!(CADENCE.pause(&mixed, at(3500)), seconds(100));
}

#[test]
fn a_start_looks_back_as_configured_and_farther_where_that_is_due() {
    use SweepDepth::{Day, Recent, Week};
    let done = completed([(Recent, 0), (Day, 0), (Week, 0)]);
    assert_eq!(CADENCE.due(&done, true, at(1)), Some(DAY));
    assert_eq!(CADENCE.due(&done, true, at(100_000)), Some(MAX_LOOKBACK));
    assert_eq!(CADENCE.due(&Completed::default(), true, at(0)), Some(MAX_LOOKBACK));
    let far = Cadence { startup_lookback: Duration::from_secs(u64::MAX), ..CADENCE };
    assert_eq!(far.due(&done, true, at(1)), Some(MAX_LOOKBACK));
}

#[test]
fn what_was_completed_in_the_future_is_due() {
    use SweepDepth::{Day, Recent, Week};
    let done = completed([(Recent, 3600), (Day, 3600), (Week, 3600)]);
    assert_eq!(CADENCE.due(&done, false, at(0)), Some(MAX_LOOKBACK));
}

#[test]
fn windows_are_whole_seconds_and_end_before_the_listing_is_unstable() {
    let now = "2026-01-05T12:00:00.999Z".parse().unwrap();
    assert_eq!(spelled(&windows(now, RECENT, Duration::ZERO)), ["05T10:00:00-05T11:59:55"]);
    assert_eq!(spelled(&windows(now, RECENT, seconds(300))), ["05T10:00:00-05T11:55:00"]);
    assert_eq!(
        spelled(&windows(now, seconds(49 * 3600), seconds(60))),
        ["04T11:59:00-05T11:59:00", "03T11:59:00-04T11:59:00", "03T11:00:00-03T11:59:00",]
    );
    assert!(windows(now, RECENT, RECENT).is_empty());
}

#[test]
fn days_are_cut_at_midnight() {
    let range = |from: &str, to: &str| spelled(&days(from.parse().unwrap(), to.parse().unwrap()));
    assert_eq!(
        range("2026-01-03T22:30:00.5Z", "2026-01-05T01:00:00Z"),
        ["03T22:30:00-04T00:00:00", "04T00:00:00-05T00:00:00", "05T00:00:00-05T01:00:00",]
    );
    assert_eq!(range("2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z").len(), 1);
    assert!(range("2026-01-03T00:00:00Z", "2026-01-03T00:00:00Z").is_empty());
}

#[test]
fn a_look_back_covers_the_depths_within_it() {
    let covers = |back: i64| covered(at(0), at(-back)).collect::<Vec<_>>();
    assert_eq!(covers(7199), []);
    assert_eq!(covers(7200), [SweepDepth::Recent]);
    assert_eq!(covers(86_400), [SweepDepth::Day, SweepDepth::Recent]);
    assert_eq!(covers(604_500), SweepDepth::ALL);
}

fn is_acceptable(window: &Window) -> bool {
    let length = window.end.duration_since(window.start);
    let whole = |at: Timestamp| at.subsec_nanosecond() == 0;
    whole(window.start)
        && whole(window.end)
        && length > SignedDuration::ZERO
        && length <= SignedDuration::from_hours(24)
}

proptest! {
    #[test]
    fn windows_leave_no_gap_and_reach_as_far_as_asked(
        ms in 0_i64..10_000_000_000,
        back in 0_u64..1_000_000,
        settle in 0_u64..90_000,
    ) {
        let now = Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap();
        let (back, settle) = (seconds(back), seconds(settle));
        let windows = windows(now, back, settle);
        prop_assert!(windows.iter().all(is_acceptable));
        for pair in windows.windows(2) {
            prop_assert_eq!(pair[0].start, pair[1].end, "newest first, without a gap");
        }
        if let (Some(newest), Some(oldest)) = (windows.first(), windows.last()) {
            let left_out = now.duration_since(newest.end);
            let wanted = SignedDuration::try_from(settle.max(UNSTABLE)).unwrap();
            prop_assert!(left_out >= wanted && left_out < wanted + SignedDuration::from_secs(1));
            let reach = now.duration_since(oldest.start);
            let wanted = SignedDuration::try_from(back.min(MAX_LOOKBACK)).unwrap();
            prop_assert!(reach >= wanted && reach < wanted + SignedDuration::from_secs(1));
            prop_assert!(reach < SignedDuration::from_hours(7 * 24));
            // The newest window alone answers the two narrower depths, where it reaches so far.
            if back >= DAY {
                prop_assert!(covered(now, newest.start).any(|depth| depth == SweepDepth::Day));
            }
        } else {
            prop_assert!(back <= settle.max(UNSTABLE) + seconds(1));
        }
    }

    #[test]
    fn days_leave_no_gap(from in 0_i64..1_000_000_000, length in 1_i64..1_000_000_000) {
        let at = |ms| Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap();
        let (from, to) = (whole_second(at(from)), whole_second(at(from + length)));
        let windows = days(from, to);
        prop_assert!(windows.iter().all(is_acceptable));
        for pair in windows.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start, "oldest first, without a gap");
        }
        prop_assert_eq!(windows.first().map(|w| w.start), (from < to).then_some(from));
        prop_assert_eq!(windows.last().map(|w| w.end), (from < to).then_some(to));
        // A longer range has the same whole days.
        let longer = days(from, to + SignedDuration::from_hours(30));
        prop_assert!(windows.iter().rev().skip(1).all(|window| longer.contains(window)));
    }

    #[test]
    fn nothing_is_due_right_after_everything_and_something_is_when_the_pause_is_over(
        interval in 1_u64..86_400,
        times in prop::array::uniform3(-200_000_i64..1),
    ) {
        let cadence = Cadence { interval: seconds(interval), ..CADENCE };
        let [day, recent, week] = times;
        let done = completed([
            (SweepDepth::Day, day),
            (SweepDepth::Recent, recent),
            (SweepDepth::Week, week),
        ]);
        let pause = cadence.pause(&done, at(0));
        prop_assert_eq!(pause.is_zero(), cadence.due(&done, false, at(0)).is_some());
        let then = at(0) + SignedDuration::try_from(pause).unwrap();
        prop_assert!(cadence.due(&done, false, then).is_some());
        if !pause.is_zero() {
            prop_assert!(cadence.due(&done, false, then - SignedDuration::from_secs(1)).is_none());
        }
    }
}
