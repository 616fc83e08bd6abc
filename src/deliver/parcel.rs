//! One content's way through delivery: its batches, and the receipt for all of them.
//!
//! Every queued batch holds a [`Ticket`]. A ticket that goes away without having been confirmed
//! fails its parcel, so that a loop that ends, a task that dies and a queue that is dropped all
//! mean "not delivered" (I5) and no receipt waits for ever.

use std::io::Write as _;

use bytes::Bytes;
use flate2::write::GzEncoder;
use tokio::sync::{mpsc, watch};

use super::Compression;
use crate::reason::Reason;

/// The batches of one content. They arrive in the order in which they were sent.
#[derive(Debug)]
pub struct Parcel {
    queue: mpsc::Sender<Item>,
    progress: watch::Sender<Progress>,
    seen: watch::Receiver<Progress>,
    compression: Compression,
}

impl Parcel {
    pub(super) fn new(queue: mpsc::Sender<Item>, compression: Compression) -> Self {
        let (progress, seen) = watch::channel(Progress::default());
        Self { queue, progress, seen, compression }
    }

    /// Queues a batch, waiting for room. Returns before the batch is written.
    ///
    /// Cancel safe in that a cancelled batch is not sent at all.
    ///
    /// # Errors
    ///
    /// The reason why an earlier batch of this parcel is lost, or [`Reason::Unreachable`] when
    /// the sessions have ended. The parcel is of no use then.
    pub async fn send(&mut self, batch: Batch) -> Result<(), Reason> {
        if batch.bytes.is_empty() {
            return Ok(());
        }
        let bytes = match self.compression {
            Compression::Gzip => gzip(&batch.bytes).await,
            Compression::None => batch.bytes,
        };
        tokio::select! {
            biased;
            reason = failure(&mut self.seen) => Err(reason),
            room = self.queue.reserve() => {
                let Ok(room) = room else {
                    return Err(Reason::Unreachable);
                };
                room.send(Item {
                    lines: batch.lines,
                    bytes,
                    ticket: Ticket::new(&self.progress),
                });
                Ok(())
            }
        }
    }

    /// Says that no batch will follow.
    pub fn seal(self) -> Receipt {
        Receipt { seen: self.seen }
    }
}

/// What becomes of a sealed parcel.
#[derive(Debug)]
#[must_use = "sent is not delivered; the receipt says when it is"]
pub struct Receipt {
    seen: watch::Receiver<Progress>,
}

impl Receipt {
    /// Resolves with success when every session that carried a batch of the parcel is confirmed;
    /// at once if there was no batch. Cancel safe, though the receipt is gone then.
    ///
    /// # Errors
    ///
    /// The first reason for which a batch is not known to have arrived.
    pub async fn confirmed(mut self) -> Result<(), Reason> {
        let settled =
            self.seen.wait_for(|progress| progress.open == 0 || progress.failed.is_some()).await;
        match settled {
            Ok(progress) => progress.failed.map_or(Ok(()), Err),
            // Unreachable in practice: a ticket resolves before it lets go of the channel.
            Err(_gone) => Err(Reason::ConnectionLost),
        }
    }
}

/// Whole syslog lines that are written in one go, about 256 KiB.
#[derive(Clone, Debug)]
pub struct Batch {
    /// How many lines there are, for the log.
    pub lines: u64,
    /// The lines, each with its line end.
    pub bytes: Bytes,
}

/// A batch on its way to a connection, encoded.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) lines: u64,
    pub(super) bytes: Bytes,
    pub(super) ticket: Ticket,
}

/// A batch that has neither been confirmed nor lost. Dropped, it is lost.
#[derive(Debug)]
pub(super) struct Ticket {
    progress: watch::Sender<Progress>,
    verdict: Result<(), Reason>,
}

impl Ticket {
    fn new(progress: &watch::Sender<Progress>) -> Self {
        progress.send_modify(|progress| progress.open += 1);
        Self { progress: progress.clone(), verdict: Err(Reason::ConnectionLost) }
    }

    /// Says what became of the batch.
    pub(super) fn settle(mut self, verdict: Result<(), Reason>) {
        self.verdict = verdict;
    }

    /// Whether another batch of the parcel is lost, so that all of it will be sent again.
    pub(super) fn is_void(&self) -> bool {
        self.progress.borrow().failed.is_some()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let verdict = self.verdict;
        self.progress.send_modify(|progress| {
            progress.open -= 1;
            progress.failed = progress.failed.or(verdict.err());
        });
    }
}

/// Where a parcel stands.
#[derive(Debug, Default)]
struct Progress {
    /// Batches that are queued, or written and not confirmed.
    open: usize,
    /// The first reason for which a batch is lost.
    failed: Option<Reason>,
}

/// Resolves with the reason once a batch is lost. Cancel safe.
async fn failure(seen: &mut watch::Receiver<Progress>) -> Reason {
    let failed = seen.wait_for(|progress| progress.failed.is_some()).await;
    failed.ok().and_then(|progress| progress.failed).unwrap_or(Reason::ConnectionLost)
}

/// One complete gzip member. Gives way to other tasks in between, for a whole batch takes longer
/// than a task should hold its thread.
async fn gzip(plain: &[u8]) -> Bytes {
    // Log lines are so repetitive that higher levels gain little for several times the work.
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for piece in plain.chunks(PIECE) {
        encoder.write_all(piece).expect("a Vec takes every byte");
        tokio::task::yield_now().await;
    }
    encoder.finish().expect("a Vec takes every byte").into()
}

/// A few hundred microseconds of compression.
const PIECE: usize = 32 * 1024;
