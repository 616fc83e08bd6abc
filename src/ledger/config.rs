//! Where a ledger is and how long things last in it.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use super::Server;

/// Where the ledger is and how long things last in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which database holds it.
    pub location: Location,
    /// How long claimed content is left to its holder. Shorter: content that its holder lost is
    /// taken up sooner; longer: fewer renewals. A start waits for no lease.
    pub lease: Duration,
    /// How long delivered content is remembered; at least a week, in which Microsoft may list it.
    pub keep_delivered: Duration,
    /// How long what was given up on can be looked at and replayed; at least as long.
    pub keep_dead: Duration,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A `PostgreSQL` database, or one that speaks its protocol, for any number of processes.
    Postgres(Server),
    /// A `SQLite` file, for one process.
    Sqlite(PathBuf),
}

impl Location {
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite(path) => Some(path),
        }
    }
}

impl FromStr for Location {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let Some(path) = text.strip_prefix("sqlite:") else {
            return Server::parse(text).map(Self::Postgres).map_err(|_| InvalidLocation);
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        let is_file = !path.is_empty() && !path.contains('?') && path != ":memory:";
        if is_file { Ok(Self::Sqlite(path.into())) } else { Err(InvalidLocation) }
    }
}

/// The text names no database that can hold a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected sqlite:FILE or postgres://user@host/database")]
pub struct InvalidLocation;
