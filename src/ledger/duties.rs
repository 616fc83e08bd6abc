//! What exactly one replica does at a time: sweeping a tenant, keeping its subscriptions, pruning.
//!
//! A duty is a row with a holder and a token that counts its holders. It is taken by the token that
//! was seen, so of two that try one wins. What is written under a duty names its token, and the
//! token is looked at, and held fast, in the transaction that writes: whoever was cut off and comes
//! back late is refused ([`LedgerError::Outdated`]).
//!
//! Deliberately not here: who should hold what, and when a holder counts as gone.

use std::{cmp::Ordering, fmt};

use jiff::Timestamp;

use super::{
    Ledger, LedgerError, Reader, ReplicaId, Shared,
    operation::Operation,
    replicas, rows,
    sql::{Connection, Pool, Row, query},
};
use crate::content::TenantId;

/// What exactly one replica does at a time. In their order those of a tenant are neighbours, so that
/// parts of it are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Removing what is old, and counting what commands did: once for all tenants.
    Prune,
    /// Keeping the subscriptions of a tenant.
    Subscriptions(TenantId),
    /// Listing what Microsoft has of a tenant.
    Sweep(TenantId),
}

impl Duty {
    /// Of which tenant, if it is of one.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Prune => None,
            Self::Subscriptions(tenant) | Self::Sweep(tenant) => Some(tenant),
        }
    }

    /// The database value, and its name on status pages.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Prune => "prune",
            Self::Subscriptions(_) => "subscriptions",
            Self::Sweep(_) => "sweep",
        }
    }

    fn parse(kind: &str, tenant: &str) -> Option<Self> {
        match kind {
            "prune" => Some(Self::Prune),
            "subscriptions" => tenant.parse().ok().map(Self::Subscriptions),
            "sweep" => tenant.parse().ok().map(Self::Sweep),
            _ => None,
        }
    }

    fn tenant_text(self) -> String {
        self.tenant().map(|tenant| tenant.to_string()).unwrap_or_default()
    }
}

impl Ord for Duty {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.tenant(), self.kind()).cmp(&(other.tenant(), other.kind()))
    }
}

impl PartialOrd for Duty {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant() {
            None => f.write_str(self.kind()),
            Some(tenant) => write!(f, "{} of {tenant}", self.kind()),
        }
    }
}

/// A duty as the ledger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldDuty {
    /// Which.
    pub duty: Duty,
    /// Who does it, if anybody.
    pub holder: Option<ReplicaId>,
    /// How many held it before and with this one.
    pub token: i64,
    /// When it was last taken, by the clock of who took it.
    pub since: Timestamp,
}

/// The proof of holding a duty, good until another takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    pub(super) duty: Duty,
    pub(super) holder: ReplicaId,
    pub(super) token: i64,
}

impl Ledger {
    /// Takes duties, each by the token that was seen last, 0 where there is none yet; returns those
    /// that are ours now. A process that was declared gone gets none.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; some may be ours then, which [`Ledger::duties`] tells.
    pub async fn take(
        &self,
        duties: Vec<(Duty, i64)>,
        now: Timestamp,
    ) -> Result<Vec<Fence>, LedgerError> {
        let mut taken = Vec::with_capacity(duties.len());
        for duties in duties.chunks(AT_ONCE) {
            let duties = duties.to_vec();
            taken.extend(self.ask(Take { me: self.me.id, duties, now }).await?);
        }
        Ok(taken)
    }

    /// Gives duties back, for others to take.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; some may be ours still.
    pub async fn give(&self, duties: Vec<Fence>) -> Result<(), LedgerError> {
        if duties.is_empty() {
            return Ok(());
        }
        self.ask(Give { duties }).await
    }

    /// Every duty there ever was a holder of. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn duties(&self) -> Result<Vec<HeldDuty>, LedgerError> {
        Ok(duties(&self.reads).await?)
    }

    /// The proof that this process holds a duty, as [`Ledger::duties`] told it.
    pub fn fence(&self, held: &HeldDuty) -> Option<Fence> {
        let HeldDuty { duty, holder, token, .. } = *held;
        holder.filter(|holder| *holder == self.me.id).map(|holder| Fence { duty, holder, token })
    }

    /// Who prunes: this process under a duty, or another one. A process that shares its ledger with
    /// nobody prunes until it is told.
    pub fn prune_under(&self, fence: Option<Fence>) {
        let pruning = fence.map_or(Pruning::Other, Pruning::Under);
        *self.shared.pruning.lock().expect("no holder of this lock panics") = pruning;
    }

    /// Asks for a change that only the holder of a duty may make.
    pub(super) async fn ask_under<O: Operation>(
        &self,
        fence: Option<Fence>,
        operation: O,
    ) -> Result<O::Output, LedgerError> {
        self.ask(Fenced { fence, operation }).await?.ok_or(LedgerError::Outdated)
    }
}

impl Reader {
    /// As [`Ledger::duties`].
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn duties(&self) -> Result<Vec<HeldDuty>, LedgerError> {
        Ok(duties(&self.0).await?)
    }
}

