//! What was last seen at the public port, for people who ask why Microsoft does not get through.
//!
//! A start that fails with AF20021 says only that our answer was not the wanted one. Whether a
//! validation reached us at all, and what it was told, is known here.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::outcome::Outcome;

/// The last events at the edge. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Edge(Arc<Mutex<Events>>);

impl Edge {
    /// Everything seen so far.
    #[expect(clippy::missing_panics_doc, reason = "a poisoned lock is a broken invariant")]
    pub fn seen(&self) -> Events {
        *self.0.lock().expect("no holder of this lock panics")
    }

    /// Notes a request that was answered. Returns whether it is the first good validation.
    pub(super) fn note(&self, outcome: Outcome, validation: bool, at: Timestamp) -> bool {
        if outcome == Outcome::Consented {
            // A person's browser, which says nothing of Microsoft's calls.
            return false;
        }
        let mut events = self.0.lock().expect("no holder of this lock panics");
        let event = Some(Event { at, outcome });
        events.last_request = event;
        events.requests += 1;
        match outcome {
            Outcome::Accepted => events.last_notification = event,
            Outcome::Rejected(_) => events.last_rejection = event,
            Outcome::Consented | Outcome::Validated => {}
        }
        if validation {
            events.last_validation = event;
            events.validation_requests += 1;
        }
        let first = outcome == Outcome::Validated && events.validations == 0;
        events.validations += u64::from(outcome == Outcome::Validated);
        first
    }
}

/// What was seen since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// The last notification that was accepted.
    pub last_notification: Option<Event>,
    /// The last request that was not accepted.
    pub last_rejection: Option<Event>,
    /// The last request of any kind.
    pub last_request: Option<Event>,
    /// The last request that meant to be a validation, whatever it was told. One without the
    /// validation header is only recognised as such when its auth id is right.
    pub last_validation: Option<Event>,
    /// How many requests were answered, or went away before.
    pub requests: u64,
    /// How many of them meant to be a validation, whatever they were told.
    pub validation_requests: u64,
    /// How many validations were answered as they should be.
    pub validations: u64,
}

/// One request at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was answered.
    pub at: Timestamp,
    /// What it was told.
    pub outcome: Outcome,
}
