//! What is to be said about the end of a certificate, and when. Pure.

use jiff::Timestamp;

/// What was said last about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// When the certificate ends; another end is another certificate.
    pub expires: Timestamp,
    /// How near that was.
    pub stage: Stage,
}

impl Told {
    /// What is to be said now, if anything: each stage once.
    pub fn due(last: Option<&Self>, expires: Timestamp, now: Timestamp) -> Option<Self> {
        let stage = Stage::at(expires, now)?;
        let told = last.is_some_and(|last| last.expires == expires && last.stage >= stage);
        (!told).then_some(Self { expires, stage })
    }
}

/// How near the end is. Nearer is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// At most so many days are left: 30, 7 or 1.
    Within(i64),
    /// It is over since so many full days.
    Over(i64),
}

impl Stage {
    /// None: far enough.
    pub fn at(expires: Timestamp, now: Timestamp) -> Option<Self> {
        let left = expires.as_second() - now.as_second();
        if left <= 0 {
            return Some(Self::Over(-left / DAY));
        }
        STAGES.into_iter().find(|days| left <= days * DAY).map(Self::Within)
    }

    fn nearness(self) -> i64 {
        match self {
            Self::Within(days) => -days,
            Self::Over(days) => days,
        }
    }
}

impl PartialOrd for Stage {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.nearness().cmp(&other.nearness()))
    }
}

/// Nearest first.
const STAGES: [i64; 3] = [1, 7, 30];

const DAY: i64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn stages_begin_to_the_second() {
        let end = 100 * DAY;
        let stage = |left: i64| Stage::at(at(end), at(end - left));
        assert_eq!(stage(30 * DAY + 1), None);
        assert_eq!(stage(30 * DAY), Some(Stage::Within(30)));
        assert_eq!(stage(7 * DAY + 1), Some(Stage::Within(30)));
        assert_eq!(stage(7 * DAY), Some(Stage::Within(7)));
        assert_eq!(stage(DAY), Some(Stage::Within(1)));
        assert_eq!(stage(1), Some(Stage::Within(1)));
        assert_eq!(stage(0), Some(Stage::Over(0)));
        assert_eq!(stage(-DAY + 1), Some(Stage::Over(0)));
        assert_eq!(stage(-DAY), Some(Stage::Over(1)));
    }

    #[test]
    fn each_stage_is_said_once_per_certificate() {
        let end = at(100 * DAY);
        let mut last = None;
        let mut said = Vec::new();
        for hour in (60 * 24)..(103 * 24) {
            if let Some(told) = Told::due(last.as_ref(), end, at(hour * 3600)) {
                said.push((hour, told.stage));
                last = Some(told);
            }
        }
        let expected = [
            (70 * 24, Stage::Within(30)),
            (93 * 24, Stage::Within(7)),
            (99 * 24, Stage::Within(1)),
            (100 * 24, Stage::Over(0)),
            (101 * 24, Stage::Over(1)),
            (102 * 24, Stage::Over(2)),
        ];
        assert_eq!(said, expected);
        // A clock that is set back says nothing again; another certificate begins anew.
        assert_eq!(Told::due(last.as_ref(), end, at(95 * DAY)), None);
        let renewed = Told::due(last.as_ref(), at(105 * DAY), at(100 * DAY)).unwrap();
        assert_eq!(renewed.stage, Stage::Within(7));
    }
}
