//! What a claim gives: content to work on, and the key it is settled by.

use jiff::Timestamp;

use crate::{
    content::{Announcement, Via},
    reason::Reason,
};

/// The right to work on content until the lease runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is renewed and settled by.
    pub key: LeaseKey,
    /// The content.
    pub announcement: Announcement,
    /// How it was announced first.
    pub via: Via,
    /// When it was recorded.
    pub announced: Timestamp,
    /// Failed attempts before this one.
    pub attempts: u32,
    /// Why the last of them failed.
    pub last_reason: Option<Reason>,
    /// How many of them in a row, lost leases aside, found a body that is no JSON.
    pub undecodable: u32,
    /// Whether the lease before this one ran out, which nobody has counted yet. The reason alone
    /// does not tell: it stays while content is postponed or released.
    pub lost: bool,
}

/// Names one lease of one content, never another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseKey {
    pub(super) content: i64,
    pub(super) token: i64,
}

impl LeaseKey {
    /// Whether nobody had the content before.
    pub(super) const fn is_first(self) -> bool {
        self.token == 1
    }
}
