//! A content about to be published, and what can be odd about it; and one that was.

use jiff::Timestamp;

use super::{Announcing, Blob, Fault};
use crate::{content::ContentId, simulator::Feed};

/// A content about to be published.
#[derive(Clone, Debug)]
pub struct Publication {
    /// What it holds.
    pub blob: Blob,
    /// When it was created; `None` is now. Real contents often appear late.
    pub created: Option<Timestamp>,
    /// Whether the listing has it.
    pub listed: bool,
    /// How it is notified; `None` as [`Microsoft::announce`](super::Microsoft::announce) says.
    pub announcing: Option<Announcing>,
    /// Whether it is compressed for those who accept it; `None` as the configuration says.
    pub gzip: Option<bool>,
    /// A fault of its own and how often it is met, in place before anybody can know the id.
    pub fault: Option<(Fault, u32)>,
}

impl Publication {
    /// Nothing odd about it.
    pub fn of(blob: Blob) -> Self {
        Self { blob, created: None, listed: true, announcing: None, gzip: None, fault: None }
    }
}

/// A content that was published, as Microsoft's side holds it.
#[derive(Clone, Debug)]
pub struct Published {
    /// Where.
    pub feed: Feed,
    /// Its id as listed.
    pub id: ContentId,
    /// When it was created.
    pub created: Timestamp,
    /// Whether the listing has it.
    pub listed: bool,
    /// What it holds.
    pub blob: Blob,
}
