//! The keys of the last confirmed records, bounded in time and number, and those in flight.
//!
//! Keys lie in open tables ([`Shard`]), each beside two bytes, one of which names the *slice* of
//! the window it was inserted in. A slice ends after a hundredth of the time or with a hundredth of
//! the number. Forgetting is by whole slices, which changes no table: the keys of a slice that is
//! over count as absent, and go when their shard is next rebuilt, at the latest before the name of
//! their slice is given again. Shards are rebuilt one at a time, between insertions, so that no
//! call takes noticeably longer than another.
//!
//! A key whose record was sent and not confirmed is not remembered, but lies in the same tables, in
//! the place it will have then ([`Window::meet`]): of every record two visits to distant memory
//! remain, one when it is met and one when it lands. How many are in flight is for the caller to
//! bound.
//!
//! Why not a `HashMap`: it doubles, so that just after growing each key costs twice the 18 bytes it
//! needs, and once more while it moves; many small tables that grow by a third stay near 28.

use std::{collections::VecDeque, hint::black_box, ops::BitXor, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{Config, Key};

mod flying;
mod shard;

pub use flying::Owner;

use flying::Flying;
use shard::{Alive, FIRST_NAME, Found, LAST_NAME, Shard};

/// The remembered keys.
#[derive(Debug)]
pub struct Window {
    shards: Vec<Shard>,
    /// Oldest first; the last one is being filled. Never empty.
    slices: VecDeque<Slice>,
    /// Which of the names are among `slices`.
    alive: Alive,
    /// What else is known of the keys in flight.
    flying: Flying,
    remembered: usize,
    /// The latest moment heard of: time does not go back here.
    now: Timestamp,
    remember: SignedDuration,
    slice_time: SignedDuration,
    slice_number: usize,
    number: usize,
    /// Where rebuilding goes on.
    next_rebuilt: usize,
    /// Shards to rebuild before the next slice begins.
    owed: usize,
    /// Insertions until one of them is.
    until_rebuilt: usize,
}

impl Window {
    /// A window that remembers nothing yet.
    pub fn new(config: &Config, now: Timestamp) -> Self {
        let number = config.remember_max.get();
        let shards = (number / SHARD_KEYS).clamp(MIN_SHARDS, MAX_SHARDS).next_power_of_two();
        let mut alive = Alive::default();
        alive.set(FIRST_NAME, true);
        Self {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            slices: VecDeque::from([Slice::new(FIRST_NAME, now)]),
            alive,
            flying: Flying::default(),
            remembered: 0,
            now,
            remember: signed(config.remember),
            slice_time: signed(config.remember / TIME_SLICES),
            slice_number: number.div_ceil(NUMBER_SLICES),
            number,
            next_rebuilt: 0,
            owed: 0,
            until_rebuilt: 0,
        }
    }

    /// Whether this key is remembered.
    pub fn contains(&self, key: Key) -> bool {
        let shard = &self.shards[self.shard_of(key)];
        matches!(shard.find(key, &self.alive, &self.flying), Found::Remembered)
    }

    /// Makes room for so many keys, where nothing is remembered yet: tables that grow while they are
    /// filled leave holes behind, a quarter of what they take in the end.
    pub fn expect(&mut self, keys: usize) {
        let each = keys.min(self.number) / self.shards.len();
        self.shards.iter_mut().for_each(|shard| shard.rebuild(each, &self.alive));
    }

    /// Visits the memory that the calls for these keys will need, so that the waits for it overlap
    /// instead of following one another. Changes nothing but their speed.
    pub fn touch(&self, keys: &[Key]) {
        let touched = keys.iter().map(|key| self.shards[self.shard_of(*key)].touch(*key));
        // Nobody needs the sum, so the compiler would leave it out.
        black_box(touched.fold(0, BitXor::bitxor));
    }

    /// Looks a key up. One that is absent is in flight from now on if an owner is given.
    pub fn meet(&mut self, key: Key, owner: Option<Owner>) -> Met<'_> {
        let shard = self.shard_of(key);
        let shard = &mut self.shards[shard];
        match shard.find(key, &self.alive, &self.flying) {
            Found::Remembered => Met::Remembered,
            Found::Flying { number, .. } => Met::Flying(self.flying.owner_mut(number)),
            Found::Absent => {
                if let Some(owner) = owner {
                    shard.add_flying(key, self.flying.add(key, owner), &self.alive);
                }
                Met::Absent
            }
        }
    }

    /// Forgets a key in flight, unless it belongs to another flight.
    pub fn release(&mut self, key: Key, flight: u32) {
        let shard = self.shard_of(key);
        let shard = &mut self.shards[shard];
        if let Found::Flying { place, number } = shard.find(key, &self.alive, &self.flying)
            && self.flying.owner(number).flight == flight
        {
            shard.release(place);
            self.flying.remove(number);
        }
    }

    /// Remembers a key from the present moment on. One that is remembered already stays as old as
    /// it is; one in flight, whoever owns it, is so no more.
    pub fn insert(&mut self, key: Key) {
        // Not after the key was looked up: this may rebuild its shard.
        if self.present().keys >= self.slice_number {
            self.begin_slice();
        }
        let name = self.present().name;
        let shard = self.shard_of(key);
        let shard = &mut self.shards[shard];
        match shard.find(key, &self.alive, &self.flying) {
            Found::Remembered => return,
            Found::Flying { place, number } => {
                shard.land(key, place, name);
                self.flying.remove(number);
            }
            Found::Absent => shard.add(key, name, &self.alive),
        }
        let now = self.now;
        let present = self.present_mut();
        present.keys += 1;
        present.last = now;
        self.remembered += 1;
        while self.remembered > self.number {
            self.forget_oldest();
        }
        self.until_rebuilt = self.until_rebuilt.saturating_sub(1);
        if self.until_rebuilt == 0 {
            self.rebuild_one();
        }
    }

    /// How many keys are in flight.
    pub const fn flying(&self) -> usize {
        self.flying.len()
    }

    /// Tells the time: forgets what is too old. Returns from when on everything inserted is still
    /// remembered.
    pub fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        if self.now.duration_since(self.present().began) >= self.slice_time {
            self.begin_slice();
        }
        // Also when nothing is inserted, so that room is given back.
        self.rebuild_one();
        while self.slices.len() > 1 && self.now.duration_since(self.slices[0].last) >= self.remember
        {
            self.forget_oldest();
        }
        self.slices[0].began
    }

    /// How many keys are remembered.
    pub const fn len(&self) -> usize {
        self.remembered
    }

    /// Whether no key is remembered.
    pub const fn is_empty(&self) -> bool {
        self.remembered == 0
    }

    /// The memory all tables take, with their free places.
    pub fn bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(Shard::bytes).sum();
        tables + self.shards.capacity() * size_of::<Shard>()
    }

    fn present(&self) -> &Slice {
        self.slices.back().expect("the present slice is never forgotten")
    }

    fn present_mut(&mut self) -> &mut Slice {
        self.slices.back_mut().expect("the present slice is never forgotten")
    }

    fn shard_of(&self, key: Key) -> usize {
        // The number of shards is a power of two.
        let [_, half] = key.halves();
        usize::try_from(half).unwrap_or(usize::MAX) & (self.shards.len() - 1)
    }

    fn begin_slice(&mut self) {
        let name = match self.present().name {
            LAST_NAME => FIRST_NAME,
            name => name + 1,
        };
        debug_assert!(!self.alive.has(name), "fewer slices are alive than there are names");
        // Only a slice that ended by the time, soon after it began, has left any.
        while self.owed > 0 {
            self.rebuild_one();
        }
        self.owed = self.turn();
        self.until_rebuilt = 0;
        self.alive.set(name, true);
        self.slices.push_back(Slice::new(name, self.now));
    }

    fn forget_oldest(&mut self) {
        if self.slices.len() == 1 {
            self.begin_slice();
        }
        if let Some(slice) = self.slices.pop_front() {
            self.alive.set(slice.name, false);
            self.remembered -= slice.keys;
        }
    }

    /// Rebuilds one shard if any is owed. Each has its turn within [`TURNS`] slices, which is
    /// sooner than the name of a forgotten slice comes round again.
    fn rebuild_one(&mut self) {
        if self.owed == 0 {
            return;
        }
        self.owed -= 1;
        self.shards[self.next_rebuilt].rebuild(0, &self.alive);
        self.next_rebuilt = (self.next_rebuilt + 1) % self.shards.len();
        // Twice as fast as need be, so that nothing is left for the moment the next slice begins.
        self.until_rebuilt = self.slice_number / (2 * self.turn());
    }

    /// The shards whose turn is in one slice.
    fn turn(&self) -> usize {
        self.shards.len().div_ceil(TURNS)
    }
}

