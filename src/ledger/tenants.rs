//! Tenants that were added while the service runs, and the consents that are being waited for.
//!
//! A command stores and removes tenants beside the service, and the service reads them again and
//! again. Where an administrator's browser comes back to the public port, the service notes the
//! answer here for the command that waits for it: once, in time, and only for a state that a
//! command is waiting with, so that nobody else can make it write.

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    Config, Ledger, LedgerError, OpenError, Reader, guest::Guest, operation::Operation, rows,
};
use crate::content::{ClientId, ContentType, TenantId};

/// A tenant that was added while the service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTenant {
    /// The directory id.
    pub id: TenantId,
    /// The label in metrics and logs.
    pub name: String,
    /// The application that was consented to.
    pub client_id: ClientId,
    /// The feeds wanted.
    pub content_types: Vec<ContentType>,
    /// When it was added.
    pub added: Timestamp,
}

/// A ledger to add tenants to, whether or not the service runs.
#[derive(Debug)]
pub struct Onboarding(Guest);

impl Onboarding {
    /// Opens the ledger; creates it, or brings it up to date, if no service has done so yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which names the file and says what to do.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        Guest::open(config).await.map(Self)
    }

    /// Every stored tenant, by name.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn tenants(&mut self) -> Result<Vec<StoredTenant>, LedgerError> {
        let rows = sqlx::query(TENANTS).fetch_all(self.0.connection().await?).await?;
        Ok(rows.iter().map(tenant_from).collect::<sqlx::Result<_>>()?)
    }

    /// Stores a tenant, in the place of one with the same id.
    ///
    /// # Errors
    ///
    /// [`StoreError::NameTaken`] when another one has the name.
    pub async fn store(&mut self, tenant: StoredTenant) -> Result<(), StoreError> {
        match self.0.commit(&Store(tenant)).await? {
            true => Ok(()),
            false => Err(StoreError::NameTaken),
        }
    }

    /// Removes a tenant; says whether it was there. What the ledger holds of its content stays.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the file stayed busy or failed.
    pub async fn remove(&mut self, tenant: TenantId) -> Result<bool, LedgerError> {
        let was_there = self.tenants().await?.iter().any(|stored| stored.id == tenant);
        self.0.commit(&Remove(tenant)).await?;
        Ok(was_there)
    }

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
        let answer = sqlx::query_scalar("SELECT answer FROM consent WHERE state = $1")
            .bind(state.to_owned())
            .fetch_optional(connection)
            .await?;
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

impl Reader {
    /// Every stored tenant, by name.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn tenants(&self) -> Result<Vec<StoredTenant>, LedgerError> {
        Ok(tenants(&self.0).await?)
    }
}

impl Ledger {
    /// Every stored tenant, by name. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn stored_tenants(&self) -> Result<Vec<StoredTenant>, LedgerError> {
        Ok(tenants(&self.reads).await?)
    }

    /// Makes content due that was put off until it expires because its tenant was not collected.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; it then waits on.
    pub async fn recall(&self, tenant: TenantId, now: Timestamp) -> Result<(), LedgerError> {
        self.ask(Recall { tenant, now }).await
    }

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
        let waited: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM consent WHERE state = $1 AND expires > $2 AND answer IS NULL",
        )
        .bind(state.to_owned())
        .bind(now.as_millisecond())
        .fetch_optional(&self.reads)
        .await?;
        if waited.is_none() {
            return Ok(false);
        }
        self.ask(Consented { state: state.to_owned(), answer, now }).await
    }
}

/// Why a tenant is not stored, or a consent not waited for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Another stored tenant has the name.
    #[error("another stored tenant has this name")]
    NameTaken,
    /// Very many consents are being waited for.
    #[error("{MOST} consents are being waited for already; wait until one of them has ended")]
    TooMany,
}

struct Store(StoredTenant);

impl Operation for Store {
    /// Whether the name was free.
    type Output = bool;

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.0.added)
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<bool> {
        let tenant = &self.0;
        let taken: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM tenant WHERE name = $1 AND id <> $2")
                .bind(tenant.name.clone())
                .bind(tenant.id.to_string())
                .fetch_optional(&mut *connection)
                .await?;
        if taken.is_some() {
            return Ok(false);
        }
        let kinds: Vec<_> = tenant.content_types.iter().map(|kind| kind.as_str()).collect();
        sqlx::query(
            "INSERT INTO tenant (id, name, client_id, content_types, added) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
             client_id = excluded.client_id, content_types = excluded.content_types",
        )
        .bind(tenant.id.to_string())
        .bind(tenant.name.clone())
        .bind(tenant.client_id.to_string())
        .bind(kinds.join(" "))
        .bind(tenant.added.as_millisecond())
        .execute(connection)
        .await?;
        Ok(true)
    }
}

struct Remove(TenantId);

impl Operation for Remove {
    type Output = ();

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        None
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM tenant WHERE id = $1")
            .bind(self.0.to_string())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Recall {
    tenant: TenantId,
    now: Timestamp,
}

impl Operation for Recall {
    type Output = ();

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE content SET due = $2 WHERE tenant = $1 AND state = 'waiting' \
             AND lease IS NULL AND due >= expires AND due > $2",
        )
        .bind(self.tenant.to_string())
        .bind(self.now.as_millisecond())
        .execute(connection)
        .await?;
        Ok(())
    }

    fn wakes(&self, _output: &()) -> bool {
        true
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

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<bool> {
        sqlx::query("DELETE FROM consent WHERE expires <= $1")
            .bind(self.now.as_millisecond())
            .execute(&mut *connection)
            .await?;
        let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM consent WHERE state <> $1")
            .bind(self.state.clone())
            .fetch_one(&mut *connection)
            .await?;
        if waiting >= MOST {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO consent (state, expires) VALUES ($1, $2) \
             ON CONFLICT (state) DO UPDATE SET expires = excluded.expires",
        )
        .bind(self.state.clone())
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

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<bool> {
        let done = sqlx::query(
            "UPDATE consent SET answer = $2 WHERE state = $1 AND expires > $3 AND answer IS NULL",
        )
        .bind(self.state.clone())
        .bind(self.answer.clone())
        .bind(self.now.as_millisecond())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

struct Forget(String);

impl Operation for Forget {
    type Output = ();

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        None
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM consent WHERE state = $1")
            .bind(self.0.clone())
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn tenants(reads: &SqlitePool) -> sqlx::Result<Vec<StoredTenant>> {
    let rows = sqlx::query(TENANTS).fetch_all(reads).await?;
    rows.iter().map(tenant_from).collect()
}

fn tenant_from(row: &SqliteRow) -> sqlx::Result<StoredTenant> {
    let kinds: String = row.try_get("content_types")?;
    Ok(StoredTenant {
        id: rows::parsed(row, "id")?,
        name: row.try_get("name")?,
        client_id: rows::parsed(row, "client_id")?,
        // A type that only a newer version knows is not collected by this one.
        content_types: kinds.split(' ').filter_map(|kind| kind.parse().ok()).collect(),
        added: rows::moment(row, "added")?,
    })
}

const TENANTS: &str = "SELECT id, name, client_id, content_types, added FROM tenant ORDER BY name";

/// Each is a person at a browser.
const MOST: i64 = 32;
