//! Until when tenants are left alone, as one replica was told and all of them follow.
//!
//! A pause is only ever made longer; one that is over is of no use and goes with the next one that
//! is written.

use jiff::Timestamp;

use super::{
    Ledger, LedgerError,
    operation::Operation,
    rows,
    sql::{Connection, query},
};
use crate::content::TenantId;

impl Ledger {
    /// Tells the others until when to leave tenants alone.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; they are then not told.
    pub async fn pause(
        &self,
        pauses: Vec<(TenantId, Timestamp)>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        if pauses.is_empty() {
            return Ok(());
        }
        self.ask(Pause { pauses, now }).await
    }

    /// The tenants to be left alone, and until when. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn pauses(&self, now: Timestamp) -> Result<Vec<(TenantId, Timestamp)>, LedgerError> {
        let rows = query("SELECT tenant, until FROM pause WHERE until > $1")
            .quick()
            .bind(now.as_millisecond())
            .fetch_all(&self.reads)
            .await?;
        let pauses =
            rows.iter().map(|row| Ok((rows::parsed(row, "tenant")?, rows::moment(row, "until")?)));
        Ok(pauses.collect::<sqlx::Result<_>>()?)
    }
}

struct Pause {
    pauses: Vec<(TenantId, Timestamp)>,
    now: Timestamp,
}

impl Operation for Pause {
    type Output = ();

    fn rows(&self) -> usize {
        self.pauses.len()
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        query("DELETE FROM pause WHERE until <= $1")
            .bind(self.now.as_millisecond())
            .execute(&mut *connection)
            .await?;
        for (tenant, until) in &self.pauses {
            query(
                "INSERT INTO pause (tenant, until) VALUES ($1, $2) ON CONFLICT (tenant) \
                 DO UPDATE SET until = excluded.until WHERE pause.until < excluded.until",
            )
            .bind(tenant.to_string())
            .bind(until.as_millisecond())
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}
