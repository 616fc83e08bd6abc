//! What the slots say about themselves, and what that means for delivery as a whole.

use std::{num::NonZeroUsize, sync::Arc};

use prometheus::IntGauge;
use tokio::sync::watch;

use super::DialError;

/// How delivery stands.
#[derive(Clone, Debug)]
pub enum State {
    /// Connections open, and break before they are confirmed.
    Breaking {
        /// How often in a row, with growing delay in between.
        consecutive: u32,
    },
    /// A connection is open and nothing is wrong.
    Connected,
    /// No connection yet, or none for the moment, and no attempt has failed.
    Connecting,
    /// Batches arrive, but the receiver does not confirm them.
    Unconfirmed {
        /// How often in a row, with growing delay in between.
        consecutive: u32,
    },
    /// The last attempt to connect failed.
    Unreachable {
        /// What went wrong.
        cause: Arc<DialError>,
    },
}

/// Where the slots post their standing. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Board {
    slots: Arc<watch::Sender<Vec<Standing>>>,
    connected: IntGauge,
}

impl Board {
    pub(super) fn new(slots: NonZeroUsize, connected: IntGauge) -> Self {
        let (slots, _) = watch::channel(vec![Standing::default(); slots.get()]);
        Self { slots: Arc::new(slots), connected }
    }

    /// Replaces what a slot said before.
    pub(super) fn post(&self, slot: usize, standing: Standing) {
        self.slots.send_if_modified(|slots| {
            if slots[slot] == standing {
                return false;
            }
            slots[slot] = standing;
            // Under the lock, or two slots could set the gauge in the wrong order.
            self.connected.set(slots.iter().any(|slot| slot.open).into());
            true
        });
    }

    /// The first slot from `start` on that takes batches; `start` when none does.
    pub(super) fn next_accepting(&self, start: usize) -> usize {
        let slots = self.slots.borrow();
        let count = slots.len();
        (start..start + count)
            .map(|slot| slot % count)
            .find(|&slot| slots[slot].accepts)
            .unwrap_or(start)
    }

    /// Whether a slot takes batches now.
    pub(super) fn accepts(&self) -> bool {
        self.slots.borrow().iter().any(|slot| slot.accepts)
    }

    /// Resolves when a slot takes batches. Cancel safe.
    pub(super) async fn accepting(&self) {
        let mut slots = self.slots.subscribe();
        slots
            .wait_for(|slots| slots.iter().any(|slot| slot.accepts))
            .await
            .expect("the sender is borrowed for as long as this waits");
    }

    /// A receiver that does not confirm, or breaks what it accepts, outweighs open connections:
    /// contents that pass through that slot do not get delivered. A slot that cannot connect does
    /// not outweigh one that can.
    pub(super) fn state(&self) -> State {
        let slots = self.slots.borrow();
        let unconfirmed = slots.iter().filter_map(|slot| match slot.trouble {
            Some(Trouble::Unconfirmed { consecutive }) => Some(consecutive),
            _ => None,
        });
        if let Some(consecutive) = unconfirmed.max() {
            return State::Unconfirmed { consecutive };
        }
        let breaking = slots.iter().filter_map(|slot| match slot.trouble {
            Some(Trouble::Breaking { consecutive }) => Some(consecutive),
            _ => None,
        });
        if let Some(consecutive) = breaking.max() {
            return State::Breaking { consecutive };
        }
        if slots.iter().any(|slot| slot.open) {
            return State::Connected;
        }
        let unreachable = slots.iter().find_map(|slot| match &slot.trouble {
            Some(Trouble::Unreachable { cause }) => Some(cause.clone()),
            _ => None,
        });
        match unreachable {
            Some(cause) => State::Unreachable { cause },
            None => State::Connecting,
        }
    }
}

/// What one slot says.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// It has an open connection.
    pub(super) open: bool,
    /// It takes batches, or will as soon as its queue has room.
    pub(super) accepts: bool,
    /// What keeps it from delivering.
    pub(super) trouble: Option<Trouble>,
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        let same_trouble = match (&self.trouble, &other.trouble) {
            (None, None) => true,
            (
                Some(Trouble::Unconfirmed { consecutive }),
                Some(Trouble::Unconfirmed { consecutive: others }),
            ) => consecutive == others,
            (
                Some(Trouble::Breaking { consecutive }),
                Some(Trouble::Breaking { consecutive: others }),
            ) => consecutive == others,
            (
                Some(Trouble::Unreachable { cause }),
                Some(Trouble::Unreachable { cause: others }),
            ) => Arc::ptr_eq(cause, others),
            _ => false,
        };
        self.open == other.open && self.accepts == other.accepts && same_trouble
    }
}

/// What keeps a slot from delivering.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    Breaking { consecutive: u32 },
    Unconfirmed { consecutive: u32 },
    Unreachable { cause: Arc<DialError> },
}
