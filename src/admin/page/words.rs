//! Numbers, times and commands as a person reads them.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

/// A time of about so many seconds.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        5400..129_600 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

/// How long ago something was, in steps coarse enough for a page that is not replaced every second.
pub(super) fn ago(at: Option<Timestamp>, now: Timestamp) -> Markup {
    let Some(at) = at else { return html! { span.muted { "–" } } };
    let seconds = now.duration_since(at).as_secs();
    let text = match seconds {
        ..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    };
    html! { time datetime=(at.to_string()) title=(stamp(at)) { (text) } }
}

/// A moment, to the second, in UTC.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of something.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// The first few names, and how many more there are.
pub(super) fn some(names: &[String]) -> String {
    let mut text = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES {
        // Writing into a string cannot fail.
        let _infallible = write!(text, " and {} more", names.len() - NAMES);
    }
    text
}

/// A command, with a place for a button that copies it.
pub(super) fn command(line: &str) -> Markup {
    html! { div.command { code tabindex="0" { (line) } } }
}

/// Names that still make a line.
const NAMES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers_read_well() {
        let spans: Vec<_> = [-1, 0, 89, 90, 5399, 5400, 86_400, 129_600].map(span).into();
        assert_eq!(spans, ["0 s", "0 s", "89 s", "2 min", "90 min", "2 h", "24 h", "2 d"]);
        let numbers: Vec<_> = [0, 999, 1000, 1_234_567].map(number).into();
        assert_eq!(numbers, ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }

    #[test]
    fn long_lists_end() {
        let names: Vec<_> = (0..10).map(|serial| format!("n{serial}")).collect();
        assert_eq!(some(&names), "n0, n1, n2, n3, n4, n5, n6, n7 and 2 more");
        assert_eq!(some(&names[..2]), "n0, n1");
    }
}
