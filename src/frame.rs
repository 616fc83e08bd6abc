//! The line a record travels in: `<14>Mmm dd hh:mm:ss HOST TAG: RECORD\n`.
//!
//! The form is RFC 3164's, section 4.1: PRI of facility user and severity informational (4.1.1),
//! TIMESTAMP with the day padded by a blank and HOSTNAME (4.1.2), TAG before the content (4.1.3).
//! It departs from it on purpose in three things: the time is UTC, the tag has dots and may be
//! longer than 32 characters, and a line may exceed 1024 bytes. The host is sent as configured,
//! with its domain if it has one, because alerts group by it.
//!
//! A newline ends the line, so a record holds none; the splitter sees to that. Record bytes are
//! appended unchanged (I8).

use jiff::{Timestamp, fmt::strtime, tz::Offset};

/// Writes records as lines. Each writer of lines has its own.
#[derive(Clone, Debug)]
pub struct Framer {
    host: String,
    prefix: String,
    /// Everything before the table, as it was in `second`.
    head: Vec<u8>,
    second: i64,
}

impl Framer {
    /// A framer for this host and the leading levels of the tag.
    ///
    /// What RFC 3164 does not allow in a host's name becomes `-`.
    pub fn new(hostname: &str, prefix: &str) -> Self {
        let mut framer =
            Self { host: host(hostname), prefix: prefix.to_owned(), head: Vec::new(), second: 0 };
        framer.turn(Timestamp::UNIX_EPOCH);
        framer
    }

    /// Appends one line to `out`.
    pub fn frame(&mut self, out: &mut Vec<u8>, now: Timestamp, table: &str, record: &[u8]) {
        debug_assert!(is_one_line(record), "a record is one line");
        if now.as_second() != self.second {
            self.turn(now);
        }
        out.reserve(self.head.len() + table.len() + record.len() + 3);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(table.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(record);
        out.push(b'\n');
    }

    /// Moves on to another second.
    fn turn(&mut self, now: Timestamp) {
        let (host, prefix) = (&self.host, &self.prefix);
        self.head = format!("{PRI}{} {host} {prefix}.", date(now)).into_bytes();
        self.second = now.as_second();
    }
}

/// A line taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// `Mmm dd hh:mm:ss`
    pub date: &'a str,
    /// The sender.
    pub host: &'a str,
    /// Prefix and table.
    pub tag: &'a str,
    /// The record as it was framed.
    pub record: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a line apart; the newline at its end may be gone already.
    ///
    /// `None` for anything a [`Framer`] does not write.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !is_one_line(line) {
            return None;
        }
        let (date, rest) = line.strip_prefix(PRI.as_bytes())?.split_at_checked(DATE)?;
        let (host, rest) = until(rest.strip_prefix(b" ")?, b" ")?;
        let (tag, record) = until(rest, b": ")?;
        let frame = Self {
            date: str::from_utf8(date).ok()?,
            host: str::from_utf8(host).ok()?,
            tag: str::from_utf8(tag).ok()?,
            record,
        };
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        (is_date(frame.date) && is_word(frame.host) && is_word(frame.tag)).then_some(frame)
    }
}

fn host(hostname: &str) -> String {
    let host: String = hostname
        .trim()
        .chars()
        .take(MAX_HOST)
        .map(|char| if char.is_ascii_graphic() { char } else { '-' })
        .collect();
    if host.is_empty() { "-".to_owned() } else { host }
}

fn date(now: Timestamp) -> String {
    strtime::format(DATE_FORMAT, Offset::UTC.to_datetime(now))
        .expect("a datetime has every field of the format")
}

/// Whether [`date`] could have written this.
fn is_date(text: &str) -> bool {
    strtime::parse(DATE_FORMAT, text)
        .and_then(|date| date.to_string(DATE_FORMAT))
        .is_ok_and(|again| again == text)
}

fn is_one_line(bytes: &[u8]) -> bool {
    memchr::memchr3(b'\0', b'\r', b'\n', bytes).is_none()
}

/// The bytes before and after the first `end`.
fn until<'a>(bytes: &'a [u8], end: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(bytes, end)?;
    Some((&bytes[..at], &bytes[at + end.len()..]))
}

/// Facility user (1) times 8, plus severity informational (6).
const PRI: &str = "<14>";

/// The month's English abbreviation, the day padded with a blank.
const DATE_FORMAT: &str = "%b %e %H:%M:%S";

/// The length of a date.
const DATE: usize = 15;

