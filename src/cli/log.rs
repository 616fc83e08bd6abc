//! The program's own log on standard error: one line an event, whatever an event holds.
//!
//! Texts of strangers hardly reach the log, but libraries speak at `trace`, and an operator reads
//! it in a terminal: control characters, and those that change the direction or the line, are
//! written as escapes, and what is long is cut. JSON escapes the lower control characters by
//! itself; the others, and the cuts, are made in the finished line.
//!
//! What is told to Devo of it is written as JSON as well, whatever the form here, and is of this
//! program alone: libraries may speak of what they carry.

use std::{
    fmt::{self, Debug, Write as _},
    io,
};

use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    field::MakeExt as _,
    filter::{FilterExt as _, LevelFilter, Targets, filter_fn},
    fmt::{
        format::{Writer, debug_fn},
        layer,
    },
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

#[cfg(feature = "otel")]
use super::telemetry::Telemetry;
use super::{CommandError, Outside};
use crate::{
    config::settings::log::{Config, Format},
    logbook::{self, Lines},
    printable::is_printable,
};

/// A log that was started.
#[derive(Debug)]
#[must_use = "what is left is to be told at the end"]
pub(super) struct Log {
    #[cfg(feature = "otel")]
    telemetry: Option<Telemetry>,
}

impl Log {
    /// Tells what is left to whoever is told of spans.
    #[cfg_attr(not(feature = "otel"), expect(clippy::unused_async, reason = "nobody is told"))]
    pub(super) async fn end(self) {
        #[cfg(feature = "otel")]
        if let Some(telemetry) = self.telemetry {
            telemetry.end().await;
        }
    }
}

/// Starts the log of the process, and what others are told of it.
pub(super) fn start(
    config: &Config,
    logbook: Option<&logbook::Config>,
    outside: &Outside,
) -> Result<Log, CommandError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let lines = layer()
        .with_writer(io::stderr)
        .with_ansi(outside.colour)
        // Would be said on the same standard error, and panic because that is on a full disk.
        .log_internal_errors(false);
    let lines = match config.format {
        Format::Json => {
            lines.json().flatten_event(true).with_writer(|| JsonLines(io::stderr())).boxed()
        }
        Format::Text => lines.fmt_fields(debug_fn(write_field).delimited(" ")).boxed(),
    };
    let mut layers = vec![lines.with_filter(filter).boxed()];
    layers.extend(logbook.map(told));
    #[cfg(feature = "otel")]
    let telemetry = Telemetry::start(&outside.variables)?;
    #[cfg(feature = "otel")]
    layers.extend(telemetry.as_ref().map(Telemetry::layer));
    tracing_subscriber::registry().with(layers).init();
    Ok(Log {
        #[cfg(feature = "otel")]
        telemetry,
    })
}

/// What Devo is told.
fn told(config: &logbook::Config) -> Box<dyn Layer<Registry> + Send + Sync> {
    let (lines, severity) = (config.lines.clone(), config.severity.level());
    // Of the spans it takes what is said in them.
    let level = filter_fn(move |of| of.is_span() || *of.level() <= severity)
        .with_max_level_hint(LevelFilter::INFO);
    let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO);
    layer()
        .json()
        .flatten_event(true)
        .log_internal_errors(false)
        .with_writer(move || JsonLines(Pen(lines.clone())))
        .with_filter(own.and(level))
        .boxed()
}

/// Writes into the logbook.
struct Pen(Lines);

impl io::Write for Pen {
    /// The log writes a line at a time, and so does what cleans it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let mut clean = Clean { to: writer, left: LONGEST };
    if field.name() != "message" {
        write!(clean.to, "{}=", field.name())?;
    }
    // The only error is that there is no room left.
    if write!(clean, "{value:?}").is_err() && clean.left == 0 {
        clean.to.write_str("…")?;
    }
    Ok(())
}

/// Passes on what is harmless, escapes what is not, and stops when it is long.
struct Clean<'a, 'w> {
    to: &'a mut Writer<'w>,
    left: usize,
}

