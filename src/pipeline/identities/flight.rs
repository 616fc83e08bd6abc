//! One attempt at a content, and what it knows of the records in it.

use std::{collections::HashMap, ops::Range, sync::Arc};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{CHUNK, Fate, Identities, PATIENCE, Place};
use crate::{content::Announcement, identity::Key, reason::Reason, route::Head};

/// The keys of one attempt at a content.
#[derive(Debug)]
pub(in crate::pipeline) struct Flight {
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
    pub(super) fn new(identities: Identities, id: u32, fate: watch::Sender<Fate>) -> Self {
        Self {
            identities,
            id,
            keys: Vec::new(),
            batches: Vec::new(),
            sent: 0,
            needs: HashMap::new(),
            held: 0,
            fate,
        }
    }

    /// Judges a record of the content, by its place, its head and its bytes.
    pub(in crate::pipeline) fn judge(
        &mut self,
        content: &Announcement,
        index: u64,
        head: &Head<'_>,
        record: &[u8],
    ) -> Verdict {
        let secret = &self.identities.0.secret;
        let key = Key::of(secret, content, head)
            .unwrap_or_else(|| Key::of_place(secret, content, index, record));
        let mut state = self.identities.state();
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
                if state.held + NEED > self.identities.0.max_held {
                    return Verdict::Unremembered;
                }
                let fate = owner.fate.clone();
                self.needs.insert(flight, Need { fate, first: index, last: index });
                state.held += NEED;
                self.held += NEED;
                return Verdict::Duplicate;
            }
        }
        if state.held >= self.identities.0.max_held {
            return Verdict::Unremembered;
        }
        let index = u32::try_from(self.keys.len()).expect("there are fewer keys than may be held");
        state.flying.insert(key, Place { flight: self.id, index });
        state.held += 1;
        self.held += 1;
        self.keys.push(key);
        Verdict::New
    }

    /// Notes that every record judged new since the last time went out as one batch.
    pub(in crate::pipeline) fn batch_sent(&mut self) {
        if self.keys.len() > self.batches.last().map_or(0, |(_, keys)| *keys) {
            self.batches.push((self.sent, self.keys.len()));
        }
        self.sent += 1;
    }

    /// Notes that nothing more will be sent: what remains are confirmations, which have deadlines.
    pub(in crate::pipeline) fn all_sent(&self) {
        self.fate.send_replace(Fate::Sent);
    }

    /// Ends the flight: what went out with a confirmed batch is remembered and everything else
    /// forgotten. Those who need this flight learn of it, and of the reason if there is one.
    pub(in crate::pipeline) fn land(&mut self, confirmed: &[Range<usize>], failed: Option<Reason>) {
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

    /// After landing, the keys that did. They stay part of the bound until this flight is dropped.
    pub(in crate::pipeline) fn take_keys(&mut self) -> Arc<[Key]> {
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

fn span_within(first: u32, last: u32, landed: &[Range<usize>]) -> bool {
    let (first, last) = (first as usize, last as usize);
    landed.iter().any(|range| range.contains(&first) && range.contains(&last))
}

/// A need weighs as much as a few keys.
const NEED: usize = 4;
