//! What the status page and the probes say, gathered from the parts. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    content::Tenants,
    deliver::State,
    ledger::Depth,
    subscriptions::{Observation, Seen as Listed},
};

/// Whether a balancer should send requests here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// Announcements are accepted, but Devo or Microsoft is away. Still 200: every replica would
    /// be, and a balancer that took them all out would lose notifications.
    Degraded,
    /// The ledger cannot commit, or the process drains.
    NotReady,
    /// All is well.
    Ready,
}

/// One part and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// `ok`, `degraded` or `failed`.
    pub state: PartState,
    /// What it means and what to do, in words.
    pub detail: String,
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// It works.
    Ok,
    /// Something it needs is away; announcements are still accepted.
    Degraded,
    /// It does not work.
    Failed,
}
