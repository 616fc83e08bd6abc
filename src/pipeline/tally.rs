//! What one content came to: lines per table, duplicates, dead records.

use std::ops::AddAssign;

use crate::{ledger::DeadRecord, reason::Reason, route::Table};

/// The count of one content while it passes. What was sent is counted by [`Lines`], with the batch
/// it went out in.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) duplicates: u64,
    /// Records sent whose identity could not be kept.
    pub(super) unremembered: u64,
    pub(super) dead: Vec<DeadRecord>,
}

impl Tally {
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
}

/// How many lines for which table. There are few tables, so a scan beats a map.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<(Table, u64)>);

impl Lines {
    /// Where lines of this table are counted.
    pub(super) fn slot(&mut self, table: &Table) -> usize {
        // A body that makes up a table for each record must not fill memory (I7): beyond the bound
        // the last table counts for all, and only the sum is still exact.
        let full = self.0.len() >= MAX_TABLES;
        let known = self.0.iter().position(|(known, _)| known == table);
        known.or(full.then_some(MAX_TABLES - 1)).unwrap_or_else(|| {
            self.0.push((table.clone(), 0));
            self.0.len() - 1
        })
    }

    /// Counts a line of the table with this slot.
    pub(super) fn count(&mut self, slot: usize) {
        self.0[slot].1 += 1;
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(_, lines)| lines).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Table, u64)> {
        self.0.iter().filter(|(_, lines)| *lines > 0).map(|(table, lines)| (table, *lines))
    }
}

impl AddAssign for Lines {
    fn add_assign(&mut self, other: Self) {
        for (table, lines) in other.iter() {
            let slot = self.slot(table);
            self.0[slot].1 += lines;
        }
    }
}

/// Real contents hold a few tables.
const MAX_TABLES: usize = 64;

/// A content with this many unusable records holds no audit log.
const MAX_DEAD: usize = 1000;
