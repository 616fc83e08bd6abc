//! How long a throttling answer asks us to wait: a header, or a sentence for humans.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};

/// A `Retry-After`: seconds, or a date. A date in the past is no wait.
pub(super) fn header(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// The wait in a sentence like "Please retry again after 8m 46s" or "try again in 30 seconds".
///
/// Only what follows "retry" or "again" counts: the limit itself is often named in minutes too.
pub(super) fn text(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    ["again", "retry"]
        .into_iter()
        .flat_map(|word| text.match_indices(word))
        .filter_map(|(at, word)| text.get(at + word.len()..))
        .find_map(amount)
}

/// The first run of number-and-unit pairs, ending at the sentence or at any other word after it.
fn amount(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = None;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let after_number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = rest.strip_suffix(after_number)?;
        let after_number = after_number.trim_start_matches(' ');
        let after_word = after_number.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let word = after_number.strip_suffix(after_word)?;
        match (number.parse::<u64>(), seconds(word)) {
            (Ok(number), Some(unit)) => {
                let more = Duration::from_secs(number.saturating_mul(unit));
                total = Some(total.unwrap_or(Duration::ZERO).saturating_add(more));
            }
            _ if total.is_some() => return total,
            // Filler before the amount: "after", "in".
            (Err(_), _) if number.is_empty() && !word.is_empty() => {}
            _ => return None,
        }
        rest = after_word;
    }
}

/// The length of a unit.
fn seconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        _ => return None,
    })
}
