//! Which duties are this process's now, among the replicas that share a ledger.
//!
//! Sweeping a tenant, keeping its subscriptions and pruning are done by exactly one replica at a
//! time. [`Duties`] is asked what is ours; the [`Keeper`] gives signs of life, takes its part of the
//! duties and gives back what is too much ([`plan()`]). A process that shares its ledger with nobody
//! takes everything at once, and keeps it until it ends.
//!
//! - A duty ends by itself before another replica may take it: signs of life count from before they
//!   were given, by a clock that only runs forward, and others wait for longer ([`Sight`]). Whoever
//!   works under a [`Hold`] stops when it is [lost](Hold::lost).
//! - What is written under a duty names its [`Fence`], and is refused when another replica has it
//!   meanwhile.
//!
//! The keeper also divides what replicas share of Microsoft's patience: each keeps to its part of
//! every tenant's budget, and a pause that one was told to make is made by all.
//!
//! If the process dies, the others notice by its silence, and take its duties within a term and a
//! few signs of life.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

use crate::ledger::{Duty, Fence};

mod keeper;
mod pauses;
mod plan;
mod roll;
mod sight;
mod times;

pub use keeper::{About, Keeper, Parts};
pub use plan::{Board, Plan, plan};
pub use roll::{Entry, State, roll};
pub use sight::Sight;
pub use times::Times;

/// The duties of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct Duties(Arc<Inner>);

impl Duties {
    /// Every duty, for ever and unproven: for who works without a service beside it.
    pub fn all() -> Self {
        Self(Arc::new(Inner::new(true)))
    }

    /// None yet, and who keeps them.
    pub fn open(parts: Parts, about: About, times: Times) -> (Self, Keeper) {
        let duties = Self(Arc::new(Inner::new(false)));
        if parts.ledger.is_shared() {
            // Nothing is ours before the first sign of life.
            duties.0.until.send_replace(Some(Instant::now()));
        }
        let keeper = Keeper::new(duties.clone(), parts, about, times);
        (duties, keeper)
    }

    /// Waits until a duty is ours. Cancel safe.
    pub async fn hold(&self, duty: Duty) -> Hold {
        let mut changed = self.0.changed.subscribe();
        loop {
            if let Some(hold) = self.held(duty) {
                return hold;
            }
            self.0.asked.notify_one();
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// A duty, if it is ours now.
    pub fn held(&self, duty: Duty) -> Option<Hold> {
        if self.0.all {
            return Some(Hold { fence: None, ended: None });
        }
        if self.0.is_over() {
            return None;
        }
        let held = self.0.held();
        let held = held.get(&duty)?;
        Some(Hold { fence: Some(held.fence), ended: Some(held.ended.subscribe()) })
    }

    /// Waits until it is known which duties are ours, the first time. Cancel safe.
    pub async fn known(&self) {
        if !self.0.all && self.0.known.subscribe().wait_for(|known| *known).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends every duty, and whatever `stop` does, when signs of life have not been given for too
    /// long, whatever the keeper waits for.
    async fn end_in_time(&self, stop: impl Fn()) {
        let mut until = self.0.until.subscribe();
        loop {
            let at = *until.borrow_and_update();
            let passed = async {
                if let Some(at) = at {
                    sleep_until(at).await;
                    // Unless one was given at that very moment.
                    if self.0.is_over() {
                        if !self.ours().is_empty() {
                            tracing::warn!(
                                "no sign of life for too long, duties are left to others"
                            );
                            self.end_all();
                        }
                        stop();
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = passed => {}
                changed = until.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Makes a duty ours.
    fn begin(&self, fence: Fence) {
        let mut held = self.0.held();
        if held.get(&fence.duty()).is_none_or(|held| held.fence != fence) {
            held.insert(fence.duty(), Held { fence, ended: watch::Sender::new(false) });
        }
    }

    /// Ends duties and waits until nobody works under them any more.
    async fn end(&self, duties: impl Iterator<Item = Duty>) {
        let ended: Vec<_> = {
            let mut held = self.0.held();
            duties.filter_map(|duty| held.remove(&duty)).collect()
        };
        for held in &ended {
            held.ended.send_replace(true);
        }
        let closed = join_all(ended.iter().map(|held| held.ended.closed()));
        // What holds on for longer is refused by the ledger.
        timeout(END_WITHIN, closed).await.ok();
    }

    fn end_all(&self) {
        for held in std::mem::take(&mut *self.0.held()).into_values() {
            held.ended.send_replace(true);
        }
    }

    /// Those that are ours, with their proofs.
    fn ours(&self) -> BTreeMap<Duty, Fence> {
        self.0.held().iter().map(|(duty, held)| (*duty, held.fence)).collect()
    }

    /// Wakes everybody who waits for a duty.
    fn tell(&self) {
        self.0.known.send_replace(true);
        self.0.changed.send_modify(|changes| *changes += 1);
    }
}

/// The right to do something that exactly one replica does, until it is lost.
#[derive(Debug)]
pub struct Hold {
    fence: Option<Fence>,
    ended: Option<watch::Receiver<bool>>,
}

impl Hold {
    /// What is written under the duty is proven with; none where nobody else could have it.
    pub fn fence(&self) -> Option<Fence> {
        self.fence
    }

    /// Resolves when the duty is not ours any more. Cancel safe.
    pub async fn lost(&self) {
        match &self.ended {
            None => std::future::pending().await,
            // If nobody can end it any more, it has ended.
            Some(ended) => drop(ended.clone().wait_for(|ended| *ended).await),
        }
    }
}

#[derive(Debug)]
struct Inner {
    all: bool,
    held: Mutex<BTreeMap<Duty, Held>>,
    /// Counts what those who wait for a duty wait for.
    changed: watch::Sender<u64>,
    known: watch::Sender<bool>,
    /// Wakes the keeper: somebody waits for a duty.
    asked: Notify,
    /// Until when duties are ours without another sign of life; none: nobody else can take them.
    until: watch::Sender<Option<Instant>>,
}

impl Inner {
    fn new(all: bool) -> Self {
        Self {
            all,
            held: Mutex::default(),
            changed: watch::Sender::new(0),
            known: watch::Sender::new(false),
            asked: Notify::new(),
            until: watch::Sender::new(None),
        }
    }

    /// Whether no sign of life was given for too long.
    fn is_over(&self) -> bool {
        self.until.borrow().is_some_and(|until| until <= Instant::now())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Duty, Held>> {
        self.held.lock().expect("no holder of this lock panics")
    }
}

#[derive(Debug)]
struct Held {
    fence: Fence,
    ended: watch::Sender<bool>,
}

/// What is dropped takes moments to be.
const END_WITHIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
