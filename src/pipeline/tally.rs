//! What one content came to: lines per table, duplicates, dead records.

use crate::{ledger::DeadRecord, reason::Reason, route::Table};

/// The count of one content while it passes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Records sent, by table. A content holds few tables, so a scan beats a map.
    pub(super) sent: Vec<(Table, u64)>,
    pub(super) duplicates: u64,
    /// Records sent whose identity could not be kept.
    pub(super) unremembered: u64,
    pub(super) dead: Vec<DeadRecord>,
}

impl Tally {
    pub(super) fn sent(&mut self, table: &Table) {
        // A body that makes up a table for each record must not fill memory (I7): beyond the bound
        // the last table counts for all, and only the sum is still exact.
        let full = self.sent.len() >= MAX_TABLES;
        let known = self.sent.iter().position(|(known, _)| known == table);
        match known.or(full.then_some(MAX_TABLES - 1)) {
            Some(at) => self.sent[at].1 += 1,
            None => self.sent.push((table.clone(), 1)),
        }
    }

    /// # Errors
    ///
    /// [`Reason::Undecodable`] when so many records are dead that the content itself is: the list
    /// is kept in memory and must stay bounded whatever a body holds (I7).
    pub(super) fn dead(&mut self, index: u64, reason: Reason) -> Result<(), Reason> {
        if self.dead.len() >= MAX_DEAD {
            return Err(Reason::Undecodable);
        }
        self.dead.push(DeadRecord { index, reason });
        Ok(())
    }

    pub(super) fn records(&self) -> u64 {
        self.sent.iter().map(|(_, lines)| lines).sum()
    }
}

/// Real contents hold a few tables.
const MAX_TABLES: usize = 64;

/// A content with this many unusable records holds no audit log.
const MAX_DEAD: usize = 1000;
