//! One statement on either engine: its text, its values, its rows.
//!
//! Everything above knows a [`Connection`], a [`Pool`] and a [`Row`], not an engine. Statements are
//! prepared once per connection and kept.

use std::{mem::take, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use sqlx::{
    Connection as _, Decode, PgConnection, PgPool, Postgres, Row as _, Sqlite, SqliteConnection,
    SqlitePool, Type, pool::PoolConnection, postgres::PgRow, sqlite::SqliteRow,
};
use tokio::time::timeout;

use super::{
    dialect::{BEGIN, Statement},
    sqlite::Synced,
};

mod ahead;
mod value;

pub(super) use ahead::{Ahead, Halted};
use value::bind;
pub(super) use value::{Value, json};

/// A connection that writes.
#[derive(Debug)]
pub(super) enum Connection {
    Postgres(Box<PgConnection>),
    /// And when its commits are on the disk, if it is known how it is set, and what is not run yet.
    Sqlite(SqliteConnection, Option<Synced>, Ahead),
}

impl Connection {
    /// Whose commits are on the disk at once.
    pub(super) fn of_file(on: SqliteConnection) -> Self {
        Self::Sqlite(on, Some(Synced::Now), Ahead::default())
    }

    /// Begins a transaction that may write; in a file with its first statement, which may then have
    /// to wait for its turn. Ended by neither [`commit`](Self::commit) nor
    /// [`rollback`](Self::rollback), it lasts: whoever begins one gives the connection up instead.
    pub(super) async fn begin(&mut self) -> sqlx::Result<()> {
        self.begin_synced(Synced::Now).await
    }

    /// As [`begin`](Self::begin). A server has every commit on its disk: others may work by what it
    /// granted.
    pub(super) async fn begin_synced(&mut self, synced: Synced) -> sqlx::Result<()> {
        let Self::Sqlite(_, set, ahead) = self else {
            return self.run(BEGIN).await;
        };
        if *set != Some(synced) {
            ahead.add(synced.pragma(), Vec::new());
            *set = Some(synced);
        }
        ahead.begin(BEGIN.sqlite);
        Ok(())
    }

    /// Writes what waits for it, and commits.
    ///
    /// # Errors
    ///
    /// [`Halted::at_last`] if the commit itself failed, and not something that was written with it.
    pub(super) async fn commit(&mut self) -> Result<(), Halted> {
        let (on, mut ahead) = match self {
            Self::Postgres(_) => {
                let committed = self.run("COMMIT").await;
                return committed.map_err(|error| Halted { at_last: true, error });
            }
            Self::Sqlite(on, _, ahead) => (on, take(ahead)),
        };
        if !ahead.only_begins() {
            ahead.add("COMMIT", Vec::new());
            ahead.execute(on).await?;
        }
        Ok(())
    }

    pub(super) async fn rollback(&mut self) -> sqlx::Result<()> {
        if let Self::Sqlite(_, set, ahead) = self
            && take(ahead).begins()
        {
            // What would have set it may have been dropped with the rest.
            *set = None;
            return Ok(());
        }
        self.run("ROLLBACK").await
    }

    pub(super) async fn close(self) -> sqlx::Result<()> {
        match self {
            Self::Postgres(connection) => connection.close().await,
            Self::Sqlite(connection, ..) => connection.close().await,
        }
    }

    /// Runs a statement without values and without rows.
    pub(super) async fn run(&mut self, statement: impl Into<Statement>) -> sqlx::Result<()> {
        let statement = statement.into();
        match self {
            Self::Postgres(connection) => {
                sqlx::raw_sql(statement.postgres).execute(&mut **connection).await?;
            }
            Self::Sqlite(..) => drop(query(statement).execute(self).await?),
        }
        Ok(())
    }

    /// Whether other processes write to the same ledger as a matter of course.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// Connections that read, made when they are needed.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Pool {
    pub(super) async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

/// A row of an answer.
#[derive(Debug)]
pub(super) enum Row {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

impl Row {
    /// The value of a column.
    pub(super) fn try_get<'r, T: Column<'r>>(&'r self, column: &str) -> sqlx::Result<T> {
        match self {
            Self::Postgres(row) => row.try_get(column),
            Self::Sqlite(row) => row.try_get(column),
        }
    }

    /// The value of the first column.
    #[cfg(test)]
    pub(super) fn first<'r, T: Column<'r>>(&'r self) -> sqlx::Result<T> {
        match self {
            Self::Postgres(row) => row.try_get(0),
            Self::Sqlite(row) => row.try_get(0),
        }
    }
}

/// What both engines can say.
pub(super) trait Column<'r>:
    Decode<'r, Postgres> + Decode<'r, Sqlite> + Type<Postgres> + Type<Sqlite>
{
}

impl<'r, T> Column<'r> for T where
    T: Decode<'r, Postgres> + Decode<'r, Sqlite> + Type<Postgres> + Type<Sqlite>
{
}

/// Begins a statement, whose values are bound in the order of their numbers.
pub(super) fn query<'q>(statement: impl Into<Statement>) -> Query<'q> {
    Query { statement: statement.into(), values: Vec::new(), limit: READ }
}

/// A statement and its values.
#[derive(Debug)]
pub(super) struct Query<'q> {
    statement: Statement,
    values: Vec<Value<'q>>,
    /// How long it may take where it only reads.
    limit: Duration,
}

impl<'q> Query<'q> {
    /// Says that it reads a few rows by an index, and whoever waits for it has more to do.
    pub(super) const fn quick(mut self) -> Self {
        self.limit = QUICK;
        self
    }

    /// Adds the next value.
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Writes when the next statement is run, or the transaction ends: nobody asks what came of it.
    pub(super) async fn later(self, on: &mut Connection) -> sqlx::Result<()> {
        let Connection::Sqlite(_, _, ahead) = on else {
            return self.execute(on).await.map(drop);
        };
        let values = self.values.into_iter().map(Value::into_owned).collect();
        ahead.add(self.statement.sqlite, values);
        Ok(())
    }

    /// Says how many rows were changed.
    pub(super) async fn execute(self, on: impl Into<On<'_>>) -> sqlx::Result<u64> {
        match on.into() {
            On::Postgres(on) => Ok(self.postgres().execute(on).await?.rows_affected()),
            On::PostgresPool(on) => {
                let limit = self.limit;
                let done = Reading::on(on, limit, async |on| self.postgres().execute(on).await);
                Ok(done.await?.rows_affected())
            }
            On::Sqlite(on, ahead) if ahead.is_empty() => {
                Ok(self.sqlite().execute(on).await?.rows_affected())
            }
            On::Sqlite(on, ahead) => Ok(self.behind(ahead).execute(on).await?),
            On::SqlitePool(on) => Ok(self.sqlite().execute(on).await?.rows_affected()),
        }
    }

    pub(super) async fn fetch_all(self, on: impl Into<On<'_>>) -> sqlx::Result<Vec<Row>> {
        let postgres = |rows: Vec<PgRow>| rows.into_iter().map(Row::Postgres).collect();
        let sqlite = |rows: Vec<SqliteRow>| rows.into_iter().map(Row::Sqlite).collect();
        match on.into() {
            On::Postgres(on) => self.postgres().fetch_all(on).await.map(postgres),
            On::PostgresPool(on) => {
                let limit = self.limit;
                let rows = Reading::on(on, limit, async |on| self.postgres().fetch_all(on).await);
                rows.await.map(postgres)
            }
            On::Sqlite(on, ahead) if ahead.is_empty() => {
                self.sqlite().fetch_all(on).await.map(sqlite)
            }
            On::Sqlite(on, ahead) => self.behind(ahead).query().fetch_all(on).await.map(sqlite),
            On::SqlitePool(on) => self.sqlite().fetch_all(on).await.map(sqlite),
        }
    }

    pub(super) async fn fetch_optional(self, on: impl Into<On<'_>>) -> sqlx::Result<Option<Row>> {
        let postgres = |row: Option<PgRow>| row.map(Row::Postgres);
        let sqlite = |row: Option<SqliteRow>| row.map(Row::Sqlite);
        match on.into() {
            On::Postgres(on) => self.postgres().fetch_optional(on).await.map(postgres),
            On::PostgresPool(on) => {
                let limit = self.limit;
                let row =
                    Reading::on(on, limit, async |on| self.postgres().fetch_optional(on).await);
                row.await.map(postgres)
            }
            On::Sqlite(on, ahead) if ahead.is_empty() => {
                self.sqlite().fetch_optional(on).await.map(sqlite)
            }
            On::Sqlite(on, ahead) => {
                self.behind(ahead).query().fetch_optional(on).await.map(sqlite)
            }
            On::SqlitePool(on) => self.sqlite().fetch_optional(on).await.map(sqlite),
        }
    }

    pub(super) async fn fetch_one(self, on: impl Into<On<'_>>) -> sqlx::Result<Row> {
        self.fetch_optional(on).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Rows as they come.
    pub(super) fn fetch(self, on: &'q Pool) -> BoxStream<'q, sqlx::Result<Row>> {
        match on {
            Pool::Postgres(on) => {
                let rows = self.postgres().fetch(on).map(|row| row.map(Row::Postgres));
                stream::unfold(Some(rows.boxed()), in_time).boxed()
            }
            Pool::Sqlite(on) => self.sqlite().fetch(on).map(|row| row.map(Row::Sqlite)).boxed(),
        }
    }

    fn postgres(self) -> sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments> {
        bind!(sqlx::query(self.statement.postgres), self.values)
    }

    fn sqlite(self) -> sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments> {
        bind!(sqlx::query(self.statement.sqlite), self.values)
    }

    /// With what was not run yet before it.
    fn behind(self, ahead: &mut Ahead) -> Ahead {
        let mut all = take(ahead);
        all.add(self.statement.sqlite, self.values.into_iter().map(Value::into_owned).collect());
        all
    }
}

/// What a statement runs on.
pub(super) enum On<'c> {
    Postgres(&'c mut PgConnection),
    PostgresPool(&'c PgPool),
    Sqlite(&'c mut SqliteConnection, &'c mut Ahead),
    SqlitePool(&'c SqlitePool),
}

impl<'c> From<&'c mut Connection> for On<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        match connection {
            Connection::Postgres(connection) => Self::Postgres(connection),
            Connection::Sqlite(connection, _, ahead) => Self::Sqlite(connection, ahead),
        }
    }
}

impl<'c> From<&'c Pool> for On<'c> {
    fn from(pool: &'c Pool) -> Self {
        match pool {
            Pool::Postgres(pool) => Self::PostgresPool(pool),
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
        }
    }
}

/// A connection of a pool, while something is read by it. One whose answer nobody waited for is not
/// given back: the pool would wait for that answer, and where the network is gone without a word
/// soon have no connection left.
struct Reading(Option<PoolConnection<Postgres>>);

impl Reading {
    async fn on<T>(
        pool: &PgPool,
        limit: Duration,
        read: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        // Connecting takes more room than whoever reads now and then should hold.
        let mut reading = Self(Some(Box::pin(pool.acquire()).await?));
        let connection = reading.0.as_mut().expect("it was just taken");
        let answer = timeout(limit, Box::pin(read(connection))).await.map_err(|_late| late())?;
        drop(reading.0.take());
        answer
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

type Rows<'q> = BoxStream<'q, sqlx::Result<Row>>;

/// The next row of a stream, which ends when it is late.
async fn in_time(rows: Option<Rows<'_>>) -> Option<(sqlx::Result<Row>, Option<Rows<'_>>)> {
    let mut rows = rows?;
    match timeout(READ, rows.next()).await {
        Ok(row) => row.map(|row| (row, Some(rows))),
        Err(_late) => Some((Err(late()), None)),
    }
}

fn late() -> sqlx::Error {
    sqlx::Error::PoolTimedOut
}

/// Counting all of a large ledger takes seconds.
const READ: Duration = Duration::from_secs(60);

const QUICK: Duration = Duration::from_secs(5);
