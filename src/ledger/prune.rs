//! What is forgotten, and when: in small steps, so that nobody who waits for a commit feels it.
//!
//! Where several processes share the ledger it is a duty of one. Two that prune all the same, because
//! one does not know yet that it lost the duty, leave out what the other is at.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Fence,
    dialect::{Statement, statement},
    identities,
    sql::{Connection, query},
    sqlite,
    state::State,
};
use crate::{content::LISTED, moment::before};

/// How long settled rows are kept, and how often that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) delivered: Duration,
    pub(super) dead: Duration,
    pub(super) interval: Duration,
}

impl Retention {
    pub(super) fn cutoffs(&self, now: Timestamp) -> Cutoffs {
        // Content goes when Microsoft has deleted it, too. Without a bound here, each step would
        // read all that is settled but still listed, to find that none of it may go.
        Cutoffs {
            delivered: before(now, self.delivered.max(LISTED)),
            dead: before(now, self.dead.max(LISTED)),
            identities: Timestamp::MIN,
            now,
        }
    }
}

/// Until when settled rows are old enough to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutoffs {
    pub(super) delivered: Timestamp,
    pub(super) dead: Timestamp,
    pub(super) identities: Timestamp,
    pub(super) now: Timestamp,
}

/// Deletes up to `limit` rows that nobody needs any more, and says how many.
///
/// Content that Microsoft still has is kept whatever its age, or the next sweep would deliver it
/// again. Delivered content with dead records is kept as long as what is dead.
async fn prune(connection: &mut Connection, cutoffs: Cutoffs, limit: u32) -> sqlx::Result<u64> {
    let delivered = query(PRUNE_DELIVERED)
        .bind(cutoffs.delivered.as_millisecond())
        .bind(cutoffs.now.as_millisecond())
        .bind(cutoffs.dead.as_millisecond())
        .bind(i64::from(limit))
        .execute(&mut *connection)
        .await?;
    let mut dead = 0;
    for state in [State::Dead, State::Expired] {
        dead += query(PRUNE_DEAD)
            .bind(cutoffs.dead.as_millisecond())
            .bind(cutoffs.now.as_millisecond())
            .bind(i64::from(limit).saturating_sub_unsigned(delivered + dead))
            .bind(state.as_str())
            .execute(&mut *connection)
            .await?;
    }
    let identities = identities::prune(connection, cutoffs.identities, limit).await?;
    Ok(delivered + dead + identities)
}

/// Removes some of what is old enough, in a transaction of its own; true if there may be more.
/// Nothing is removed under a duty that is another replica's by now.
pub(super) async fn step(
    connection: &mut Connection,
    cutoffs: Cutoffs,
    duty: Option<Fence>,
) -> sqlx::Result<bool> {
    connection.begin().await?;
    if let Some(duty) = duty
        && !duty.holds(connection).await?
    {
        connection.rollback().await?;
        return Ok(false);
    }
    let rows = prune(connection, cutoffs, PRUNE_ROWS).await?;
    if !connection.is_shared() {
        connection.run(sqlite::VACUUM).await?;
    }
    connection.commit().await?;
    Ok(rows >= u64::from(PRUNE_ROWS))
}

// Named, so that a test can ask for their plans.

/// In the order of an index, or a server that finds nothing reads all to find it. Letters are counted,
/// and found to be less than one, because it takes any number to be likely but a certain one.
pub(super) const PRUNE_DELIVERED: Statement = statement![
    "DELETE FROM content WHERE id" [among] "SELECT id FROM content \
     WHERE state = 'delivered' AND settled <= $1 AND expires <= $2 AND (settled <= $3 \
     OR (SELECT COUNT(*) FROM dead_letter WHERE dead_letter.content = content.id) < 1) \
     ORDER BY settled LIMIT $4" [free] [end]
];

pub(super) const PRUNE_DEAD: Statement = statement![
    "DELETE FROM content WHERE id" [among] "SELECT id FROM content \
     WHERE state = $4 AND settled IS NOT NULL AND settled <= $1 AND expires <= $2 \
     ORDER BY settled LIMIT $3" [free] [end]
];

/// Rows removed in one step: short enough not to be felt by those who wait for a commit.
const PRUNE_ROWS: u32 = 500;

/// At [`PRUNE_ROWS`] a step, the least pace of pruning even if there is no quiet moment.
pub(super) const INTERVAL: Duration = Duration::from_secs(60);