/// Who prunes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pruning {
    /// This process, which shares the ledger with nobody.
    Alone,
    /// Another one, as far as is known.
    Other,
    /// This process, as long as the duty is its own.
    Under(Fence),
}

impl Shared {
    /// Under which duty this process prunes, if it does.
    pub(super) fn prunes(&self) -> Option<Option<Fence>> {
        match *self.pruning.lock().expect("no holder of this lock panics") {
            Pruning::Alone => Some(None),
            Pruning::Other => None,
            Pruning::Under(duty) => Some(Some(duty)),
        }
    }
}

impl Fence {
    /// Of which duty.
    pub const fn duty(&self) -> Duty {
        self.duty
    }

    /// Whether the duty is held as this says. Nobody takes it before this transaction ends: the row
    /// is changed, to what it is, because engines differ in how a row that is only read is held.
    pub(super) async fn holds(&self, connection: &mut Connection) -> sqlx::Result<bool> {
        let done = query(
            "UPDATE duty SET token = token \
             WHERE tenant = $1 AND kind = $2 AND holder = $3 AND token = $4",
        )
        .bind(self.duty.tenant_text())
        .bind(self.duty.kind())
        .bind(self.holder.to_string())
        .bind(self.token)
        .execute(connection)
        .await?;
        Ok(done > 0)
    }
}

/// Gives back everything a replica holds.
pub(super) async fn give_all(connection: &mut Connection, holder: ReplicaId) -> sqlx::Result<()> {
    query("UPDATE duty SET holder = NULL WHERE holder = $1")
        .bind(holder.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// A change that only the holder of a duty may make; none if it was not.
struct Fenced<O> {
    fence: Option<Fence>,
    operation: O,
}

impl<O: Operation> Operation for Fenced<O> {
    type Output = Option<O::Output>;

    fn rows(&self) -> usize {
        1 + self.operation.rows()
    }

    fn now(&self) -> Option<Timestamp> {
        self.operation.now()
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<Self::Output> {
        if let Some(fence) = self.fence
            && !fence.holds(connection).await?
        {
            return Ok(None);
        }
        self.operation.apply(connection).await.map(Some)
    }

    fn wakes(&self, output: &Self::Output) -> bool {
        output.as_ref().is_some_and(|output| self.operation.wakes(output))
    }
}

struct Take {
    me: ReplicaId,
    duties: Vec<(Duty, i64)>,
    now: Timestamp,
}

impl Operation for Take {
    type Output = Vec<Fence>;

    fn rows(&self) -> usize {
        self.duties.len()
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<Vec<Fence>> {
        let mut taken = Vec::with_capacity(self.duties.len());
        if !replicas::lives(connection, self.me).await? {
            return Ok(taken);
        }
        for (duty, seen) in &self.duties {
            let done = query(
                "INSERT INTO duty (tenant, kind, holder, token, since) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, kind) DO UPDATE \
                 SET holder = excluded.holder, token = excluded.token, since = excluded.since \
                 WHERE duty.token = $6",
            )
            .bind(duty.tenant_text())
            .bind(duty.kind())
            .bind(self.me.to_string())
            .bind(seen + 1)
            .bind(self.now.as_millisecond())
            .bind(*seen)
            .execute(&mut *connection)
            .await?;
            if done > 0 {
                taken.push(Fence { duty: *duty, holder: self.me, token: seen + 1 });
            }
        }
        Ok(taken)
    }
}

struct Give {
    duties: Vec<Fence>,
}

impl Operation for Give {
    type Output = ();

    fn rows(&self) -> usize {
        self.duties.len()
    }

    fn now(&self) -> Option<Timestamp> {
        None
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        for Fence { duty, holder, token } in &self.duties {
            query(
                "UPDATE duty SET holder = NULL \
                 WHERE tenant = $1 AND kind = $2 AND holder = $3 AND token = $4",
            )
            .bind(duty.tenant_text())
            .bind(duty.kind())
            .bind(holder.to_string())
            .bind(*token)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

async fn duties(reads: &Pool) -> sqlx::Result<Vec<HeldDuty>> {
    let rows = query("SELECT tenant, kind, holder, token, since FROM duty")
        .quick()
        .fetch_all(reads)
        .await?;
    // A kind that only a newer version knows is left to that version.
    rows.iter().filter_map(|row| held_from(row).transpose()).collect()
}

fn held_from(row: &Row) -> sqlx::Result<Option<HeldDuty>> {
    let Some(duty) = Duty::parse(row.try_get("kind")?, row.try_get("tenant")?) else {
        return Ok(None);
    };
    let holder: Option<&str> = row.try_get("holder")?;
    let holder = holder.map(str::parse).transpose();
    Ok(Some(HeldDuty {
        duty,
        holder: holder.map_err(|error| rows::unreadable("holder", error))?,
        token: row.try_get("token")?,
        since: rows::moment(row, "since")?,
    }))
}

/// Duties taken in one transaction: a few milliseconds.
const AT_ONCE: usize = 256;
