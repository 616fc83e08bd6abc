//! The keys in flight: who owns each, and the half of it that its cell has no room for.

use crate::identity::Key;

/// Who sent the record of a key in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The attempt that met it first.
    pub flight: u32,
    /// The place of the key among those of this attempt.
    pub index: u32,
}

/// The keys in flight, each under a number that is its own as long as it is.
#[derive(Debug, Default)]
pub(super) struct Flying {
    entries: Vec<Entry>,
    /// The numbers that nobody has.
    free: Vec<usize>,
}

impl Flying {
    pub(super) fn add(&mut self, key: Key, owner: Owner) -> usize {
        let [_, rest] = key.halves();
        let number = self.free.pop().unwrap_or(self.entries.len());
        let entry = Entry { rest, owner };
        match self.entries.get_mut(number) {
            Some(free) => *free = entry,
            None => self.entries.push(entry),
        }
        number
    }

    pub(super) fn remove(&mut self, number: usize) {
        self.free.push(number);
        if self.len() == 0 {
            // What a burst needed is not kept for ever.
            self.entries.clear();
            self.entries.shrink_to(KEPT);
            self.free.clear();
            self.free.shrink_to(KEPT);
        }
    }

    pub(super) fn rest(&self, number: usize) -> u64 {
        self.entries[number].rest
    }

    pub(super) fn owner(&self, number: usize) -> Owner {
        self.entries[number].owner
    }

    pub(super) fn owner_mut(&mut self, number: usize) -> &mut Owner {
        &mut self.entries[number].owner
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

#[derive(Debug)]
struct Entry {
    /// The second half of the key.
    rest: u64,
    owner: Owner,
}

/// Room for a few contents.
const KEPT: usize = 4096;
