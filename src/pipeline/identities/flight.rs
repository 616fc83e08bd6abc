//! One attempt at a content, and what it knows of the records in it.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
};

use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{CHUNK, Fate, Identities, PATIENCE, State};
use crate::{
    identity::{Key, Met, Owner},
    ledger::{LeaseKey, Ledger, LedgerError},
    pipeline::tally::Lines,
    reason::Reason,
};

/// The keys of one attempt at a content.
#[derive(Debug)]
pub(in crate::pipeline) struct Flight {
    identities: Identities,
    id: u32,
    /// How many keys it met first, and so owned at one time.
    met: u32,
    /// Those of the batch in the making.
    keys: Vec<Key>,
    /// Batches that are not confirmed, in the order they were sent.
    flying: VecDeque<Load>,
    /// Batches sent.
    sent: usize,
    /// What arrived, as ranges of its keys with gaps between them.
    landed: Vec<Range<u32>>,
    /// Keys that arrived and are not stored yet.
    unstored: Vec<Key>,
    arrived: Lines,
    needs: HashMap<u32, Need>,
    /// Its part of the bound.
    held: usize,
    fate: watch::Sender<Fate>,
}

impl Flight {
    pub(super) fn new(identities: Identities, id: u32, fate: watch::Sender<Fate>) -> Self {
        Self {
            identities,
            id,
            met: 0,
            keys: Vec::new(),
            flying: VecDeque::new(),
            sent: 0,
            landed: Vec::new(),
            unstored: Vec::new(),
            arrived: Lines::default(),
            needs: HashMap::new(),
            held: 0,
            fate,
        }
    }

