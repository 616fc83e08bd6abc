//! One open table of keys: buckets of seven, growing by a third.
//!
//! A key lies in the bucket that its first half says or, if that was full, in the next one that was
//! not. It is never taken out, but counts as absent when its slice is over, and vanishes when the
//! table is rebuilt. So no bucket that was full has room again, and the search for a key ends with
//! the first that has.
//!
//! A bucket is two cache lines, and the first has a byte of each key: looking for a key that is
//! absent, which most are, seldom touches the keys, and adding it there visits no other memory.
//!
//! The place of a key in flight has its number in [`Flying`] instead of the second half, which lies
//! there. The first half is enough to rebuild the table, and both are compared.

use super::flying::Flying;
use crate::identity::Key;

/// A part of the window's keys.
#[derive(Debug, Default)]
pub(super) struct Shard {
    buckets: Box<[Bucket]>,
    /// Cells that are not free.
    used: usize,
}

impl Shard {
    pub(super) fn find(&self, key: Key, alive: &Alive, flying: &Flying) -> Found {
        let [half, rest] = key.halves();
        let mut at = self.first(half);
        while let Some(bucket) = self.buckets.get(at) {
            for slot in bucket.hits(tag(half)) {
                let (cell, name) = (bucket.cells[slot], bucket.names[slot]);
                if cell.half != half || !alive.has(name) {
                    continue;
                }
                if name != FLYING {
                    if cell.rest == rest {
                        return Found::Remembered;
                    }
                } else if let Ok(number) = usize::try_from(cell.rest)
                    && flying.rest(number) == rest
                {
                    return Found::Flying { place: Place { bucket: at, slot }, number };
                }
            }
            if !bucket.is_full() {
                break;
            }
            at = self.next(at);
        }
        Found::Absent
    }

    /// Visits the memory that a look at this key needs, but for the few that lie further off. What
    /// is returned depends on all of it.
    pub(super) fn touch(&self, key: Key) -> u64 {
        let [half, _] = key.halves();
        let first = self.first(half);
        let Some(bucket) = self.buckets.get(first) else { return 0 };
        // No branch, for one that is guessed wrong ends the overlap with what comes after it.
        let next = self.buckets.get(first + usize::from(bucket.is_full())).unwrap_or(bucket);
        bucket.touch() ^ next.touch()
    }

    /// Adds a key that is absent.
    pub(super) fn add(&mut self, key: Key, name: u8, alive: &Alive) {
        let [half, rest] = key.halves();
        self.put(Cell { half, rest }, name, alive);
    }

    /// Adds a key that is absent and has this number in flight.
    pub(super) fn add_flying(&mut self, key: Key, number: usize, alive: &Alive) {
        let [half, _] = key.halves();
        let rest = u64::try_from(number).unwrap_or(u64::MAX);
        self.put(Cell { half, rest }, FLYING, alive);
    }

    /// Makes a key in flight one of this slice.
    pub(super) fn land(&mut self, key: Key, Place { bucket, slot }: Place, name: u8) {
        let [_, rest] = key.halves();
        self.buckets[bucket].cells[slot].rest = rest;
        self.buckets[bucket].names[slot] = name;
    }

    /// Forgets a key in flight.
    pub(super) fn release(&mut self, Place { bucket, slot }: Place) {
        self.buckets[bucket].names[slot] = GONE;
    }

    /// Moves what is alive to a table that has room for it and `more`, and for a third on top.
    /// As long as nothing is over it stays as it is: it may be meant to have room for what is to come.
    pub(super) fn rebuild(&mut self, more: usize, alive: &Alive) {
        let names = self.buckets.iter().flat_map(|bucket| &bucket.names);
        let kept = names.filter(|name| alive.has(**name)).count();
        if more == 0 && kept == self.used {
            return;
        }
        let empty = vec![Bucket::default(); size_for(kept + more)].into();
        for bucket in std::mem::replace(&mut self.buckets, empty) {
            for (cell, name) in bucket.cells.into_iter().zip(bucket.names) {
                if alive.has(name) {
                    self.fill(cell, name);
                }
            }
        }
        self.used = kept;
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    fn put(&mut self, cell: Cell, name: u8, alive: &Alive) {
        if (self.used + 1) * MAX_LOAD.1 > self.buckets.len() * CELLS * MAX_LOAD.0 {
            self.rebuild(1, alive);
        }
        self.fill(cell, name);
        self.used += 1;
    }

    /// Fills the first free cell. There is one, for the table is never full.
    fn fill(&mut self, cell: Cell, name: u8) {
        let mut at = self.first(cell.half);
        while self.buckets[at].is_full() {
            at = self.next(at);
        }
        self.buckets[at].fill(cell, name);
    }

    fn first(&self, half: u64) -> usize {
        // Even for a size that is no power of two.
        let first = (u128::from(half) * self.buckets.len() as u128) >> 64;
        usize::try_from(first).unwrap_or_default()
    }

    const fn next(&self, at: usize) -> usize {
        if at + 1 < self.buckets.len() { at + 1 } else { 0 }
    }
}

/// What a shard knows of a key.
pub(super) enum Found {
    Remembered,
    Flying { place: Place, number: usize },
    Absent,
}

/// Where a key lies until the shard is next rebuilt.
pub(super) struct Place {
    bucket: usize,
    slot: usize,
}

/// Some keys, each with two bytes beside it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(128))]
struct Bucket {
    /// Of each key, the first one lowest; see [`tag`].
    tags: u64,
    /// Of each key's slice.
    names: [u8; CELLS],
    cells: [Cell; CELLS],
}

impl Bucket {
    /// The cells whose key has this tag.
    fn hits(&self, tag: u64) -> impl Iterator<Item = usize> + use<> {
        let differ = self.tags ^ (tag * ONES);
        // Adding carries into the top of each byte that has any other bit, and never out of it.
        let mut hits = !(((differ & !TOPS) + !TOPS) | differ) & TOPS;
        std::iter::from_fn(move || {
            let slot = hits.trailing_zeros() as usize / 8;
            hits &= hits.checked_sub(1)?;
            Some(slot)
        })
    }

