//! Durations, sizes and counts.

use std::{fmt, str::FromStr, time::Duration};

use super::{Leaf, leaf_traits, serialize_as_displayed};

/// A duration written with its units: `30s`, `5m`, `167h55m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl FromStr for HumanDuration {
    type Err = InvalidDuration;

    /// Each unit at most once, the larger first, so that a slip like `5m3h` is seen.
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let mut total = Duration::ZERO;
        let mut rest = text.trim();
        let mut last = None;
        loop {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let tail = tail.trim_start();
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let number: u32 = number.parse().map_err(|_| InvalidDuration)?;
            let position = UNITS
                .iter()
                .position(|(name, _)| *name == unit)
                .filter(|position| last.is_none_or(|last| last < *position))
                .ok_or(InvalidDuration)?;
            let (_, length) = UNITS.get(position).ok_or(InvalidDuration)?;
            total = length
                .checked_mul(number)
                .and_then(|part| total.checked_add(part))
                .ok_or(InvalidDuration)?;
            last = Some(position);
            rest = tail.trim_start();
            if rest.is_empty() {
                return Ok(Self(total));
            }
        }
    }
}

/// The text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", HumanDuration::EXPECTED)]
pub struct InvalidDuration;

impl Leaf for HumanDuration {
    const EXPECTED: &'static str =
        "a duration such as \"30s\", \"5m\", \"24h\" or \"1h30m\" (units ms, s, m, h, d)";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl fmt::Display for HumanDuration {
    /// The largest unit of which there are at least two, then the rest; days only where they are
    /// whole: `60s`, `24h`, `14d`, `167h55m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest.is_zero() {
            return f.write_str("0s");
        }
        let least = |name: &str, shown: bool| match name {
            "d" | "h" | "m" if !shown => 2,
            _ => 1,
        };
        let mut shown = false;
        for (name, length) in UNITS {
            let number = rest.as_millis() / length.as_millis();
            let whole = *name != "d" || rest.as_millis().is_multiple_of(length.as_millis());
            if whole && number >= least(name, shown) {
                write!(f, "{number}{name}")?;
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                rest = rest.saturating_sub(length.saturating_mul(number));
                shown = true;
            }
        }
        Ok(())
    }
}

leaf_traits!(HumanDuration, {
    "type": "string",
    "pattern": r"^\s*(\d+\s*(ms|s|m|h|d)\s*)+$"
});
serialize_as_displayed!(HumanDuration);

/// A number of bytes: `64 MiB`, `256 KiB`, or a plain integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct ByteSize(pub(in crate::config) u64);

impl Leaf for ByteSize {
    const EXPECTED: &'static str =
        "a size such as \"64 MiB\", \"256 KiB\" or a plain number of bytes";

    fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        let factor = if unit.is_empty() {
            1
        } else {
            let (_, factor) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
            *factor
        };
        number.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }

    fn from_integer(integer: i64) -> Option<Self> {
        u64::try_from(integer).ok().map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = SIZES
            .iter()
            .take(BINARY_SIZES)
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(&("B", 1));
        write!(f, "{} {name}", self.0 / factor)
    }
}

leaf_traits!(ByteSize, {
    "type": ["string", "integer"],
    "pattern": r"^\s*\d+\s*([KkMmGg][Ii]?)?[Bb]?\s*$",
    "minimum": 0
});
serialize_as_displayed!(ByteSize);

/// A whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct Count(pub(in crate::config) u64);

impl Leaf for Count {
    const EXPECTED: &'static str = "a whole number";

    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_integer(integer: i64) -> Option<Self> {
        u64::try_from(integer).ok().map(Self)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl serde::Serialize for Count {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

leaf_traits!(Count, { "type": "integer", "minimum": 0 });

/// A duration, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Expiry(pub(in crate::config) Option<HumanDuration>);

impl Leaf for Expiry {
    const EXPECTED: &'static str = "\"none\" or a duration such as \"24h\"";

    fn from_text(text: &str) -> Option<Self> {
        if text == NONE {
            return Some(Self(None));
        }
        HumanDuration::from_text(text).map(|duration| Self(Some(duration)))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => duration.fmt(f),
            None => f.write_str(NONE),
        }
    }
}

leaf_traits!(Expiry, {
    "type": "string",
    "pattern": r"^(none|\s*(\d+\s*(ms|s|m|h|d)\s*)+)$"
});
serialize_as_displayed!(Expiry);

const NONE: &str = "none";

/// The units of a duration, the largest first.
const UNITS: &[(&str, Duration)] = &[
    ("d", Duration::from_secs(24 * 60 * 60)),
    ("h", Duration::from_secs(60 * 60)),
    ("m", Duration::from_secs(60)),
    ("s", Duration::from_secs(1)),
    ("ms", Duration::from_millis(1)),
];

/// The units of a size: binary from the largest, then decimal.
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

/// How many of `SIZES` are binary; sizes are shown in these.
const BINARY_SIZES: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("24h", 86_400),
            ("14d", 14 * 86_400),
            ("167h55m", 604_500),
            ("1h 30m", 5_400),
            (" 5 m ", 300),
            ("0s", 0),
        ] {
            assert_eq!(
                HumanDuration::from_text(text),
                Some(HumanDuration(Duration::from_secs(seconds))),
                "{text:?}"
            );
        }
        for text in
            ["", "30", "s", "5x", "5m3h", "5m5m", "-5m", "1.5h", "5m3", "99999999999d", "5 5m", "ä"]
        {
            assert_eq!(HumanDuration::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_binary_or_decimal_but_never_ambiguous() {
        for (text, bytes) in [
            ("64 MiB", 64 << 20),
            ("256KiB", 256 << 10),
            ("1 GiB", 1 << 30),
            ("10 MB", 10_000_000),
            ("512 B", 512),
            ("4096", 4096),
        ] {
            assert_eq!(ByteSize::from_text(text), Some(ByteSize(bytes)), "{text:?}");
        }
        for text in ["", "MiB", "64M", "-1", "1.5 MiB", "99999999999999 GiB", "1 TiB", "ä"] {
            assert_eq!(ByteSize::from_text(text), None, "{text:?}");
        }
        assert_eq!(ByteSize(64 << 20).to_string(), "64 MiB");
        assert_eq!(ByteSize(1_500).to_string(), "1500 B");
    }

    #[test]
    fn durations_are_shown_as_people_write_them() {
        for text in ["0s", "60s", "2m", "24h", "14d", "167h55m", "500ms", "1s", "1s1ms"] {
            assert_eq!(HumanDuration::from_text(text).unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(millis in 0_u64..1 << 40) {
            let duration = HumanDuration(Duration::from_millis(millis));
            prop_assert_eq!(HumanDuration::from_text(&duration.to_string()), Some(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC*|[0-9 a-zA-Z]*") {
            let _: Option<HumanDuration> = HumanDuration::from_text(&text);
            let _: Option<ByteSize> = ByteSize::from_text(&text);
        }
    }
}
