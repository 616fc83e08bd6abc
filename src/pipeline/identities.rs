//! Which records are delivered or on their way, so that none is sent twice.
//!
//! A key enters the window only when a session that carried its record was confirmed (I5), for a
//! record suppressed because of a copy that never arrived would be lost. Until then it is *in
//! flight*, owned by the [`Flight`] that sent the record first: one attempt at one content. Another
//! flight that meets the key does not send the record but needs the owner, and is good only if what
//! it needs landed. A flight lands by its own sessions alone, so nobody waits in a circle.
//!
//! The keys in flight are bounded in number whatever a blob holds (I7): what exceeds the bound is
//! sent and not remembered, which can only repeat a record, never lose one. Nobody is held up by
//! another for long either: an owner that has not sent everything after [`PATIENCE`] loses its keys
//! to whoever meets them next.
//!
//! A flight that ends in any other way than [`Flight::land`], a panic included, has not landed.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    content::Announcement,
    identity::{Config, Key, Secret, Window},
    ledger::{Ledger, LedgerError, Remembered},
    reason::Reason,
    route::Head,
};

/// The identities known to this process. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Identities(Arc<Shared>);

impl Identities {
    /// Knows nothing before [`Identities::recall`].
    pub(super) fn new(config: &Config, secret: Secret) -> Self {
        let state = State {
            window: Window::new(config, Timestamp::MIN),
            flying: HashMap::default(),
            flights: HashMap::new(),
            next_flight: 0,
            held: 0,
        };
        Self(Arc::new(Shared { config: config.clone(), secret, state: Mutex::new(state) }))
    }

    /// Fills the window with what was delivered before, and returns how much that is.
    ///
    /// Not cancel safe: a window that was not recalled to the end knows only the older keys.
    pub(super) async fn recall(
        &self,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<usize, LedgerError> {
        let Config { remember, remember_max } = &self.0.config;
        let since = SignedDuration::try_from(*remember)
            .ok()
            .and_then(|remember| now.checked_sub(remember).ok())
            .unwrap_or(Timestamp::MIN);
        self.state().window = Window::new(&self.0.config, Timestamp::MIN);
        let mut remembered = ledger.identities(since, remember_max.get()).await?;
        while let Some(page) = remembered.next().await? {
            for row in page {
                self.state().restore(&row, now);
                tokio::task::yield_now().await;
            }
        }
        let mut state = self.state();
        state.window.advance(now);
        Ok(state.window.len())
    }

    /// Tells the time. Returns from when on the window is whole; older keys are of no use to it.
    pub(super) fn advance(&self, now: Timestamp) -> Timestamp {
        self.state().window.advance(now)
    }

    /// Begins an attempt at a content.
    pub(super) fn flight(&self) -> Flight {
        let fate = watch::Sender::new(Fate::Flying);
        let mut state = self.state();
        let mut id = state.next_flight;
        while state.flights.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        state.next_flight = id.wrapping_add(1);
        state.flights.insert(id, Aloft { since: Instant::now(), fate: fate.subscribe() });
        Flight {
            identities: self.clone(),
            id,
            keys: Vec::new(),
            batches: Vec::new(),
            sent: 0,
            needs: HashMap::new(),
            held: 0,
            fate,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder of this lock panics")
    }
}

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is delivered, or on its way: not sent.
    Duplicate,
    /// Not known to be delivered: sent. It has no identity, or its key is kept.
    New,
    /// As [`Verdict::New`], but there is no room to keep its key.
    Unremembered,
}

/// The keys of one attempt at a content.
#[derive(Debug)]
pub(super) struct Flight {
    identities: Identities,
    id: u32,
    /// Those it owns, in the order they were met.
    keys: Vec<Key>,
    /// Batches that brought keys, and how many keys there were after each.
    batches: Vec<(usize, usize)>,
    /// Batches sent.
    sent: usize,
    needs: HashMap<u32, Need>,
    /// Its part of the bound.
    held: usize,
    fate: watch::Sender<Fate>,
}

impl Flight {
    /// Judges the next record of the content.
    pub(super) fn judge(&mut self, content: &Announcement, head: &Head<'_>) -> Verdict {
        let Some(key) = Key::of(&self.identities.0.secret, content, head) else {
            return Verdict::New;
        };
        let mut state = self.identities.0.state.lock().expect("no holder of this lock panics");
        if state.window.contains(key) {
            return Verdict::Duplicate;
        }
        if let Some(&Place { flight, index }) = state.flying.get(&key) {
            if flight == self.id {
                return Verdict::Duplicate;
            }
            if let Some(need) = self.needs.get_mut(&flight) {
                need.widen(index);
                return Verdict::Duplicate;
            }
            if let Some(owner) = state.flights.get(&flight).filter(|owner| owner.is_worth_needing())
            {
                if state.held + NEED > MAX_HELD {
                    return Verdict::Unremembered;
                }
                let fate = owner.fate.clone();
                self.needs.insert(flight, Need { fate, first: index, last: index });
                state.held += NEED;
                self.held += NEED;
                return Verdict::Duplicate;
            }
        }
        if state.held >= MAX_HELD {
            return Verdict::Unremembered;
        }
        let index = u32::try_from(self.keys.len()).expect("there are fewer keys than MAX_HELD");
        state.flying.insert(key, Place { flight: self.id, index });
        state.held += 1;
        self.held += 1;
        self.keys.push(key);
        Verdict::New
    }

