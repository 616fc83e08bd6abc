//! Everything that is particular to `SQLite`: the file, its lock, its settings and its schema.
//!
//! Commits reach the disk before they are acknowledged (`synchronous = FULL`; in WAL mode anything
//! less may lose the last ones when power fails). One service writes a file: the lock is a file of
//! its own beside it, because `SQLite`'s locks come and go with transactions. A command that
//! announces content beside the service takes turns with it by those.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    migrate::{Migrate, MigrateError, Migrator},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

use super::{backlog, identities, rows};
use crate::identity::Secret;

/// A database file and how to connect to it.
#[derive(Clone, Debug)]
pub(super) struct Database {
    path: PathBuf,
    pub(super) write: SqliteConnectOptions,
    read: SqliteConnectOptions,
}

impl Database {
    /// The file for this process alone, created if it is missing. The lock lasts as long as the
    /// returned file is open.
    pub(super) fn create(path: &Path) -> Result<(Self, File), OpenError> {
        create(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let database = Self::existing(path)?;
        let lock = lock(&database.path)?;
        Ok((database, lock))
    }

    /// The file as it is, for reading beside the process that writes it.
    pub(super) fn existing(path: &Path) -> Result<Self, OpenError> {
        // One file has one name here, however it was spelled and whatever links lead to it. An
        // absolute name is also never mistaken for one of SQLite's special names.
        let path = path.canonicalize().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => OpenError::Missing { path: path.to_owned() },
            _ => OpenError::File { path: path.to_owned(), source },
        })?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        Ok(Self {
            path,
            write: options
                .clone()
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .pragma("journal_size_limit", LOG_SIZE)
                .pragma("cache_size", CACHE),
            read: options.read_only(true),
        })
    }

    /// Connects for writing and brings the schema up to date.
    pub(super) async fn migrate(&self) -> Result<SqliteConnection, OpenError> {
        let mut connection = self.connect().await.map_err(|error| self.refused(error))?;
        match MIGRATIONS.run_direct(None, &mut connection, false).await {
            Ok(()) => Ok(connection),
            Err(
                MigrateError::VersionMissing(step)
                | MigrateError::VersionMismatch(step)
                | MigrateError::Dirty(step),
            ) => Err(OpenError::Schema { path: self.path.clone(), step }),
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                Err(self.refused(error))
            }
            Err(error) => Err(self.refused(sqlx::Error::Migrate(Box::new(error)))),
        }
    }

    /// As [`Database::migrate`], for the one process that holds the lock: every lease in the file
    /// is of a process that is gone, so none has to run out before its content moves again.
    pub(super) async fn migrate_alone(&self) -> Result<SqliteConnection, OpenError> {
        let mut connection = self.migrate().await?;
        rows::take_back(&mut connection).await.map_err(|error| self.refused(error))?;
        backlog::recount(&mut connection).await.map_err(|error| self.refused(error))?;
        Ok(connection)
    }

    /// Reads what the identities in this file are made with.
    pub(super) async fn secret(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Secret, OpenError> {
        identities::secret(connection).await.map_err(|error| self.refused(error))
    }

    /// Checks, without writing, that the schema is the one this version reads.
    pub(super) async fn check_schema(&self) -> Result<(), OpenError> {
        let applied = self.applied().await?;
        let known = MIGRATIONS.iter().map(|migration| migration.version);
        if let Some(step) = known.clone().find(|step| !applied.contains(step)) {
            return Err(OpenError::Outdated { path: self.path.clone(), step });
        }
        match applied.iter().find(|step| !known.clone().any(|known| known == **step)) {
            Some(step) => Err(OpenError::Schema { path: self.path.clone(), step: *step }),
            None => Ok(()),
        }
    }

    /// Connects for writing.
    pub(super) async fn connect(&self) -> sqlx::Result<SqliteConnection> {
        self.write.connect().await
    }

    /// Connections for reading, made when they are needed.
    pub(super) fn reads(&self) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_lazy_with(self.read.clone())
    }

    async fn applied(&self) -> Result<Vec<i64>, OpenError> {
        let read = async {
            let mut connection = self.read.connect().await?;
            let applied = match connection.list_applied_migrations(&MIGRATIONS.table_name).await {
                Err(MigrateError::Execute(error)) => return Err(error),
                Err(error) => return Err(sqlx::Error::Migrate(Box::new(error))),
                Ok(applied) => applied,
            };
            connection.close().await?;
            Ok(applied)
        };
        let applied = read.await.map_err(|error| self.refused(error))?;
        Ok(applied.into_iter().map(|step| step.version).collect())
    }

    fn refused(&self, source: sqlx::Error) -> OpenError {
        let path = self.path.clone();
        let damaged = source
            .as_database_error()
            .and_then(|error| error.code()?.parse::<i32>().ok())
            // The low byte is the primary code, the rest only refines it.
            .is_some_and(|code| [CORRUPT, NOT_A_DATABASE].contains(&(code & 0xff)));
        if damaged {
            OpenError::Damaged { path, source }
        } else {
            OpenError::Database { path, source }
        }
    }
}

