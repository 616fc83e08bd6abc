//! Which records are delivered or on their way, so that none is sent twice.
//!
//! A key enters the window as soon as the session that carried its record is confirmed and not
//! before (I5), for a record suppressed because of a copy that never arrived would be lost. Until
//! then it is *in flight*, owned by the [`Flight`] that sent the record first: one attempt at one
//! content. Another flight that meets the key does not send the record but needs the owner, and is
//! good only if what it needs landed. A flight lands by its own sessions alone, so nobody waits in
//! a circle.
//!
//! The keys in flight are bounded in number whatever a blob holds (I7): what exceeds the bound is
//! sent and not remembered, which can only repeat a record, never lose one. Nobody is held up by
//! another for long either: an owner that has not sent everything after [`PATIENCE`] loses its keys
//! to whoever meets them next.
//!
//! A flight that ends in any other way than [`Flight::land`], a panic included, has not landed.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

use crate::{
    content::Announcement,
    identity::{Config, Keys, Secret, Window},
    ledger::{self, Ledger, LedgerError, Remembered},
    moment,
    reason::Reason,
};

mod flight;

pub(super) use flight::{Flight, Verdict};

/// The identities known to this process. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Identities(Arc<Shared>);

impl Identities {
    /// Knows nothing before [`Identities::recall`].
    pub(super) fn new(config: &Config, secret: Secret) -> Self {
        let state = State {
            window: Window::new(config, Timestamp::MIN),
            flights: HashMap::new(),
            next_flight: 0,
            held: 0,
        };
        Self(Arc::new(Shared {
            config: config.clone(),
            // Nobody who remembers little wants to hold more than that in flight.
            max_held: MAX_HELD.min(config.remember_max.get()),
            secret,
            state: Mutex::new(state),
        }))
    }

    /// Fills the window with what was delivered before, and returns how much that is.
    ///
    /// Not cancel safe: a window that was not recalled to the end knows only the older keys.
    pub(super) async fn recall(
        &self,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<usize, LedgerError> {
        let stored = self.stored(ledger, moment::before(now, self.0.config.remember)).await?;
        self.begin(stored.ahead());
        self.learn_all(stored, now).await?;
        let mut state = self.state();
        state.window.advance(now);
        Ok(state.window.len())
    }

    /// Learns what is stored since a moment. What is known already does no harm.
    pub(super) async fn read(
        &self,
        ledger: &Ledger,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.learn_all(self.stored(ledger, since).await?, now).await
    }

    /// Forgets everything, and makes room for so many keys.
    fn begin(&self, keys: usize) {
        let mut state = self.state();
        // In two steps, so that there are never two with all their room.
        state.window = Window::new(&self.0.config, Timestamp::MIN);
        state.window.expect(keys);
    }

    async fn stored(
        &self,
        ledger: &Ledger,
        since: Timestamp,
    ) -> Result<ledger::Identities, LedgerError> {
        ledger.identities(since, self.0.config.remember_max.get()).await
    }

    async fn learn_all(
        &self,
        mut stored: ledger::Identities,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        while let Some(page) = stored.next().await? {
            self.learn(&page, now);
        }
        Ok(())
    }

    /// Remembers what another replica, or an earlier process, delivered.
    pub(super) fn learn(&self, rows: &[Remembered], now: Timestamp) {
        for row in rows {
            // One at a time: a row has some thousand keys at most.
            self.state().restore(row, now);
        }
    }

    /// Tells the time. Returns from when on the window is whole; older keys are of no use to it.
    pub(super) fn advance(&self, now: Timestamp) -> Timestamp {
        self.state().window.advance(now)
    }

    /// What the records of a content are known by.
    pub(super) fn keys<'a>(&'a self, content: &'a Announcement) -> Keys<'a> {
        Keys::new(&self.0.secret, content)
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
        Flight::new(self.clone(), id, fate)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder of this lock panics")
    }
}

#[derive(Debug)]
struct Shared {
    config: Config,
    /// The most keys in flight.
    max_held: usize,
    secret: Secret,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: Window,
    flights: HashMap<u32, Aloft>,
    next_flight: u32,
    /// Keys owned and needs noted by all flights.
    held: usize,
}

impl State {
    fn restore(&mut self, row: &Remembered, now: Timestamp) {
        self.window.advance(row.at.min(now));
        self.window.touch(&row.keys);
        row.keys.iter().for_each(|key| self.window.insert(*key));
    }
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
        keys: Box<[Range<u32>]>,
        /// Why the others did not.
        failed: Reason,
    },
}

/// What four sessions hold when each carries its 64 MiB. With their places in the window and the
/// lists of the flights about 16 MiB at the very most.
const MAX_HELD: usize = 7 << 15;

/// Many times what fetching a content takes, and still no long delay for others.
const PATIENCE: Duration = Duration::from_secs(300);

/// Keys handled without letting go of the lock: well under a millisecond.
const CHUNK: usize = 1024;

#[cfg(test)]
mod tests;