    /// Judges records, one after the other.
    pub(in crate::pipeline) fn judge(&mut self, keys: &[Key]) -> Vec<Verdict> {
        let identities = self.identities.clone();
        let mut verdicts = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            let mut state = identities.state();
            state.window.touch(keys);
            verdicts.extend(keys.iter().map(|key| self.judge_one(*key, &mut state)));
        }
        verdicts
    }

    fn judge_one(&mut self, key: Key, state: &mut State) -> Verdict {
        let max_held = self.identities.0.max_held;
        let room = state.held < max_held && self.met < u32::MAX;
        let this = Owner { flight: self.id, index: self.met };
        match state.window.meet(key, room.then_some(this)) {
            Met::Remembered => return Verdict::Duplicate,
            Met::Flying(owner) if owner.flight == self.id => return Verdict::Duplicate,
            Met::Flying(owner) => {
                if let Some(need) = self.needs.get_mut(&owner.flight) {
                    need.widen(owner.index);
                    return Verdict::Duplicate;
                }
                let aloft = state.flights.get(&owner.flight);
                if let Some(aloft) = aloft.filter(|aloft| aloft.is_worth_needing()) {
                    if state.held + NEED > max_held {
                        return Verdict::Unremembered;
                    }
                    let fate = aloft.fate.clone();
                    let need = Need { fate, first: owner.index, last: owner.index };
                    self.needs.insert(owner.flight, need);
                    state.held += NEED;
                    self.held += NEED;
                    return Verdict::Duplicate;
                }
                if room {
                    *owner = this;
                }
            }
            Met::Absent => {}
        }
        if !room {
            return Verdict::Unremembered;
        }
        state.held += 1;
        self.held += 1;
        self.met += 1;
        self.keys.push(key);
        Verdict::New
    }

    /// Notes that every record judged new since the last time went out as one batch.
    pub(in crate::pipeline) fn batch_sent(&mut self, lines: Lines) {
        let keys = self.keys.as_slice().into();
        self.keys.clear();
        self.flying.push_back(Load { batch: self.sent, end: self.met, keys, lines });
        self.sent += 1;
    }

    /// Remembers what went out with the next batch, if it is confirmed by now.
    pub(in crate::pipeline) fn land_next(&mut self, confirmed: &[Range<usize>]) -> bool {
        let arrived = |load: &mut Load| confirmed.iter().any(|range| range.contains(&load.batch));
        // Sessions are confirmed about in the order they were begun.
        let next = self.flying.pop_front_if(arrived);
        let landed = next.is_some();
        next.into_iter().for_each(|load| self.land_load(load));
        landed
    }

    /// Notes that nothing more will be sent: what remains are confirmations, which have deadlines.
    pub(in crate::pipeline) fn all_sent(&self) {
        self.fate.send_replace(Fate::Sent);
    }

    /// Ends the flight: what went out with a confirmed batch is remembered and everything else
    /// forgotten. Those who need this flight learn of it, and of the reason if there is one.
    pub(in crate::pipeline) fn land(&mut self, confirmed: &[Range<usize>], failed: Option<Reason>) {
        for load in std::mem::take(&mut self.flying) {
            if confirmed.iter().any(|range| range.contains(&load.batch)) {
                self.land_load(load);
            } else {
                self.release(&load.keys);
            }
        }
        let unsent = std::mem::take(&mut self.keys);
        self.release(&unsent);
        self.identities.state().flights.remove(&self.id);
        self.fate.send_replace(Fate::Landed {
            keys: std::mem::take(&mut self.landed).into(),
            failed: failed.unwrap_or(Reason::Unconfirmed),
        });
    }

    /// Resolves when every flight met on the way has landed. Cancel safe.
    ///
    /// # Errors
    ///
    /// Why a record that was left to another flight is not known to have arrived.
    pub(in crate::pipeline) async fn needs_landed(&mut self) -> Result<(), Reason> {
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

    /// What arrived by now, also of a content that is not delivered as a whole.
    pub(in crate::pipeline) fn arrived(&self) -> &Lines {
        &self.arrived
    }

    /// The keys that arrived and that nobody stored yet. They stay part of the bound.
    pub(in crate::pipeline) fn unstored(&self) -> &[Key] {
        &self.unstored
    }

    /// Has the ledger keep what is not stored, before the content is settled.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; it is then still to be stored.
    pub(in crate::pipeline) async fn store(
        &mut self,
        ledger: &Ledger,
        lease: LeaseKey,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        if self.unstored.is_empty() {
            return Ok(());
        }
        ledger.remember(lease, self.unstored().into(), now).await?;
        self.let_go(self.unstored.len());
        self.unstored = Vec::new();
        Ok(())
    }

    /// Loads land in the order they were sent.
    fn land_load(&mut self, load: Load) {
        for keys in load.keys.chunks(CHUNK) {
            let mut state = self.identities.state();
            state.window.touch(keys);
            keys.iter().for_each(|key| state.window.insert(*key));
        }
        let begin = load.end - u32::try_from(load.keys.len()).expect("they are some of its keys");
        match self.landed.last_mut() {
            Some(last) if last.end == begin => last.end = load.end,
            _ => self.landed.push(begin..load.end),
        }
        self.unstored.extend(load.keys);
        self.arrived += load.lines;
    }

    fn release(&mut self, keys: &[Key]) {
        for keys in keys.chunks(CHUNK) {
            let mut state = self.identities.state();
            keys.iter().for_each(|key| state.window.release(*key, self.id));
        }
        self.let_go(keys.len());
    }

    fn let_go(&mut self, held: usize) {
        self.held -= held;
        self.identities.state().held -= held;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // A poisoned lock belongs to a process that is ending, and this may be on its way out.
        if self.identities.0.state.is_poisoned() {
            return;
        }
        if !matches!(*self.fate.borrow(), Fate::Landed { .. }) {
            self.land(&[], None);
        }
        self.identities.state().held -= self.held;
    }
}

/// The keys that went out with one batch.
#[derive(Debug)]
struct Load {
    /// Which batch of the flight.
    batch: usize,
    /// How many keys the flight had met when it was sent.
    end: u32,
    keys: Box<[Key]>,
    lines: Lines,
}

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Verdict {
    /// It is delivered, or on its way: not sent.
    Duplicate,
    /// Not known to be delivered: sent.
    New,
    /// As [`Verdict::New`], but there is no room to keep its key.
    Unremembered,
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

fn span_within(first: u32, last: u32, landed: &[Range<u32>]) -> bool {
    landed.iter().any(|range| range.contains(&first) && range.contains(&last))
}

/// A need weighs as much as a few keys.
const NEED: usize = 4;
