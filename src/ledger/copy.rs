//! Moving a ledger from one database to another, such as from a file to a server.
//!
//! All or nothing: the target is filled in one transaction, which is committed only after every row
//! was read back from it and the two sides agree. If anything fails, or the process dies, the target
//! holds nothing, and the copy begins anew. The source is only read, and stays as it is; nobody
//! writes to it meanwhile, and who does is noticed at the end.
//!
//! Rows keep their ids, and new ones of the target continue after them, so that an id is never used
//! twice. What was leased is due at once, as it is when a service starts on its file: the holder is
//! gone. What belongs to processes and not to content stays behind: replicas, their duties, their
//! numbers in what they stored; what waits is counted anew.
//!
//! Memory does not depend on how much there is: rows are read, written and compared a page at a time.

use std::path::PathBuf;

use super::{
    Location, OpenError, backlog,
    dialect::{BEGIN, Statement},
    sql::{Connection, query},
};
use rows::Fingerprint;
use side::Side;
use tables::{TABLES, Table};

mod rows;
mod side;
pub(super) mod tables;

/// Copies the whole ledger into a database that holds none, or an empty one; says of each table what
/// was copied. `tell` hears how far it is.
///
/// # Errors
///
/// [`CopyError`]; the target then holds nothing.
pub async fn copy(
    from: &Location,
    to: &Location,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<Vec<Copied>, CopyError> {
    let source = Side::existing(from, &mut tell).await?;
    let target = Side::created(to, &source, &mut tell).await?;
    let mut copying = Copying {
        reads: source.begin(BEGIN_READING).await?,
        writes: target.begin(BEGIN).await?,
        source,
        target,
    };
    copying.is_empty().await?;
    let mut copied = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        copied.push((table, copying.copy(table, &mut tell).await?));
    }
    copying.count_anew().await?;
    for (table, fingerprint) in &copied {
        copying.verify(table, *fingerprint, &mut tell).await?;
    }
    copying.end(&copied).await?;
    Ok(copied.into_iter().map(|(table, fingerprint)| Copied::new(table, fingerprint)).collect())
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Rows of a table were written, of so many.
    Copying {
        /// Which.
        table: &'static str,
        /// Written so far.
        rows: u64,
        /// How many it has.
        of: u64,
    },
    /// A replica has not left; whether it lives shows within its term.
    Looking {
        /// What people call it.
        replica: &'a str,
    },
    /// Rows of a table were read back, of so many.
    Verifying {
        /// Which.
        table: &'static str,
        /// Read so far.
        rows: u64,
        /// How many it should have.
        of: u64,
    },
}

/// A table that was copied, read back and found the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Which.
    pub table: &'static str,
    /// How many rows were written, and how many were read back.
    pub rows: u64,
    /// What all of them together are, in whatever order.
    pub fingerprint: u128,
}

impl Copied {
    fn new(table: &Table, Fingerprint { rows, sum }: Fingerprint) -> Self {
        Self { table: table.name, rows, fingerprint: sum }
    }
}

/// Why a ledger was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A service works with it.
    #[error(
        "the ledger {} is in use by the replica {replica}; stop all of its replicas first",
        path.display()
    )]
    Alive {
        /// The address of the database.
        path: PathBuf,
        /// What people call it.
        replica: String,
    },
    /// Somebody wrote to the source who is no replica.
    #[error(
        "the ledger {} was written to while it was copied (its table {table}), so nothing was kept; \
         have no other command use it meanwhile, and copy again",
        path.display()
    )]
    Changed {
        /// The address of the database.
        path: PathBuf,
        /// The first table that is not what it was.
        table: &'static str,
    },
    /// What was read back is not what was written.
    #[error(
        "what {} holds in its table {table} is not what was copied, so nothing was kept: somebody \
         else writes to it, or it does not store what it is given",
        path.display()
    )]
    Differs {
        /// The file, or the address of the database.
        path: PathBuf,
        /// Which.
        table: &'static str,
    },
    /// A database fails.
    #[error("the ledger {} cannot be read or written, and nothing was kept", path.display())]
    Failed {
        /// The file, or the address of the database.
        path: PathBuf,
        /// What it says.
        source: sqlx::Error,
    },
    /// It may hold what this version would leave behind.
    #[error(
        "the ledger {} was added to by a newer version (step {step} of its schema); copy it with \
         that one",
        path.display()
    )]
    Newer {
        /// The file, or the address of the database.
        path: PathBuf,
        /// The first step that this version does not know.
        step: i64,
    },
    /// The target is a ledger that was used.
    #[error(
        "the ledger {} is not empty: its table {table} holds rows; copy to a new database",
        path.display()
    )]
    Occupied {
        /// The file, or the address of the database.
        path: PathBuf,
        /// The first table with rows.
        table: &'static str,
    },
    /// A side cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing to do.
    #[error("both sides are the ledger {}", path.display())]
    Same {
        /// The file, or the address of the database.
        path: PathBuf,
    },
}

