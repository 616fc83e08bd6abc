//! When subscriptions were last started, whoever started them.
//!
//! Microsoft counts the starts of a command and of the service together, and forgets none when a
//! process ends; so both write here and both read it. There is one row for each feed.

use jiff::Timestamp;

use super::{
    Fence, Ledger, LedgerError, Onboarding, Reader,
    operation::Operation,
    rows,
    sql::{Connection, Row, query},
};
use crate::content::{ContentType, TenantId};

/// The last start of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Whose subscription it is.
    pub tenant: TenantId,
    /// Of which feed.
    pub content_type: ContentType,
    /// When it was started.
    pub at: Timestamp,
    /// From when on it may be started again.
    pub allowed: Timestamp,
}

impl Ledger {
    /// Remembers a start, in the place of the one before.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; it is then not remembered, or not known to be.
    pub async fn started(&self, start: Start) -> Result<(), LedgerError> {
        self.started_under(None, start).await
    }

    /// As [`Ledger::started`], if the duty to keep the tenant's subscriptions is still held.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Outdated`] if it is not, and as [`Ledger::started`].
    pub async fn started_under(
        &self,
        duty: Option<Fence>,
        start: Start,
    ) -> Result<(), LedgerError> {
        self.ask_under(duty, Remember(start)).await
    }

    /// The last start of each subscription of a tenant. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn starts(&self, tenant: TenantId) -> Result<Vec<Start>, LedgerError> {
        let query = query(STARTS).bind(Some(tenant.to_string()));
        Ok(starts(&query.fetch_all(&self.reads).await?)?)
    }
}

impl Onboarding {
    /// As [`Ledger::started`].
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the file stayed busy or failed.
    pub async fn started(&mut self, start: Start) -> Result<(), LedgerError> {
        self.0.commit(&Remember(start)).await
    }

    /// The last start of each subscription of any tenant.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn starts(&mut self) -> Result<Vec<Start>, LedgerError> {
        let query = query(STARTS).bind(None::<String>);
        Ok(starts(&query.fetch_all(self.0.connection().await?).await?)?)
    }
}

impl Reader {
    /// The last start of each subscription of any tenant.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn starts(&self) -> Result<Vec<Start>, LedgerError> {
        let query = query(STARTS).bind(None::<String>);
        Ok(starts(&query.fetch_all(&self.0).await?)?)
    }
}

struct Remember(Start);

impl Operation for Remember {
    type Output = ();

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        let Start { tenant, content_type, at, allowed } = self.0;
        query(
            "INSERT INTO start (tenant, content_type, at, allowed) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (tenant, content_type) DO UPDATE SET at = excluded.at, \
             allowed = excluded.allowed",
        )
        .bind(tenant.to_string())
        .bind(content_type.as_str())
        .bind(at.as_millisecond())
        .bind(allowed.as_millisecond())
        .execute(connection)
        .await?;
        Ok(())
    }
}

fn starts(rows: &[Row]) -> sqlx::Result<Vec<Start>> {
    let known = rows.iter().filter(|row| {
        // A type that only a newer version knows is not started by this one.
        row.try_get::<String>("content_type").is_ok_and(|kind| kind.parse::<ContentType>().is_ok())
    });
    let start = |row: &Row| {
        Ok(Start {
            tenant: rows::parsed(row, "tenant")?,
            content_type: rows::parsed(row, "content_type")?,
            at: rows::moment(row, "at")?,
            allowed: rows::moment(row, "allowed")?,
        })
    };
    known.map(start).collect()
}

const STARTS: &str = "SELECT tenant, content_type, at, allowed FROM start \
                      WHERE CAST($1 AS TEXT) IS NULL OR tenant = $1";