/// What was known of a key that is met.
#[derive(Debug, PartialEq, Eq)]
pub enum Met<'a> {
    /// It is remembered.
    Remembered,
    /// It is in flight. Whoever writes here is its owner.
    Flying(&'a mut Owner),
    /// Nothing.
    Absent,
}

/// A stretch of the window that is forgotten as one.
#[derive(Debug)]
struct Slice {
    name: u8,
    began: Timestamp,
    /// When its last key was inserted.
    last: Timestamp,
    keys: usize,
}

impl Slice {
    const fn new(name: u8, now: Timestamp) -> Self {
        Self { name, began: now, last: now, keys: 0 }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// A slice ends after this part of the time…
const TIME_SLICES: u32 = 100;

/// …or with this part of the number, so that at most about 205 are alive. After the last
/// name comes the first again: what is forgotten has some fifty slices to go from the tables.
const NUMBER_SLICES: usize = 100;

/// A sixteenth of the shards in each slice: what is forgotten and still takes room stays under a
/// sixth.
const TURNS: usize = 16;

/// Keys in a shard when the window is full: rebuilding one takes well under a millisecond, and that
/// is the longest that an insertion may take.
const SHARD_KEYS: usize = 8192;
const MIN_SHARDS: usize = 64;
const MAX_SHARDS: usize = 64 * 1024;

#[cfg(test)]
mod tests;
