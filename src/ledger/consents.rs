//! Consents that are being waited for.
//!
//! Where an administrator's browser comes back to the public port, the service notes the answer here
//! for the command that waits for it: once, in time, and only for a state that a command is waiting
//! with, so that nobody else can make it write.

use jiff::Timestamp;

use super::{
    Ledger, LedgerError, Onboarding, StoreError,
    operation::Operation,
    sql::{Connection, query},
};

impl Onboarding {
    /// Waits with a state from now on; an answer that comes after `expires` is none. Consents that
    /// nobody waits for any more go.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooMany`] when very many are being waited for.
    pub async fn expect(
        &mut self,
        state: &str,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        match self.0.commit(&Expect { state: state.to_owned(), now, expires }).await? {
            true => Ok(()),
            false => Err(StoreError::TooMany),
        }
    }

    /// What came for a state, if anything did.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn answer(&mut self, state: &str) -> Result<Option<String>, LedgerError> {
        let connection = self.0.connection().await?;
        let row = query("SELECT answer FROM consent WHERE state = $1")
            .bind(state)
            .fetch_optional(connection)
            .await?;
        let answer: Option<Option<String>> = row.map(|row| row.try_get("answer")).transpose()?;
        Ok(answer.flatten())
    }

    /// Waits with a state no more, and leaves nothing of its answer.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the file stayed busy or failed; it then goes in time.
    pub async fn forget(&mut self, state: &str) -> Result<(), LedgerError> {
        self.0.commit(&Forget(state.to_owned())).await
    }
}

impl Ledger {
    /// Notes what an administrator's browser came back with, for the command that waits for it;
    /// says whether one does. An answer is taken once, and nothing is written for a state that is
    /// not waited with.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read or written.
    pub async fn consented(
        &self,
        state: &str,
        answer: String,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let waited =
            query("SELECT 1 FROM consent WHERE state = $1 AND expires > $2 AND answer IS NULL")
                .bind(state)
                .bind(now.as_millisecond())
                .fetch_optional(&self.reads)
                .await?;
        if waited.is_none() {
            return Ok(false);
        }
        self.ask(Consented { state: state.to_owned(), answer, now }).await
    }
}

struct Expect {
    state: String,
    now: Timestamp,
    expires: Timestamp,
}

impl Operation for Expect {
    /// Whether there was room.
    type Output = bool;

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<bool> {
        query("DELETE FROM consent WHERE expires <= $1")
            .bind(self.now.as_millisecond())
            .execute(&mut *connection)
            .await?;
        let waiting: i64 = query("SELECT COUNT(*) AS waiting FROM consent WHERE state <> $1")
            .bind(self.state.as_str())
            .fetch_one(&mut *connection)
            .await?
            .try_get("waiting")?;
        if waiting >= MOST {
            return Ok(false);
        }
        query(
            "INSERT INTO consent (state, expires) VALUES ($1, $2) \
             ON CONFLICT (state) DO UPDATE SET expires = excluded.expires",
        )
        .bind(self.state.as_str())
        .bind(self.expires.as_millisecond())
        .execute(connection)
        .await?;
        Ok(true)
    }
}

struct Consented {
    state: String,
    answer: String,
    now: Timestamp,
}

impl Operation for Consented {
    /// Whether somebody waits for it.
    type Output = bool;

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<bool> {
        let answered = query(
            "UPDATE consent SET answer = $2 WHERE state = $1 AND expires > $3 AND answer IS NULL",
        )
        .bind(self.state.as_str())
        .bind(self.answer.as_str())
        .bind(self.now.as_millisecond())
        .execute(connection)
        .await?;
        Ok(answered > 0)
    }
}

struct Forget(String);

impl Operation for Forget {
    type Output = ();

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        query("DELETE FROM consent WHERE state = $1")
            .bind(self.0.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Each is a person at a browser.
pub(super) const MOST: i64 = 32;
