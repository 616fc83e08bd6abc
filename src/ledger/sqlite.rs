//! Everything that is particular to `SQLite`: the file, its lock, its settings and its schema.
//!
//! Commits reach the disk before they are acknowledged (`synchronous = FULL`; in WAL mode anything
//! less may lose the last ones when power fails), but for [those](Synced) that promise nothing
//! beyond the life of the process. One service writes a file: the lock is a file of its own beside
//! it, because `SQLite`'s locks come and go with transactions. A command that announces content
//! beside the service takes turns with it by those.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

use super::{database::OpenError, queue};

/// A database file and how to connect to it.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) path: PathBuf,
    pub(super) write: SqliteConnectOptions,
    read: SqliteConnectOptions,
}

impl Database {
    /// The file for this process alone, created if it is missing. The lock lasts as long as the
    /// returned file is open.
    pub(super) fn create(path: &Path) -> Result<(Self, File), OpenError> {
        create(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let database = Self::existing(path)?;
        let lock = database.lock()?;
        Ok((database, lock))
    }

    /// Makes the file this process's alone, as long as the returned one is open.
    pub(super) fn lock(&self) -> Result<File, OpenError> {
        lock(&self.path)
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
                // The thread of the connection need not wait for whoever takes the rows.
                .row_buffer_size(queue::ROWS)
                // What a statement may have to undo is as much as a group writes at most.
                .pragma("temp_store", "MEMORY")
                .pragma("journal_size_limit", LOG_SIZE)
                .pragma("wal_autocheckpoint", LOG_PAGES)
                .pragma("cache_size", CACHE),
            read: options.read_only(true),
        })
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
            // A file does not hang up.
            .test_before_acquire(false)
            .connect_lazy_with(self.read.clone())
    }

    /// Connects for reading.
    pub(super) async fn connect_to_read(&self) -> sqlx::Result<SqliteConnection> {
        self.read.connect().await
    }

    pub(super) fn refused(&self, source: sqlx::Error) -> OpenError {
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

/// When a commit is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Synced {
    /// Before it is answered.
    Now,
    /// With the next one that is. Until then it outlives the process, but not the loss of power,
    /// which takes the last commits, never one before another.
    Later,
}

impl Synced {
    /// Sets a connection so, outside of transactions.
    pub(super) const fn pragma(self) -> &'static str {
        match self {
            Self::Now => "PRAGMA synchronous = FULL",
            Self::Later => "PRAGMA synchronous = NORMAL",
        }
    }
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

/// What a newer version has added is not missed here.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("src/ledger/migrations");
    migrations.set_ignore_missing(true);
    migrations
});

/// Gives free pages back to the file system, a few at a time.
pub(super) const VACUUM: &str = "PRAGMA incremental_vacuum(500)";

/// Moves everything from the log into the file itself.
pub(super) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// Commands beside the service write for milliseconds, so only an operator's own tool or a backup
/// can be in the way for longer; a caller should not wait for those longer than for a request.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Gauges and due checks take microseconds; the second connection is for a slow status query.
const READERS: u32 = 2;

/// Pages in the writer's memory, in KiB (negative: not in pages). A hundred tenants with five feeds
/// write at the ends of some eight hundred stretches of indexes, which the default does not hold.
const CACHE: &str = "-8000";

/// Pages in the log, 6 MiB, after which a commit moves them into the file. The ends of the same
/// indexes are in every commit and move once; with the default, two thirds, an announcement among a
/// million costs a tenth more. Four thousand gain nothing, and hold a commit up for longer.
const LOG_PAGES: &str = "1500";

/// What the log shrinks to after a burst, in bytes.
const LOG_SIZE: &str = "67108864";

/// The mode of new files: what is collected from whom is nobody else's business.
const PRIVATE: u32 = 0o600;

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;
