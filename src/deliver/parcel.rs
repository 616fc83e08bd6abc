//! One content's way through delivery: its batches, and the receipt for all of them.
//!
//! Every queued batch holds a [`Ticket`]. A ticket that goes away without having been confirmed
//! fails its parcel, so that a loop that ends, a task that dies and a queue that is dropped all
//! mean "not delivered" (I5) and no receipt waits for ever.

use std::ops::Range;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::press::Press;
use crate::reason::Reason;

/// The batches of one content. They arrive in the order in which they were sent.
#[derive(Debug)]
pub struct Parcel {
    queue: mpsc::Sender<Item>,
    progress: watch::Sender<Progress>,
    seen: watch::Receiver<Progress>,
    /// None: batches are sent as they are.
    press: Option<Press>,
}

impl Parcel {
    pub(super) fn new(queue: mpsc::Sender<Item>, press: Option<Press>) -> Self {
        let (progress, seen) = watch::channel(Progress::default());
        Self { queue, progress, seen, press }
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
        let carried = u64::try_from(batch.bytes.len()).unwrap_or(u64::MAX);
        let bytes = match &self.press {
            Some(press) => press.member(batch.bytes).await,
            None => batch.bytes,
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
                    carried,
                    bytes,
                    ticket: Ticket::new(&self.progress),
                });
                Ok(())
            }
        }
    }

    /// The batches that are confirmed by now, counted from 0 in the order they were sent.
    pub fn confirmed(&self) -> Vec<Range<usize>> {
        self.seen.borrow().confirmed.clone()
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

    /// Resolves when every session that carried a batch of the parcel has ended, and says what of
    /// it arrived. Cancel safe, though the receipt is gone then.
    pub async fn settled(mut self) -> Landing {
        match self.seen.wait_for(|progress| progress.open == 0).await {
            Ok(progress) => {
                Landing { failed: progress.failed, confirmed: progress.confirmed.clone() }
            }
            // Unreachable in practice, as above.
            Err(_gone) => Landing { failed: Some(Reason::ConnectionLost), confirmed: Vec::new() },
        }
    }
}

/// What became of a parcel, batch by batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landing {
    /// The first reason for which a batch is not known to have arrived; none when all did.
    pub failed: Option<Reason>,
    /// The batches that are confirmed, counted from 0 in the order they were sent.
    pub confirmed: Vec<Range<usize>>,
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
    /// Bytes of lines, before any compression.
    pub(super) carried: u64,
    pub(super) bytes: Bytes,
    pub(super) ticket: Ticket,
}

/// A batch that has neither been confirmed nor lost. Dropped, it is lost.
#[derive(Debug)]
pub(super) struct Ticket {
    progress: watch::Sender<Progress>,
    batch: usize,
    verdict: Result<(), Reason>,
}

impl Ticket {
    fn new(progress: &watch::Sender<Progress>) -> Self {
        let mut batch = 0;
        progress.send_modify(|progress| {
            batch = progress.sent;
            progress.sent += 1;
            progress.open += 1;
        });
        Self { progress: progress.clone(), batch, verdict: Err(Reason::ConnectionLost) }
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
        let (batch, verdict) = (self.batch, self.verdict);
        self.progress.send_modify(|progress| {
            progress.open -= 1;
            match verdict {
                Ok(()) => progress.confirm(batch),
                Err(reason) => progress.failed = progress.failed.or(Some(reason)),
            }
        });
    }
}

/// Where a parcel stands.
#[derive(Debug, Default)]
struct Progress {
    /// Batches so far.
    sent: usize,
    /// Batches that are queued, or written and not confirmed.
    open: usize,
    /// The first reason for which a batch is lost.
    failed: Option<Reason>,
    /// Batches that are confirmed. A session carries neighbours, so these are few ranges.
    confirmed: Vec<Range<usize>>,
}

impl Progress {
    fn confirm(&mut self, batch: usize) {
        let at = self.confirmed.partition_point(|range| range.end < batch);
        match self.confirmed.get_mut(at) {
            Some(range) if range.end == batch => range.end += 1,
            Some(range) if range.start == batch + 1 => range.start = batch,
            _ => self.confirmed.insert(at, batch..batch + 1),
        }
        if let [left, right] = self.confirmed.get_mut(at..at + 2).unwrap_or_default()
            && left.end == right.start
        {
            left.end = right.end;
            self.confirmed.remove(at + 1);
        }
    }
}

/// Resolves with the reason once a batch is lost. Cancel safe.
async fn failure(seen: &mut watch::Receiver<Progress>) -> Reason {
    let failed = seen.wait_for(|progress| progress.failed.is_some()).await;
    failed.ok().and_then(|progress| progress.failed).unwrap_or(Reason::ConnectionLost)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn confirmed_batches_are_kept_as_ranges(
            order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
            confirmed in 0..13_usize,
        ) {
            let mut progress = Progress::default();
            let mut naive = [false; 12];
            for &batch in &order[..confirmed] {
                progress.confirm(batch);
                naive[batch] = true;
            }
            let within: Vec<_> = progress.confirmed.iter().cloned().flatten().collect();
            let expected: Vec<_> = (0..12).filter(|&batch| naive[batch]).collect();
            prop_assert_eq!(within, expected);
            prop_assert!(progress.confirmed.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
