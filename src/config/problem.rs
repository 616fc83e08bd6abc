//! What is wrong with a configuration, said so that the operator can put it right.
//!
//! Values of secrets never get here (I9): whoever reports a problem with one describes its kind.

use std::{fmt, path::PathBuf};

/// Everything wrong with a configuration, one line each, in the order of the file.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Puts the problems into the order of the file; those of the environment come last.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self(problems)
    }

    /// The problems, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

/// One thing wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    place: Place,
    key: String,
    found: String,
    expected: String,
}

impl Problem {
    pub(super) fn new(
        place: Place,
        key: impl fmt::Display,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { place, key: key.to_string(), found: found.into(), expected: expected.into() }
    }

    /// The dotted path of the key; empty when the file as a whole is meant.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, found, expected } = self;
        write!(f, "{place}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        write!(f, "found {found}, expected {expected}")
    }
}

/// Something that works and still deserves a look.
#[derive(Clone, Debug)]
pub struct Warning {
    place: Place,
    key: String,
    text: String,
}

impl Warning {
    pub(super) fn new(place: Place, key: impl fmt::Display, text: impl Into<String>) -> Self {
        Self { place, key: key.to_string(), text: text.into() }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.key, self.text)
    }
}

/// Where a value came from. Sorts in reading order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A line of the file, and a column where only the text is known and no key.
    Line { file: PathBuf, line: usize, column: usize, show_column: bool },
    /// The file, where nothing is written that could be pointed at.
    File { file: PathBuf },
    /// An override.
    Variable { name: String },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, column, show_column: true } => {
                write!(f, "{}:{line}:{column}", file.display())
            }
            Self::Line { file, line, .. } => write!(f, "{}:{line}", file.display()),
            Self::File { file } => write!(f, "{}", file.display()),
            Self::Variable { name } => {
                write!(f, "environment variable {}", name.escape_debug())
            }
        }
    }
}

/// A text as it may be shown in a problem: quoted, on one line, not endless, and without the parts
/// of an address that may hold a password or a key.
pub(super) fn quoted(text: &str) -> String {
    let (hidden, text) = match text.rsplit_once('@') {
        Some((_, after)) => ("…@", after),
        None => ("", text),
    };
    let (text, cut) = match text.split_once('?') {
        Some((before, _)) => (before, true),
        None => (text, false),
    };
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    let more = if cut || shown.len() < text.len() { "…" } else { "" };
    format!("\"{hidden}{}{more}\"", shown.escape_debug())
}

/// Enough to recognise a value; a pasted certificate should not fill the screen.
const MAX_SHOWN: usize = 80;
