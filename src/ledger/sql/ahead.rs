//! What goes to the thread of a `SQLite` connection together with the next statement.
//!
//! Each time something is handed over to that thread and back, two threads are woken, which costs
//! more than most statements do, and more still when all cores are busy. So a transaction is begun
//! with its first statement, and what is written without anybody asking what came of it is written
//! with what comes next, at the latest with the commit.

use std::fmt::Write as _;

use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Either, Executor as _, Sqlite, SqliteConnection,
    sqlite::{SqliteArguments, SqliteQueryResult},
};

use super::value::{Value, bind};

/// Statements that were not run yet, as one text, and their values.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Ahead {
    text: String,
    values: Vec<Value<'static>>,
    statements: usize,
    begins: bool,
}

impl Ahead {
    /// Adds what begins a transaction.
    pub(super) fn begin(&mut self, statement: &str) {
        self.begins = true;
        self.add(statement, Vec::new());
    }

    /// Adds a statement, whose values are numbered from one.
    pub(super) fn add(&mut self, statement: &str, values: Vec<Value<'static>>) {
        if self.statements > 0 {
            self.text.push_str("; ");
        }
        number_from(self.values.len(), statement, &mut self.text);
        self.values.extend(values);
        self.statements += 1;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.statements == 0
    }

    /// Whether there is no more than the beginning of a transaction.
    pub(super) const fn only_begins(&self) -> bool {
        self.begins && self.statements == 1
    }

    /// Whether the beginning of the transaction is still among them.
    pub(super) const fn begins(&self) -> bool {
        self.begins
    }

    /// The statements as one.
    pub(super) fn query(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        bind!(sqlx::query(AssertSqlSafe(self.text)), self.values)
    }

    /// Runs the statements; says what came of the last one.
    pub(super) async fn execute(self, on: &mut SqliteConnection) -> Result<u64, Halted> {
        let statements = self.statements;
        let mut results = on.fetch_many(self.query());
        let (mut done, mut last) = (0, SqliteQueryResult::default());
        loop {
            match results.try_next().await {
                Ok(Some(Either::Left(result))) => (done, last) = (done + 1, result),
                Ok(Some(Either::Right(_row))) => {}
                Ok(None) if done == statements => return Ok(last.rows_affected()),
                // The thread that runs them has ended.
                Ok(None) => {
                    return Err(Halted { at_last: false, error: sqlx::Error::WorkerCrashed });
                }
                Err(error) => return Err(Halted { at_last: done + 1 == statements, error }),
            }
        }
    }
}

/// One of several statements failed, and those behind it were not run.
#[derive(Debug)]
pub(in crate::ledger) struct Halted {
    /// Whether it was the last one.
    pub(in crate::ledger) at_last: bool,
    pub(in crate::ledger) error: sqlx::Error,
}

impl From<Halted> for sqlx::Error {
    fn from(halted: Halted) -> Self {
        halted.error
    }
}

/// Writes a statement with the numbers of its values as much higher.
fn number_from(first: usize, statement: &str, into: &mut String) {
    let mut pieces = statement.split('$');
    into.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = piece.split_at(digits);
        let number: usize = number.parse().expect("a value is called by its number");
        write!(into, "${}{rest}", first + number).expect("a text takes it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_on() {
        let mut ahead = Ahead::default();
        ahead.begin("BEGIN");
        ahead.add("UPDATE a SET b = $2 WHERE c = $1", vec![1.into(), 2.into()]);
        ahead.add("UPDATE a SET b = $10, c = $1", (0..10).map(Value::from).collect());
        ahead.add("UPDATE a SET b = 1", Vec::new());
        assert_eq!(
            ahead.text,
            "BEGIN; UPDATE a SET b = $2 WHERE c = $1; UPDATE a SET b = $12, c = $3; \
             UPDATE a SET b = 1"
        );
        assert_eq!((ahead.values.len(), ahead.statements), (12, 4));
    }

    #[tokio::test]
    async fn the_one_that_fails_is_told_from_the_others() {
        use sqlx::Connection as _;
        let mut on = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let with = |statements: &[&str]| {
            let mut ahead = Ahead::default();
            statements.iter().for_each(|statement| ahead.add(statement, Vec::new()));
            ahead
        };
        let fine =
            with(&["CREATE TABLE a (b)", "INSERT INTO a VALUES (1), (2)", "SELECT b FROM a"]);
        fine.execute(&mut on).await.unwrap();
        let two = with(&["UPDATE a SET b = 3", "UPDATE a SET b = 4 WHERE rowid = 1"]);
        assert_eq!(two.execute(&mut on).await.unwrap(), 1, "of the last one");
        for (statements, at_last) in [
            (["UPDATE a SET b = 5", "UPDATE nobody SET b = 5"], true),
            (["UPDATE nobody SET b = 6", "UPDATE a SET b = 6"], false),
        ] {
            let halted = with(&statements).execute(&mut on).await.unwrap_err();
            assert_eq!(halted.at_last, at_last, "{statements:?}");
        }
        let sum: i64 = sqlx::query_scalar("SELECT SUM(b) FROM a").fetch_one(&mut on).await.unwrap();
        assert_eq!(sum, 10, "what is behind one that fails is not run");
    }
}
