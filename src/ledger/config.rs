//! Where a ledger is and how long things last in it.

use std::{
    path::{Path, PathBuf},
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
