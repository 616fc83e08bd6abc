//! The batch in the making.
//!
//! A record is framed as soon as it is split, while its bytes are at hand, and judged with all
//! others of its batch: one lock for hundreds of records, and looks into a large table that overlap
//! instead of waiting for memory one after the other. The lines of duplicates, which are few, are
//! taken out again.

use crate::{deliver::Batch, identity::Key, route::Table};

use super::{
    buffers::{Buffer, Buffers},
    identities::{Flight, Verdict},
    tally::{Lines, Tally},
};

/// Lines that are framed and not sent.
#[derive(Debug)]
pub(super) struct Draft {
    buffers: Buffers,
    /// None before the first line.
    bytes: Option<Buffer>,
    keys: Vec<Key>,
    /// Where each line ends, and the slot of its table.
    ends: Vec<(usize, usize)>,
    lines: Lines,
}

impl Draft {
    pub(super) fn new(buffers: Buffers) -> Self {
        let (keys, ends, lines) = (Vec::new(), Vec::new(), Lines::default());
        Self { buffers, bytes: None, keys, ends, lines }
    }

    /// Where the memory of drafts comes from.
    pub(super) fn buffers() -> Buffers {
        // Room for the line that fills it up; a larger one makes room for itself.
        Buffers::new(FULL + FULL / 8)
    }

    /// Adds the line of a record, which `frame` appends to the bytes it is given.
    pub(super) fn add(&mut self, key: Key, table: &Table, frame: impl FnOnce(&mut Vec<u8>)) {
        let bytes = self.bytes.get_or_insert_with(|| self.buffers.take());
        frame(bytes);
        self.keys.push(key);
        self.ends.push((bytes.len(), self.lines.slot(table)));
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.as_ref().is_some_and(|bytes| bytes.len() >= FULL)
    }

    /// Takes what is to be sent, if anything is, and begins anew.
    pub(super) fn judge(
        &mut self,
        flight: &mut Flight,
        tally: &mut Tally,
    ) -> Option<(Batch, Lines)> {
        let mut bytes = self.bytes.take()?;
        let verdicts = flight.judge(&self.keys);
        let mut lines = std::mem::take(&mut self.lines);
        self.keys.clear();
        let (mut begin, mut kept) = (0, 0);
        for ((end, table), verdict) in self.ends.drain(..).zip(verdicts) {
            if verdict == Verdict::Duplicate {
                tally.duplicates += 1;
            } else {
                tally.unremembered += u64::from(verdict == Verdict::Unremembered);
                if kept < begin {
                    bytes.copy_within(begin..end, kept);
                }
                kept += end - begin;
                lines.count(table);
            }
            begin = end;
        }
        bytes.truncate(kept);
        let batch = Batch { lines: lines.total(), bytes: bytes.into() };
        (kept > 0).then_some((batch, lines))
    }
}

/// Large enough that a TLS record and a system call cost nothing beside the bytes, small enough
/// that as many batches as places stay a few megabytes.
const FULL: usize = 256 * 1024;

#[cfg(test)]
mod tests;