    /// Notes that every record judged new since the last time went out as one batch.
    pub(super) fn batch_sent(&mut self) {
        if self.keys.len() > self.batches.last().map_or(0, |(_, keys)| *keys) {
            self.batches.push((self.sent, self.keys.len()));
        }
        self.sent += 1;
    }

    /// Notes that nothing more will be sent: what remains are confirmations, which have deadlines.
    pub(super) fn all_sent(&self) {
        self.fate.send_replace(Fate::Sent);
    }

    /// Ends the flight: what went out with a confirmed batch is remembered and everything else
    /// forgotten. Those who need this flight learn of it, and of the reason if there is one.
    pub(super) fn land(&mut self, confirmed: &[Range<usize>], failed: Option<Reason>) {
        let landed = self.landed(confirmed);
        let mut good = landed.iter().peekable();
        for (chunk, keys) in self.keys.chunks(CHUNK).enumerate() {
            let mut state = self.identities.state();
            for (index, key) in (chunk * CHUNK..).zip(keys) {
                while good.next_if(|range| range.end <= index).is_some() {}
                if good.peek().is_some_and(|range| range.contains(&index)) {
                    state.window.insert(*key);
                }
                state.release(*key, self.id);
            }
        }
        self.identities.state().flights.remove(&self.id);
        let mut index = 0;
        self.keys.retain(|_| {
            index += 1;
            landed.iter().any(|range| range.contains(&(index - 1)))
        });
        self.batches = Vec::new();
        self.fate.send_replace(Fate::Landed {
            keys: landed.into(),
            failed: failed.unwrap_or(Reason::Unconfirmed),
        });
    }

    /// Resolves when every flight met on the way has landed. Cancel safe.
    ///
    /// # Errors
    ///
    /// Why a record that was left to another flight is not known to have arrived.
    pub(super) async fn needs_landed(&mut self) -> Result<(), Reason> {
        let patience = Instant::now() + PATIENCE;
        for Need { fate, first, last } in self.needs.values_mut() {
            let sent = fate.wait_for(|fate| !matches!(fate, Fate::Flying));
            if timeout_at(patience, sent).await.is_err() {
                return Err(Reason::Unconfirmed);
            }
            let landed = fate.wait_for(|fate| matches!(fate, Fate::Landed { .. })).await;
            match landed.as_deref() {
                Ok(Fate::Landed { keys, .. }) if span_within(*first, *last, keys) => {}
                Ok(Fate::Landed { failed, .. }) => return Err(*failed),
                _ => return Err(Reason::Unconfirmed),
            }
        }
        Ok(())
    }