/// The longest name DNS knows.
const MAX_HOST: usize = 253;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_what_devo_reads() {
        check(
            "2023-11-02T03:04:05.9Z",
            "<14>Nov  2 03:04:05 collector-1 cloud.office365.management.exchange: {\"a\":1}\n",
        );
        check(
            "2024-02-29T23:59:59Z",
            "<14>Feb 29 23:59:59 collector-1 cloud.office365.management.exchange: {\"a\":1}\n",
        );
        check(
            "1970-01-01T00:00:00Z",
            "<14>Jan  1 00:00:00 collector-1 cloud.office365.management.exchange: {\"a\":1}\n",
        );
    }

    #[test]
    fn lines_are_appended_and_follow_the_clock_both_ways() {
        let mut framer = Framer::new("h", "a.b");
        let mut out = b"before\n".to_vec();
        for (time, table) in [
            ("2024-05-09T10:00:00Z", "x"),
            ("2024-05-09T10:00:00.5Z", "y"),
            ("2024-05-10T10:00:01Z", "x"),
            ("2024-05-09T10:00:00Z", "x"),
        ] {
            framer.frame(&mut out, time.parse().unwrap(), table, b"1");
        }
        assert_eq!(
            str::from_utf8(&out).unwrap(),
            "before\n\
             <14>May  9 10:00:00 h a.b.x: 1\n\
             <14>May  9 10:00:00 h a.b.y: 1\n\
             <14>May 10 10:00:01 h a.b.x: 1\n\
             <14>May  9 10:00:00 h a.b.x: 1\n",
        );
    }

    #[test]
    fn the_host_is_one_visible_word() {
        for (hostname, expected) in [
            ("host.example.com", "host.example.com"),
            ("fe80::1", "fe80::1"),
            (" my host\n", "my-host"),
            ("h\0\u{7f}é", "h---"),
            ("", "-"),
            (" ", "-"),
        ] {
            assert_eq!(host(hostname), expected, "{hostname:?}");
        }
        assert_eq!(host(&"h".repeat(1000)).len(), MAX_HOST);
    }

    #[test]
    fn what_no_framer_writes_is_no_frame() {
        let good = "<14>Nov  2 03:04:05 h a.b.c: {}";
        assert!(Frame::parse(good.as_bytes()).is_some());
        for (part, other) in [
            ("<14>", "<13>"),
            ("<14>", ""),
            ("Nov", "nov"),
            ("Nov", "Nox"),
            (" 2 ", "02 "),
            (" 2 ", "32 "),
            ("03:", "24:"),
            (":04:", ":4:"),
            (" h ", "  "),
            (" h ", " \u{e9} "),
            (": ", ":"),
            ("a.b.c", ""),
            ("a.b.c", "a b"),
            ("{}", "{\n}"),
            ("{}", "\r"),
            ("{}", "\0"),
            ("{}", "\n\n"),
        ] {
            let line = good.replacen(part, other, 1);
            assert_eq!(Frame::parse(line.as_bytes()), None, "{line:?}");
        }
        for length in 0..good.len() - 2 {
            assert_eq!(Frame::parse(&good.as_bytes()[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_is_parsed(
            second in -1_000_000_000_i64..4_000_000_000,
            hostname: String,
            table in "[a-z0-9_]{1,20}",
            record in prop::collection::vec(
                any::<u8>().prop_filter("one line", |byte| !b"\0\r\n".contains(byte)),
                0..100,
            ),
        ) {
            let now = Timestamp::from_second(second).unwrap();
            let mut line = Vec::new();
            Framer::new(&hostname, "a.b").frame(&mut line, now, &table, &record);
            let frame = Frame {
                date: &date(now),
                host: &host(&hostname),
                tag: &format!("a.b.{table}"),
                record: &record,
            };
            prop_assert_eq!(line.last(), Some(&b'\n'));
            prop_assert_eq!(Frame::parse(&line), Some(frame));
            prop_assert_eq!(Frame::parse(&line[..line.len() - 1]), Some(frame));
        }

        #[test]
        fn whatever_comes_is_parsed_without_panic(
            bytes: Vec<u8>,
            text in "<14>([A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8}|.{15}) ?.{0,4} .{0,9}:? .*",
        ) {
            Frame::parse(&bytes);
            Frame::parse(text.as_bytes());
        }
    }

    #[track_caller]
    fn check(now: &str, expected: &str) {
        let mut framer = Framer::new("collector-1", "cloud.office365.management");
        let mut line = Vec::new();
        framer.frame(&mut line, now.parse().unwrap(), "exchange", br#"{"a":1}"#);
        assert_eq!(str::from_utf8(&line).unwrap(), expected);
    }
}
