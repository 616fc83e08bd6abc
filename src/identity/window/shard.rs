//! One open table of keys: linear probing, as full as that allows, growing by a quarter.
//!
//! A key is never taken out. Its place is used again when its slice is over and another key comes by,
//! or vanishes when the table is rebuilt, so that the chain of places from a key's first choice to
//! where it lies never has a gap.

use crate::identity::Key;

/// A part of the window's keys.
#[derive(Debug, Default)]
pub(super) struct Shard {
    keys: Box<[Key]>,
    /// For each place the name of its key's slice, or [`FREE`].
    names: Box<[u8]>,
    used: usize,
}

impl Shard {
    pub(super) fn contains(&self, key: Key, alive: &Alive) -> bool {
        let found = self.places(key).take_while(|&place| self.names[place] != FREE);
        let mut found = found.filter(|&place| self.keys[place] == key);
        found.any(|place| alive.has(self.names[place]))
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, key: Key, name: u8, alive: &Alive) {
        if (self.used + 1) * MAX_LOAD.1 > self.keys.len() * MAX_LOAD.0 {
            self.rebuild(1, alive);
        }
        let mut places = self.places(key);
        let place = places.find(|&place| !alive.has(self.names[place]));
        let place = place.expect("a table is never full");
        self.used += usize::from(self.names[place] == FREE);
        self.keys[place] = key;
        self.names[place] = name;
    }

    /// Moves what is alive to a table that has room for it and `more`, and for a quarter on top.
    pub(super) fn rebuild(&mut self, more: usize, alive: &Alive) {
        let kept = self.names.iter().filter(|name| alive.has(**name)).count();
        if more == 0 && kept == self.used && self.keys.len() <= size_for(kept) {
            return;
        }
        let size = size_for(kept + more);
        let old = std::mem::replace(
            self,
            Self {
                keys: vec![Key::from_bytes([0; Key::SIZE]); size].into(),
                names: vec![FREE; size].into(),
                used: 0,
            },
        );
        for (key, name) in old.keys.iter().zip(&old.names) {
            if alive.has(*name) {
                let place = self.places(*key).find(|&place| self.names[place] == FREE);
                let place = place.expect("the new table has room for every key");
                self.keys[place] = *key;
                self.names[place] = *name;
            }
        }
        self.used = kept;
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.len() * size_of::<Key>() + self.names.len()
    }

    /// Every place, in the order in which the key is looked for.
    fn places(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        let size = self.keys.len();
        let [half, _] = key.halves();
        // Even for a size that is no power of two.
        let first = (u128::from(half) * size as u128) >> 64;
        let first = usize::try_from(first).unwrap_or_default();
        (first..size).chain(0..first)
    }
}

/// Which names are of slices that are not over. [`FREE`] never is.
#[derive(Debug, Default)]
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

/// The size of a new table: with a quarter more keys it is as full as it may be.
const fn size_for(keys: usize) -> usize {
    let size = keys * 5 * MAX_LOAD.1 / (4 * MAX_LOAD.0);
    if keys == 0 {
        0
    } else if size < keys + ROOM {
        keys + ROOM
    } else {
        size
    }
}

/// The most of a table that is used: 85 %. Beyond, looking for what is absent takes long.
const MAX_LOAD: (usize, usize) = (17, 20);

/// Room for a few more, also in a tiny table.
const ROOM: usize = 4;

const FREE: u8 = 0;