/// A copy under way. Dropped before its end, it leaves nothing.
struct Copying {
    source: Side,
    target: Side,
    reads: Connection,
    writes: Connection,
}

impl Copying {
    /// Whether the target holds nothing; nobody joins it from here on.
    async fn is_empty(&mut self) -> Result<(), CopyError> {
        let holds = async {
            query("UPDATE roll SET beats = beats + 1").execute(&mut self.writes).await?;
            for table in TABLES.iter().filter(|table| !table.is_made) {
                if query(table.any).fetch_optional(&mut self.writes).await?.is_some() {
                    return Ok(Some(table.name));
                }
            }
            Ok(None)
        };
        match holds.await.map_err(|error| self.target.failed(error))? {
            Some(table) => Err(CopyError::Occupied { path: self.target.database.path(), table }),
            None => Ok(()),
        }
    }

    async fn copy(
        &mut self,
        table: &'static Table,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<Fingerprint, CopyError> {
        let (reads, writes) = (&mut self.reads, &mut self.writes);
        let of = rows::count(reads, table).await.map_err(|error| self.source.failed(error))?;
        if table.is_made {
            let cleared = query(table.clear).execute(&mut *writes).await;
            cleared.map_err(|error| self.target.failed(error))?;
        }
        let mut walk = rows::Walk::new(table);
        let mut fingerprint = Fingerprint::default();
        tell(Progress::Copying { table: table.name, rows: 0, of });
        loop {
            let page = walk.next(reads).await.map_err(|error| self.source.failed(error))?;
            if page.is_empty() {
                break;
            }
            let written = rows::write(writes, table, &page).await;
            written.map_err(|error| self.target.failed(error))?;
            page.iter().for_each(|row| fingerprint.add(row));
            tell(Progress::Copying { table: table.name, rows: fingerprint.rows, of });
        }
        if let Some(ids) = &table.ids {
            let last = ids.last(reads).await.map_err(|error| self.source.failed(error))?;
            let continued = ids.continue_after(writes, last).await;
            continued.map_err(|error| self.target.failed(error))?;
        }
        Ok(fingerprint)
    }

    async fn count_anew(&mut self) -> Result<(), CopyError> {
        let counted = backlog::count_all(&mut self.writes).await;
        counted.map_err(|error| self.target.failed(error))
    }

    async fn verify(
        &mut self,
        table: &'static Table,
        written: Fingerprint,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<(), CopyError> {
        let mut walk = rows::Walk::new(table);
        let mut found = Fingerprint::default();
        loop {
            tell(Progress::Verifying { table: table.name, rows: found.rows, of: written.rows });
            let page = walk.next(&mut self.writes).await;
            let page = page.map_err(|error| self.target.failed(error))?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|row| found.add(row));
        }
        if found == written {
            Ok(())
        } else {
            Err(CopyError::Differs { path: self.target.database.path(), table: table.name })
        }
    }

    /// Whether the source is what was copied. Commands give no signs of life.
    async fn is_current(
        &mut self,
        copied: &[(&'static Table, Fingerprint)],
    ) -> Result<(), CopyError> {
        let reads = &mut self.reads;
        let changed = async {
            reads.rollback().await?;
            reads.run(BEGIN_READING).await?;
            for (table, fingerprint) in copied {
                if !rows::is_still(reads, table, *fingerprint).await? {
                    return Ok(Some(table.name));
                }
            }
            Ok(None)
        };
        match changed.await.map_err(|error| self.source.failed(error))? {
            Some(table) => Err(CopyError::Changed { path: self.source.database.path(), table }),
            None => Ok(()),
        }
    }

    /// Keeps what was copied, unless somebody came to use the source meanwhile.
    async fn end(mut self, copied: &[(&'static Table, Fingerprint)]) -> Result<(), CopyError> {
        // A file is locked.
        let changed =
            if self.source.database.is_shared() { self.is_current(copied).await } else { Ok(()) };
        // Whoever is a replica is called by its name.
        for side in [&self.source, &self.target] {
            if side.database.is_shared() {
                side.is_unchanged().await?;
            }
        }
        changed?;
        let committed = self.writes.commit().await;
        committed.map_err(|halted| self.target.failed(halted.error))?;
        // What follows changes nothing that matters: the copy is there.
        self.reads.rollback().await.ok();
        self.writes.run(ANALYZE).await.ok();
        self.reads.close().await.ok();
        self.writes.close().await.ok();
        Ok(())
    }
}

/// In a file, so that nobody writes to it meanwhile.
const BEGIN_READING: Statement = Statement {
    postgres: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    sqlite: "BEGIN IMMEDIATE",
};

/// A server finds its way by what it knows of a table, and of a new one it knows nothing yet.
const ANALYZE: Statement = Statement {
    postgres: "ANALYZE content; ANALYZE identity; ANALYZE dead_letter",
    sqlite: "SELECT 1",
};