/// Gives free pages back to the file system, a few at a time.
pub(super) async fn vacuum(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("PRAGMA incremental_vacuum(500)").execute(connection).await?;
    Ok(())
}

/// Moves everything from the log into the file itself.
pub(super) async fn checkpoint(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await?;
    Ok(())
}

/// The ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `SQLite` refuses for another reason.
    #[error("the ledger {} cannot be opened", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What `SQLite` says.
        source: sqlx::Error,
    },
    /// What is in the file is no database, or a broken one.
    #[error(
        "the ledger {} is damaged or not a SQLite database; move it away together with its -wal \
         and -shm files and start again: what Microsoft still has is then collected anew, and \
         delivered a second time where it was delivered before",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What `SQLite` says.
        source: sqlx::Error,
    },
    /// The file system refuses.
    #[error("the ledger {} cannot be opened or created", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process writes it.
    #[error(
        "the ledger {} is in use by another process; stop that one first, or set ledger.url to a \
         file of its own for this one",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to read.
    #[error("there is no ledger {}; `run` creates it", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// An older version wrote it, and a reader must not change it.
    #[error(
        "the ledger {} was written by an older version (its schema lacks step {step}); `run` of \
         this version brings it up to date",
        path.display()
    )]
    Outdated {
        /// The file.
        path: PathBuf,
        /// The first migration it lacks.
        step: i64,
    },
    /// Another version wrote it.
    #[error(
        "the ledger {} was written by a newer or different version (this one does not know step \
         {step} of its schema); run that version, or set ledger.url to another file",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// The migration this version does not know.
        step: i64,
    },
}

/// Creates an empty file, which `SQLite` takes for an empty database, so that it, and the files
/// `SQLite` adds with the same mode, are readable by nobody else from the start.
fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.map(drop),
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let refused = |source| OpenError::File { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE)
        .open(name)
        .map_err(refused)?;
    // A command that looks whether anybody has it holds it for a moment.
    for last in [false, false, false, true] {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if last => {}
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCKED_BRIEFLY),
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
    }
    Err(OpenError::InUse { path: path.to_owned() })
}

/// Longer than it takes to look who has the lock.
const LOCKED_BRIEFLY: Duration = Duration::from_millis(50);

/// Begins a transaction that may write, so that it waits for its turn here and not halfway.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

static MIGRATIONS: Migrator = sqlx::migrate!("src/ledger/migrations");

/// Commands beside the service write for milliseconds, so only an operator's own tool or a backup
/// can be in the way for longer; a caller should not wait for those longer than for a request.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Gauges and due checks take microseconds; the second connection is for a slow status query.
const READERS: u32 = 2;

/// Pages in the writer's memory, in KiB (negative: not in pages). A hundred tenants with five feeds
/// write at the ends of some eight hundred stretches of indexes, which the default does not hold.
const CACHE: &str = "-8000";

/// What the log shrinks to after a burst, in bytes.
const LOG_SIZE: &str = "67108864";

/// The mode of new files: what is collected from whom is nobody else's business.
const PRIVATE: u32 = 0o600;

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;