    fn fill(&mut self, cell: Cell, name: u8) {
        let slot = self.used();
        self.tags |= tag(cell.half) << (8 * slot);
        self.names[slot] = name;
        self.cells[slot] = cell;
    }

    const fn used(&self) -> usize {
        CELLS + 1 - self.tags.leading_zeros() as usize / 8
    }

    const fn is_full(&self) -> bool {
        self.used() == CELLS
    }

    /// Visits both cache lines.
    const fn touch(&self) -> u64 {
        self.tags ^ self.cells[CELLS - 1].half
    }
}

/// A key.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// The half that says in which bucket it lies.
    half: u64,
    /// The other half, or the number of a key in flight.
    rest: u64,
}

/// Which names are of slices that are not over. [`FLYING`] always counts as one of them, a free
/// cell's and [`GONE`] never.
#[derive(Debug)]
pub(super) struct Alive([u64; 4]);

impl Alive {
    pub(super) const fn has(&self, name: u8) -> bool {
        self.0[name as usize / 64] & (1 << (name % 64)) != 0
    }

    pub(super) fn set(&mut self, name: u8, alive: bool) {
        let bit = 1 << (name % 64);
        let word = &mut self.0[usize::from(name) / 64];
        *word = if alive { *word | bit } else { *word & !bit };
    }
}

impl Default for Alive {
    fn default() -> Self {
        let mut alive = Self([0; 4]);
        alive.set(FLYING, true);
        alive
    }
}

/// A part of the key that says nothing about its bucket: of the half that does, the other end.
/// Never zero, which is what a free cell has.
const fn tag(half: u64) -> u64 {
    let tag = half & 0xff;
    if tag == 0 { 1 } else { tag }
}

/// How many buckets a new table has: with a third more keys it is as full as it may be.
const fn size_for(keys: usize) -> usize {
    (keys * 4 * MAX_LOAD.1).div_ceil(3 * MAX_LOAD.0 * CELLS)
}

/// The most of a table that is used: 85 %. Beyond, too many buckets are full.
const MAX_LOAD: (usize, usize) = (17, 20);

/// With 18 bytes for each, and two to spare, these are two cache lines.
const CELLS: usize = 7;

/// One in each byte, and the highest bit of each.
const ONES: u64 = u64::MAX / 0xff;
const TOPS: u64 = ONES << 7;

/// The names of slices begin after the zero of a free cell and end before the two below.
pub(super) const FIRST_NAME: u8 = 1;
pub(super) const LAST_NAME: u8 = GONE - 1;
/// Instead of the name of a slice: the key was in flight and did not arrive.
const GONE: u8 = FLYING - 1;
/// Instead of the name of a slice: the key is in flight.
const FLYING: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hits_are_the_cells_with_this_tag(tags in prop::collection::vec(1..6_u64, 0..=CELLS)) {
            let mut bucket = Bucket::default();
            for (slot, tag) in tags.iter().enumerate() {
                prop_assert_eq!((bucket.used(), bucket.is_full()), (slot, false));
                bucket.fill(Cell { half: *tag, rest: 0 }, FIRST_NAME);
            }
            prop_assert_eq!((bucket.used(), bucket.is_full()), (tags.len(), tags.len() == CELLS));
            for tag in 1..=0xff {
                let hits: Vec<_> = bucket.hits(tag).collect();
                let expected = (0..tags.len()).filter(|slot| tags[*slot] == tag);
                prop_assert_eq!(hits, expected.collect::<Vec<_>>(), "{}", tag);
            }
        }
    }
}
