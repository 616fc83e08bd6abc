//! The syslog line of this feed: `<14>Mmm dd hh:mm:ss HOST TAG: RECORD`.
//!
//! A reader of its own, so that a mistake in the collector's writer is seen and not repeated.

/// A line in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// `Mmm dd hh:mm:ss`.
    pub date: &'a [u8],
    /// Who sends.
    pub host: &'a [u8],
    /// Where Devo stores it.
    pub tag: &'a str,
    /// The record.
    pub record: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line without its newline.
    ///
    /// # Errors
    ///
    /// [`Malformed`] unless every part is there, the tag is one Devo can file, and the record
    /// holds none of the bytes that separate events.
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        let rest = line.strip_prefix(PRIORITY).ok_or(Malformed)?;
        let (date, rest) = rest.split_at_checked(DATE).ok_or(Malformed)?;
        let rest = rest.strip_prefix(b" ").ok_or(Malformed)?;
        let (host, rest) = cut(rest, memchr::memchr(b' ', rest), 1)?;
        let (tag, record) = cut(rest, memchr::memmem::find(rest, b": "), 2)?;
        let tag = std::str::from_utf8(tag).map_err(|_| Malformed)?;
        let whole = memchr::memchr3(b'\r', b'\n', 0, record).is_none();
        if is_date(date) && !host.is_empty() && is_tag(tag) && !record.is_empty() && whole {
            Ok(Self { date, host, tag, record })
        } else {
            Err(Malformed)
        }
    }
}

/// The line is none that Devo would file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a syslog line of this feed")]
pub struct Malformed;

fn cut(text: &[u8], at: Option<usize>, separator: usize) -> Result<(&[u8], &[u8]), Malformed> {
    let (head, tail) = text.split_at_checked(at.ok_or(Malformed)?).ok_or(Malformed)?;
    Ok((head, &tail[separator..]))
}

/// RFC 3164: the day is padded with a space.
fn is_date(date: &[u8]) -> bool {
    let shape = b"Aaa 99 99:99:99";
    let fits = date.iter().zip(shape).all(|(byte, shape)| match shape {
        b'A' => byte.is_ascii_uppercase(),
        b'a' => byte.is_ascii_lowercase(),
        b'9' => byte.is_ascii_digit(),
        other => byte == other,
    });
    // The one place where a space may stand for a digit.
    let padded = date[4] == b' ' && {
        let mut filled = [0; DATE];
        filled.copy_from_slice(date);
        filled[4] = b'0';
        is_date(&filled)
    };
    fits || padded
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= LONGEST_TAG
        && tag.split('.').count() >= 2
        && tag.split('.').all(|level| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            !level.is_empty() && level.bytes().all(known)
        })
}

/// Facility user, severity info.
const PRIORITY: &[u8] = b"<14>";

const DATE: usize = 15;

const LONGEST_TAG: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_into_its_parts() {
        let line =
            br#"<14>Nov  2 09:08:07 host-1 cloud.office365.management.exchange: {"a": "b: c"}"#;
        let read = Line::parse(line).unwrap();
        assert_eq!(read.date, b"Nov  2 09:08:07");
        assert_eq!(read.host, b"host-1");
        assert_eq!(read.tag, "cloud.office365.management.exchange");
        assert_eq!(read.record, br#"{"a": "b: c"}"#);
        assert!(Line::parse(b"<14>Nov 12 09:08:07 h a.b: {}").is_ok());
    }

    #[test]
    fn lines_devo_would_not_file_are_malformed() {
        for line in [
            &b""[..],
            b"<13>Nov 12 09:08:07 h a.b: {}",
            b"<14>2026-11-12 09:08:07 h a.b: {}",
            b"<14>Nov 12 09:08:07 h a.b:{}",
            b"<14>Nov 12 09:08:07 h a.b: ",
            b"<14>Nov 12 09:08:07  a.b: {}",
            b"<14>Nov 12 09:08:07 h single: {}",
            b"<14>Nov 12 09:08:07 h a..b: {}",
            b"<14>Nov 12 09:08:07 h a.b c: {}",
            b"<14>Nov 12 09:08:07 h a.b: {\r}",
        ] {
            let shown = String::from_utf8_lossy(line);
            assert_eq!(Line::parse(line), Err(Malformed), "{shown}");
        }
    }
}
