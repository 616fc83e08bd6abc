//! The database that holds the ledger, whichever engine it is: opening, schema, connections.
//!
//! A `SQLite` file has one service, which takes back at its start what the one before it had leased,
//! and counts anew what waits. A `PostgreSQL` database may have several, which live: a start there
//! touches neither their leases, which run out by themselves, nor their counts.

use std::{fs::File, io, path::PathBuf};

use sqlx::migrate::{MigrateError, Migrator};

use super::{
    Location, backlog, identities, postgres, replicas, rows,
    schema::{Fit, Schema},
    sql::{Connection, Pool},
    sqlite,
};
use crate::identity::Secret;

/// A database and how to connect to it.
#[derive(Clone, Debug)]
pub(super) enum Database {
    Postgres(postgres::Database),
    Sqlite(Box<sqlite::Database>),
}

impl Database {
    /// The database for a service. A `SQLite` file is created if it is missing, and is this
    /// process's alone as long as the returned file is open.
    pub(super) fn create(location: &Location) -> Result<(Self, Option<File>), OpenError> {
        match location {
            Location::Postgres(server) => Ok((Self::Postgres(server.database()), None)),
            Location::Sqlite(path) => {
                let (database, lock) = sqlite::Database::create(path)?;
                Ok((Self::Sqlite(Box::new(database)), Some(lock)))
            }
        }
    }

    /// The database as it is; a file is this process's alone as long as the returned one is open.
    pub(super) fn alone(location: &Location) -> Result<(Self, Option<File>), OpenError> {
        let database = Self::existing(location)?;
        let lock = match &database {
            Self::Postgres(_) => None,
            Self::Sqlite(database) => Some(database.lock()?),
        };
        Ok((database, lock))
    }

    /// The database as it is, beside the processes that write it.
    pub(super) fn existing(location: &Location) -> Result<Self, OpenError> {
        match location {
            Location::Postgres(server) => Ok(Self::Postgres(server.database())),
            Location::Sqlite(path) => {
                sqlite::Database::existing(path).map(Box::new).map(Self::Sqlite)
            }
        }
    }

    /// Brings the schema up to date and connects for writing.
    pub(super) async fn migrate(&self) -> Result<Connection, OpenError> {
        let lacks = match self.check_schema().await {
            Ok(_) => false,
            Err(OpenError::Missing { .. } | OpenError::Outdated { .. }) => true,
            Err(error) => return Err(error),
        };
        match self {
            Self::Postgres(database) => {
                // Without anything to change, no right to change is needed.
                if lacks {
                    Box::pin(database.migrate()).await.map_err(|error| self.failed(error))?;
                    self.check_schema().await?;
                }
                self.connect().await.map_err(|error| self.refused(error))
            }
            Self::Sqlite(database) => {
                let refused = |error| self.refused(error);
                let mut connection = database.connect().await.map_err(refused)?;
                let migrated = sqlite::MIGRATIONS.run_direct(None, &mut connection, false).await;
                migrated.map_err(|error| self.failed(error))?;
                Ok(Connection::of_file(connection))
            }
        }
    }

    /// As [`Database::migrate`], for a service that starts.
    pub(super) async fn migrate_to_serve(&self) -> Result<Connection, OpenError> {
        let mut connection = self.migrate().await?;
        let refused = |error| self.refused(error);
        match self {
            Self::Postgres(_) => backlog::merge(&mut connection).await.map_err(refused)?,
            // Every lease in the file is of a process that is gone, so none has to run out before
            // its content moves again.
            Self::Sqlite(_) => {
                rows::take_back(&mut connection).await.map_err(refused)?;
                backlog::recount(&mut connection).await.map_err(refused)?;
                replicas::forget_all(&mut connection).await.map_err(refused)?;
            }
        }
        Ok(connection)
    }

    /// Reads what the identities in this ledger are made with.
    pub(super) async fn secret(&self, connection: &mut Connection) -> Result<Secret, OpenError> {
        identities::secret(connection).await.map_err(|error| self.refused(error))
    }