    /// After landing, the keys that did. They stay part of the bound until this flight is dropped.
    pub(super) fn take_keys(&mut self) -> Arc<[Key]> {
        std::mem::take(&mut self.keys).into()
    }

    /// Which keys went out with these batches, as ranges with gaps between them.
    fn landed(&self, confirmed: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut landed: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for (batch, end) in &self.batches {
            if confirmed.iter().any(|range| range.contains(batch)) {
                match landed.last_mut() {
                    Some(last) if last.end == start => last.end = *end,
                    _ => landed.push(start..*end),
                }
            }
            start = *end;
        }
        landed
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !matches!(*self.fate.borrow(), Fate::Landed { .. }) {
            self.land(&[], None);
        }
        // A poisoned lock belongs to a process that is ending.
        if let Ok(mut state) = self.identities.0.state.lock() {
            state.held -= self.held;
        }
    }
}

#[derive(Debug)]
struct Shared {
    config: Config,
    secret: Secret,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Who sent what is not known to have arrived yet.
    flying: HashMap<Key, Place, BuildHasherDefault<Even>>,
    flights: HashMap<u32, Aloft>,
    next_flight: u32,
    /// Keys owned and needs noted by all flights.
    held: usize,
}

impl State {
    fn restore(&mut self, row: &Remembered, now: Timestamp) {
        self.window.advance(row.at.min(now));
        row.keys.iter().for_each(|key| self.window.insert(*key));
    }

    fn release(&mut self, key: Key, flight: u32) {
        // One whose patience was lost belongs to another by now.
        if self.flying.get(&key).is_some_and(|place| place.flight == flight) {
            self.flying.remove(&key);
        }
        // The table does not shrink by itself.
        if self.flying.is_empty() && self.flying.capacity() > CHUNK {
            self.flying = HashMap::default();
        }
    }
}

/// Where a key is in flight.
#[derive(Clone, Copy, Debug)]
struct Place {
    flight: u32,
    /// Its place among the keys of its flight.
    index: u32,
}

/// A flight that others may come to need.
#[derive(Debug)]
struct Aloft {
    since: Instant,
    fate: watch::Receiver<Fate>,
}

impl Aloft {
    fn is_worth_needing(&self) -> bool {
        self.since.elapsed() < PATIENCE || !matches!(*self.fate.borrow(), Fate::Flying)
    }
}

/// What of another flight must land: its keys from the first to the last that was met.
#[derive(Debug)]
struct Need {
    fate: watch::Receiver<Fate>,
    first: u32,
    last: u32,
}

impl Need {
    fn widen(&mut self, index: u32) {
        self.first = self.first.min(index);
        self.last = self.last.max(index);
    }
}

/// Where a flight is.
#[derive(Debug)]
enum Fate {
    /// Records are being sent.
    Flying,
    /// The sessions that carry it are to be confirmed.
    Sent,
    /// It is over.
    Landed {
        /// The keys that arrived, by their place, with gaps between the ranges.
        keys: Box<[Range<usize>]>,
        /// Why the others did not.
        failed: Reason,
    },
}

/// Keys are as even as any hash of them.
#[derive(Debug, Default)]
struct Even(u64);

impl Hasher for Even {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }
}

fn span_within(first: u32, last: u32, landed: &[Range<usize>]) -> bool {
    let (first, last) = (first as usize, last as usize);
    landed.iter().any(|range| range.contains(&first) && range.contains(&last))
}

/// Seven eighths of 2²⁰: as many entries as `flying` takes before it would double once more. With
/// the lists of the flights about 50 MiB at the very most; it is what several sessions hold when
/// each carries its 64 MiB.
const MAX_HELD: usize = 7 << 17;

/// A need weighs as much as a few keys.
const NEED: usize = 4;

/// Many times what fetching a content takes, and still no long delay for others.
const PATIENCE: Duration = Duration::from_secs(300);

/// Keys handled without letting go of the lock: well under a millisecond.
const CHUNK: usize = 1024;

#[cfg(test)]
mod tests;
