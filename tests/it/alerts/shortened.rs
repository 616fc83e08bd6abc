//! The operators' rules at a speed a test can wait for.
//!
//! Every duration in them, and nothing else, becomes its cube root in seconds: a minute is four
//! seconds, an hour fifteen, a day 44. What is shorter stays shorter, so causes are still known
//! before their consequences are, and the expressions are those of the file.

/// The text with its durations shortened, evaluated every second.
pub fn shortened(text: &str) -> String {
    let text = text.replace("interval: 30s", "interval: 1s");
    let mut short = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[at..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - at);
        let (number, after) = (&rest[at..at + digits], &rest[at + digits..]);
        let in_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || "_.".contains(c));
        let mut following = after.chars();
        let unit = following.next().and_then(seconds);
        let ends = following.next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        short.push_str(&rest[..at]);
        match unit {
            Some(unit) if ends && !in_word => {
                let whole: f64 = number.parse().expect("digits are a number");
                short.push_str(&format!("{:.0}ms", (whole * unit).cbrt() * 1000.0));
                rest = &after[1..];
            }
            _ => {
                short.push_str(number);
                rest = after;
            }
        }
    }
    short + rest
}

fn seconds(unit: char) -> Option<f64> {
    match unit {
        's' => Some(1.0),
        'm' => Some(60.0),
        'h' => Some(3600.0),
        'd' => Some(86_400.0),
        _ => None,
    }
}

#[test]
fn durations_become_shorter_and_nothing_else_changes() {
    for (text, short) in [
        ("for: 27m", "for: 11745ms"),
        ("changes(x[1h]) < 86400", "changes(x[15326ms]) < 86400"),
        ("m365:gap:max1h[8d:1h] offset 1m", "m365:gap:max1h[88417ms:15326ms] offset 3915ms"),
        ("interval: 30s", "interval: 1000ms"),
        ("record: m365:delivery_lag_seconds:p95", "record: m365:delivery_lag_seconds:p95"),
        ("3 in 15 minutes, AF20021, 1.5", "3 in 15 minutes, AF20021, 1.5"),
    ] {
        assert_eq!(shortened(text), short);
    }
}