    /// Checks, without writing, that this version can work with the schema, and says whether a newer
    /// one has added to it.
    pub(super) async fn check_schema(&self) -> Result<Fit, OpenError> {
        let schema = self.schema().await.map_err(|error| self.refused(error))?;
        let Some(schema) = schema else {
            return Err(OpenError::Missing { path: self.path() });
        };
        match schema.fit(self.migrations().iter().map(|migration| migration.version)) {
            Fit::Foreign { step } => Err(OpenError::Schema { path: self.path(), step }),
            Fit::Older { step } => Err(OpenError::Outdated { path: self.path(), step }),
            fit => Ok(fit),
        }
    }

    /// Connects for writing.
    pub(super) async fn connect(&self) -> sqlx::Result<Connection> {
        match self {
            Self::Postgres(database) => {
                database.connect().await.map(Box::new).map(Connection::Postgres)
            }
            Self::Sqlite(database) => database.connect().await.map(Connection::of_file),
        }
    }

    /// Connections for reading, made when they are needed.
    pub(super) fn reads(&self) -> Pool {
        match self {
            Self::Postgres(database) => Pool::Postgres(database.reads()),
            Self::Sqlite(database) => Pool::Sqlite(database.reads()),
        }
    }

    /// Makes new connections for reading as they would be made now, with another password perhaps.
    pub(super) fn renew(&self, reads: &Pool) {
        if let (Self::Postgres(database), Pool::Postgres(reads)) = (self, reads) {
            database.renew(reads);
        }
    }

    /// The file, or the address without what is secret in it.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Postgres(database) => database.name.clone().into(),
            Self::Sqlite(database) => database.path.clone(),
        }
    }

    /// Whether several services may use it at a time.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    fn migrations(&self) -> &'static Migrator {
        match self {
            Self::Postgres(_) => &postgres::MIGRATIONS,
            Self::Sqlite(_) => &sqlite::MIGRATIONS,
        }
    }

    async fn schema(&self) -> sqlx::Result<Option<Schema>> {
        let mut connection = match self {
            Self::Postgres(_) => self.connect().await?,
            Self::Sqlite(database) => Connection::of_file(database.connect_to_read().await?),
        };
        Schema::read(&mut connection).await
    }

    fn failed(&self, error: MigrateError) -> OpenError {
        match error {
            MigrateError::VersionMissing(step)
            | MigrateError::VersionMismatch(step)
            | MigrateError::Dirty(step) => OpenError::Schema { path: self.path(), step },
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                self.refused(error)
            }
            error => self.refused(sqlx::Error::Migrate(Box::new(error))),
        }
    }

    fn refused(&self, source: sqlx::Error) -> OpenError {
        match self {
            Self::Postgres(_) => OpenError::Database { path: self.path(), source },
            Self::Sqlite(database) => database.refused(source),
        }
    }
}

/// The ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database refuses for another reason, or cannot be reached.
    #[error("the ledger {} cannot be opened", path.display())]
    Database {
        /// The file, or the address of the database.
        path: PathBuf,
        /// What the database says.
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
        /// The file, or the address of the database.
        path: PathBuf,
        /// What the database says.
        source: sqlx::Error,
    },
    /// The file system refuses.
    #[error("the ledger {} cannot be opened or created", path.display())]
    File {
        /// The file, or the address of the database.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process writes it.
    #[error(
        "the ledger {} is in use by another process; stop that one first, or set ledger.url to a \
         file of its own for this one, or for both to a PostgreSQL database, which several share",
        path.display()
    )]
    InUse {
        /// The file, or the address of the database.
        path: PathBuf,
    },
    /// There is nothing to read.
    #[error("there is no ledger {}; `run` creates it", path.display())]
    Missing {
        /// The file, or the address of the database.
        path: PathBuf,
    },
    /// An older version wrote it, and a reader must not change it.
    #[error(
        "the ledger {} was written by an older version (its schema lacks step {step}); `run` of \
         this version brings it up to date",
        path.display()
    )]
    Outdated {
        /// The file, or the address of the database.
        path: PathBuf,
        /// The first migration it lacks.
        step: i64,
    },
    /// Another version made it what it is.
    #[error(
        "the ledger {} is of a newer or different version: this one does not know step {step} of \
         its schema and cannot work with it; run that version, or set ledger.url to another file",
        path.display()
    )]
    Schema {
        /// The file, or the address of the database.
        path: PathBuf,
        /// The migration this version does not know.
        step: i64,
    },
}
