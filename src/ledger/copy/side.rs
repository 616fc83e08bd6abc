//! A database on one side of a copy, which nobody else uses.

use std::{fs::File, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    super::{
        Location, Replica, database::Database, dialect::Statement, replicas, schema::Fit,
        sql::Connection,
    },
    CopyError, Progress,
};

/// One of the two ledgers.
pub(super) struct Side {
    pub(super) database: Database,
    /// Those who were found silent, or gone.
    silent: Vec<Replica>,
    /// Keeps services away from a file.
    _lock: Option<File>,
}

impl Side {
    pub(super) async fn existing(
        location: &Location,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<Self, CopyError> {
        let (database, lock) = Database::alone(location)?;
        Self::new(database, lock, tell).await
    }

    pub(super) async fn created(
        location: &Location,
        source: &Self,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<Self, CopyError> {
        if let Ok(database) = Database::existing(location)
            && database.path() == source.database.path()
        {
            return Err(CopyError::Same { path: database.path() });
        }
        let (database, lock) = Database::create(location)?;
        database.migrate().await?;
        Self::new(database, lock, tell).await
    }

    async fn new(
        database: Database,
        lock: Option<File>,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<Self, CopyError> {
        let mut side = Self { database, silent: Vec::new(), _lock: lock };
        side.is_ours().await?;
        if side.database.is_shared() {
            side.silent = side.replicas().await?;
            side.is_idle(tell).await?;
        }
        Ok(side)
    }

    /// Whether it is of this version: a newer one may hold what is not known here.
    async fn is_ours(&self) -> Result<(), CopyError> {
        match self.database.check_schema().await? {
            Fit::Newer { step } => Err(CopyError::Newer { path: self.database.path(), step }),
            _ => Ok(()),
        }
    }

    /// Whether no replica gives signs of life. One that was killed never said that it is gone, and
    /// no two clocks need agree, so it is looked at for as long as it may be silent.
    async fn is_idle(&self, tell: &mut impl FnMut(Progress<'_>)) -> Result<(), CopyError> {
        let began = Instant::now();
        let present = || self.silent.iter().filter(|replica| replica.gone.is_none());
        let term = present().map(|replica| replica.term).max().unwrap_or_default();
        for replica in present() {
            tell(Progress::Looking { replica: &replica.name });
        }
        while began.elapsed() < term.min(LONGEST) {
            sleep(LOOK).await;
            self.is_unchanged().await?;
        }
        Ok(())
    }

    /// Whether those who were silent still are, and nobody else came, not even for a while.
    pub(super) async fn is_unchanged(&self) -> Result<(), CopyError> {
        let beat = |replica: &Replica| (replica.id, replica.beat);
        let silent = |replica: &Replica| self.silent.iter().any(|old| beat(old) == beat(replica));
        match self.replicas().await?.into_iter().find(|replica| !silent(replica)) {
            None => Ok(()),
            Some(replica) => {
                Err(CopyError::Alive { path: self.database.path(), replica: replica.name })
            }
        }
    }

    /// Everybody, also those that are gone: one that came meanwhile may have left again.
    async fn replicas(&self) -> Result<Vec<Replica>, CopyError> {
        let reads = self.database.reads();
        let found = replicas::replicas(&reads).await;
        reads.close().await;
        found.map_err(|error| self.failed(error))
    }

    pub(super) async fn begin(&self, begin: Statement) -> Result<Connection, CopyError> {
        let begun = async {
            let mut connection = self.database.connect().await?;
            connection.run(UNBOUNDED).await?;
            connection.run(begin).await?;
            Ok(connection)
        };
        begun.await.map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, source: sqlx::Error) -> CopyError {
        CopyError::Failed { path: self.database.path(), source }
    }
}

/// Each side waits in its transaction for as long as the other has to do.
const UNBOUNDED: Statement = Statement {
    postgres: "SELECT set_config('statement_timeout', '0', false), \
        set_config('idle_in_transaction_session_timeout', '0', false)",
    sqlite: "SELECT 1",
};

/// How often a replica is looked at; it gives a sign of life every few seconds.
const LOOK: Duration = Duration::from_millis(500);

/// So long a silent replica is looked at at most, whatever term it states.
const LONGEST: Duration = Duration::from_secs(60);