impl fmt::Write for Clean<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.left == 0 {
                return Err(fmt::Error);
            }
            self.left -= 1;
            if !is_printable(character) {
                write!(self.to, "{}", character.escape_default())?;
            } else {
                self.to.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Passes on lines of JSON with their texts made harmless.
struct JsonLines<W>(W);

impl<W: io::Write> io::Write for JsonLines<W> {
    /// The log writes a line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(clean_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The same JSON, in whose texts nothing is harmful or long. Outside of texts all is ASCII.
fn clean_json(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut characters = line.chars();
    // In a text: how many characters are left, the one that says that it was cut among them.
    let mut left: Option<usize> = None;
    while let Some(character) = characters.next() {
        let Some(room) = left.as_mut().filter(|_| character != '"') else {
            left = if character == '"' && left.is_none() { Some(LONGEST + 1) } else { None };
            clean.push(character);
            continue;
        };
        let mut escape = String::new();
        match character {
            // An escape stays whole, and counts as what it stands for.
            '\\' => {
                escape.push(character);
                escape.extend(characters.next());
                if escape.ends_with('u') {
                    escape.extend(characters.by_ref().take(4));
                }
            }
            _ if !is_printable(character) => escape = format!("\\u{:04x}", u32::from(character)),
            _ => escape.push(character),
        }
        match *room {
            0 => {}
            1 => clean.push('…'),
            _ => clean.push_str(&escape),
        }
        *room = room.saturating_sub(1);
    }
    clean
}

/// Longer than any message of ours.
const LONGEST: usize = 2048;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::fmt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(event: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let fields = debug_fn(write_field).delimited(" ");
        let lines = fmt().with_ansi(false).without_time().fmt_fields(fields);
        let log = lines.with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, event);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn whatever_an_event_holds_is_one_harmless_line() {
        let evil = "a\nERROR forged\r\u{1b}[31m\u{7f}\u{85}\u{9b}\u{2028}\u{202e}\u{feff}\0ä";
        let error = io::Error::other(evil);
        let line = written(|| tracing::info!(text = evil, shown = %evil, %error, "said {evil}"));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let rest = line.trim_end_matches('\n');
        assert!(rest.chars().all(is_printable), "{line}");
        assert!(rest.contains(r"a\nERROR forged\r\u{1b}[31m"), "{line}");
        assert!(rest.contains('ä'), "{line}");
    }

    #[test]
    fn in_json_as_well() {
        let evil = "a\nERROR \"forged\"\\\r\u{1b}[31m\u{7f}\u{85}\u{9b}\u{2028}\u{202e}\u{feff}\0ä";
        let written = Written::default();
        let writer = written.clone();
        let lines = fmt().json().flatten_event(true);
        let log = lines.with_writer(move || JsonLines(writer.clone())).finish();
        let long = "\u{1}".repeat(100_000);
        tracing::subscriber::with_default(log, || {
            let span = tracing::info_span!("span", evil);
            span.in_scope(|| tracing::info!(evil, long, after = 1, "said {evil}"));
        });
        let line = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.trim_end_matches('\n').chars().all(is_printable), "{line}");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["evil"], evil);
        assert_eq!(event["span"]["evil"], evil);
        assert_eq!(event["message"], format!("said {evil}"));
        assert_eq!(event["after"], 1);
        assert_eq!(event["long"].as_str().unwrap().chars().count(), LONGEST + 1);
    }

    #[test]
    fn long_fields_are_cut_and_short_ones_look_as_ever() {
        let line = written(|| tracing::info!(n = 1, name = %"x", "listening on {}", "y"));
        assert!(line.trim_end().ends_with("listening on y n=1 name=x"), "{line}");
        let long = "x".repeat(100_000);
        let line = written(|| tracing::info!(long = %long, after = 1, "short"));
        assert!(line.len() < 2 * LONGEST && line.contains("x… after=1"), "{}", line.len());
    }
}
