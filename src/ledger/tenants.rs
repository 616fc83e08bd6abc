//! Tenants that were added while the service runs.
//!
//! A command stores and removes tenants beside the service, and the service reads them again and
//! again.

use jiff::Timestamp;

use super::{
    Config, Ledger, LedgerError, OpenError, Reader,
    consents::MOST,
    guest::Guest,
    operation::Operation,
    rows,
    sql::{Connection, Pool, Row, query},
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

/// A ledger to add tenants to, and starts of subscriptions, whether or not the service runs.
#[derive(Debug)]
pub struct Onboarding(pub(super) Guest);

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
        let rows = query(TENANTS).fetch_all(self.0.connection().await?).await?;
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
    #[error("{} consents are being waited for already; wait until one of them has ended", MOST)]
    TooMany,
}

struct Store(StoredTenant);

impl Operation for Store {
    /// Whether the name was free.
    type Output = bool;

    fn now(&self) -> Option<Timestamp> {
        Some(self.0.added)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<bool> {
        let tenant = &self.0;
        let taken = query("SELECT 1 FROM tenant WHERE name = $1 AND id <> $2")
            .bind(tenant.name.as_str())
            .bind(tenant.id.to_string())
            .fetch_optional(&mut *connection)
            .await?;
        if taken.is_some() {
            return Ok(false);
        }
        let kinds: Vec<_> = tenant.content_types.iter().map(|kind| kind.as_str()).collect();
        query(
            "INSERT INTO tenant (id, name, client_id, content_types, added) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
             client_id = excluded.client_id, content_types = excluded.content_types",
        )
        .bind(tenant.id.to_string())
        .bind(tenant.name.as_str())
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

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        query("DELETE FROM tenant WHERE id = $1")
            .bind(self.0.to_string())
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn tenants(reads: &Pool) -> sqlx::Result<Vec<StoredTenant>> {
    let rows = query(TENANTS).fetch_all(reads).await?;
    rows.iter().map(tenant_from).collect()
}

fn tenant_from(row: &Row) -> sqlx::Result<StoredTenant> {
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
