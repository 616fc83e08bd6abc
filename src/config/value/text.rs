//! Texts with a meaning: paths, GUIDs, the ledger's address, the log filter.

use std::{fmt, path::PathBuf};

use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use super::{Leaf, leaf_traits, serialize_as_displayed};
use crate::ledger::{Location, Server};

/// Any text; what it may hold depends on the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Text(pub(in crate::config) String);

impl Leaf for Text {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

leaf_traits!(Text, { "type": "string" });
serialize_as_displayed!(Text);

/// The path of a file, as written; relative to the directory of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct FilePath(pub(in crate::config) PathBuf);

impl Leaf for FilePath {
    const EXPECTED: &'static str = "the path of a file";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }
}

leaf_traits!(FilePath, { "type": "string", "minLength": 1 });

/// An id of Microsoft's. The id of zeros stands for "not filled in" and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Guid(pub(in crate::config) Uuid);

impl Leaf for Guid {
    const EXPECTED: &'static str = "a GUID such as \"11111111-2222-3333-4444-555555555555\"";

    fn from_text(text: &str) -> Option<Self> {
        let hyphenated = text.len() == uuid::fmt::Hyphenated::LENGTH;
        let id = Uuid::try_parse(text).ok().filter(|_| hyphenated)?;
        (!id.is_nil()).then_some(Self(id))
    }
}

leaf_traits!(Guid, { "type": "string", "format": "uuid" });

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum LedgerAddress {
    /// May hold a password, which it shows to nobody.
    Postgres(Server),
    Sqlite(PathBuf),
}

impl Leaf for LedgerAddress {
    const EXPECTED: &'static str = "\"sqlite:FILE\" or \"postgres://user@host/database\"";

    fn from_text(text: &str) -> Option<Self> {
        match text.parse().ok()? {
            Location::Postgres(server) => Some(Self::Postgres(server)),
            Location::Sqlite(path) => Some(Self::Sqlite(path)),
        }
    }
}

impl fmt::Display for LedgerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(server) => server.fmt(f),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

leaf_traits!(LedgerAddress, { "type": "string", "pattern": "^(sqlite:|postgres(ql)?://)" });
serialize_as_displayed!(LedgerAddress);

/// A log filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Filter(pub(in crate::config) String);

impl Leaf for Filter {
    const EXPECTED: &'static str = "a level (error, warn, info, debug, trace) or a filter such as \"info,m365_collector=debug\"";

    fn from_text(text: &str) -> Option<Self> {
        let valid = !text.trim().is_empty() && EnvFilter::try_new(text).is_ok();
        valid.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

leaf_traits!(Filter, { "type": "string", "minLength": 1 });
serialize_as_displayed!(Filter);
