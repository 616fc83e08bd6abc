//! Writing beside the service, for a command that an operator runs.
//!
//! The service's writer owns the file, and its lock keeps a second service out. A guest makes short
//! transactions that wait their turn as the writer's own do; the writer never waits longer for one
//! than for another commit of its own.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    Config, LedgerError, OpenError,
    database::Database,
    operation::Operation,
    postgres::{self, Blame},
    sql::Connection,
};

/// A connection that writes now and then.
#[derive(Debug)]
pub(super) struct Guest {
    database: Database,
    /// None after a failure that leaves its state in doubt.
    connection: Option<Connection>,
}

impl Guest {
    pub(super) const fn new(database: Database) -> Self {
        Self { database, connection: None }
    }

    /// Opens the ledger; creates it, or brings it up to date, if no service has done so yet.
    pub(super) async fn open(config: &Config) -> Result<Self, OpenError> {
        let current = match Database::existing(&config.location) {
            Ok(database) => database.check_schema().await.map(|_| database),
            Err(error) => Err(error),
        };
        let database = match current {
            Ok(database) => database,
            // Locked only for this: a service must be able to start at any time.
            Err(OpenError::Missing { .. } | OpenError::Outdated { .. }) => {
                let (database, _lock) = Database::create(&config.location)?;
                database.migrate().await?;
                database
            }
            Err(error) => return Err(error),
        };
        Ok(Self::new(database))
    }

    /// Applies an operation in a transaction of its own, again and again while the file is busy.
    /// The operation must do no harm when it is applied twice: a commit may have counted although
    /// it failed.
    pub(super) async fn commit<O: Operation>(
        &mut self,
        operation: &O,
    ) -> Result<O::Output, LedgerError> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match self.attempt(operation).await {
                Ok(output) => return Ok(output),
                Err(error) if Instant::now() >= patience || !self.is_passing(&error) => {
                    return Err(error.into());
                }
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    async fn attempt<O: Operation>(&mut self, operation: &O) -> sqlx::Result<O::Output> {
        // Given up where it is not given back: whatever went wrong, its state is in doubt.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.database.connect().await?,
        };
        connection.begin().await?;
        let output = operation.apply(&mut connection).await?;
        connection.commit().await?;
        self.connection = Some(connection);
        Ok(output)
    }

    /// The connection, made if there is none.
    pub(super) async fn connection(&mut self) -> sqlx::Result<&mut Connection> {
        if self.connection.is_none() {
            self.connection = Some(self.database.connect().await?);
        }
        Ok(self.connection.as_mut().expect("it was made above"))
    }

    /// Whether it may work in a moment: the file is busy, or its disk is full or in trouble, or the
    /// server is. Failures that are not the database's own are of the connection, which is made
    /// anew.
    fn is_passing(&self, error: &sqlx::Error) -> bool {
        if self.database.is_shared() {
            return postgres::blame(error) != Blame::Statement;
        }
        let Some(code) = error.as_database_error().and_then(|error| error.code()) else {
            return true;
        };
        // The low byte is the primary code (https://www.sqlite.org/rescode.html).
        code.parse::<i32>().map_or(true, |code| PASSING.contains(&(code & 0xff)))
    }
}

/// `SQLITE_BUSY`, `SQLITE_LOCKED`, `SQLITE_IOERR`, `SQLITE_FULL` and `SQLITE_CANTOPEN`.
const PASSING: [i32; 5] = [5, 6, 10, 13, 14];

/// How long a file that is busy, or full, is tried; each try waits for its turn already.
const PATIENCE: Duration = Duration::from_secs(60);

const AGAIN: Duration = Duration::from_millis(200);
