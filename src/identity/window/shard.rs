//! One open table of keys: linear probing, as full as that allows, growing by a quarter.
//!
//! A key is never taken out. Its place is used again when its slice is over and another key comes
//! by, or vanishes when the table is rebuilt, so that the chain of places from a key's first choice
//! to where it lies never has a gap.
//!
//! Beside the name of its slice each place has a byte of its key. Looking for a key that is absent,
//! which most are, so seldom touches the keys, and costs one visit to memory instead of several.

use crate::identity::Key;

/// A part of the window's keys.
#[derive(Debug, Default)]
pub(super) struct Shard {
    keys: Box<[Key]>,
    marks: Box<[Mark]>,
    used: usize,
}

impl Shard {
    pub(super) fn contains(&self, key: Key, alive: &Alive) -> bool {
        let (mut place, tag) = (self.first(key), tag(key));
        while let Some(mark) = self.marks.get(place)
            && mark.name != FREE
        {
            if mark.tag == tag && self.keys[place] == key && alive.has(mark.name) {
                return true;
            }
            place += 1;
            if place == self.marks.len() {
                place = 0;
            }
        }
        false
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, key: Key, name: u8, alive: &Alive) {
        if (self.used + 1) * MAX_LOAD.1 > self.keys.len() * MAX_LOAD.0 {
            self.rebuild(1, alive);
        }
        let mut places = self.places(key);
        let place = places.find(|&place| !alive.has(self.marks[place].name));
        let place = place.expect("a table is never full");
        self.used += usize::from(self.marks[place].name == FREE);
        self.keys[place] = key;
        self.marks[place] = Mark { name, tag: tag(key) };
    }

    /// Moves what is alive to a table that has room for it and `more`, and for a quarter on top.
    pub(super) fn rebuild(&mut self, more: usize, alive: &Alive) {
        let kept = self.marks.iter().filter(|mark| alive.has(mark.name)).count();
        if more == 0 && kept == self.used && self.keys.len() <= size_for(kept) {
            return;
        }
        let size = size_for(kept + more);
        let old = std::mem::replace(
            self,
            Self {
                keys: vec![Key::from_bytes([0; Key::SIZE]); size].into(),
                marks: vec![Mark::default(); size].into(),
                used: 0,
            },
        );
        for (key, mark) in old.keys.iter().zip(&old.marks) {
            if alive.has(mark.name) {
                let place = self.places(*key).find(|&place| self.marks[place].name == FREE);
                let place = place.expect("the new table has room for every key");
                self.keys[place] = *key;
                self.marks[place] = *mark;
            }
        }
        self.used = kept;
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.len() * (size_of::<Key>() + size_of::<Mark>())
    }

    /// Every place, in the order in which the key is looked for.
    fn places(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        let first = self.first(key);
        (first..self.keys.len()).chain(0..first)
    }

    fn first(&self, key: Key) -> usize {
        let [half, _] = key.halves();
        // Even for a size that is no power of two.
        let first = (u128::from(half) * self.keys.len() as u128) >> 64;
        usize::try_from(first).unwrap_or_default()
    }
}

/// What is known of a place without looking at its key.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Of its key's slice, or [`FREE`].
    name: u8,
    /// Of its key; see [`tag`].
    tag: u8,
}

/// A part of the key that says nothing about its place: of the half that does, the other end.
const fn tag(key: Key) -> u8 {
    let [half, _] = key.halves();
    half.to_le_bytes()[0]
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
