//! One lease, from Microsoft to a session with Devo, streaming.
//!
//! Chunks come in, records are cut, routed and framed into a batch, and what of a full batch is not
//! known is handed to the session. Nothing here holds a blob (I7): the splitter carries at most one
//! record, the batch is bounded, and a session that is slow to take the batch slows the download.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tracing::debug;

use crate::{
    clock::Clock,
    deliver::{Outlet, Parcel, Receipt},
    frame::Framer,
    ledger::{Lease, LeaseKey, Ledger},
    microsoft::{ApiError, Client, Disposition},
    reason::Reason,
    route::{Head, Routes, Tables},
    shutdown::Shutdown,
    split::{Piece, SplitError, Splitter},
};

use super::{
    buffers::Buffers,
    draft::Draft,
    identities::{Flight, Identities},
    tally::Tally,
    verdict::Failure,
};

/// What every step needs. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) client: Client,
    pub(super) outlet: Outlet,
    pub(super) identities: Identities,
    pub(super) ledger: Ledger,
    pub(super) tables: Arc<Tables>,
    pub(super) framer: Framer,
    pub(super) buffers: Buffers,
    pub(super) clock: Clock,
    pub(super) max_record: usize,
    /// Cuts every step where it is.
    pub(super) cut: Shutdown,
}

/// What a step sent; what remains is the receiver's word.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) receipt: Receipt,
    pub(super) flight: Flight,
    pub(super) tally: Tally,
    /// Why it is not everything, if it is not.
    pub(super) failed: Option<Failure>,
}

impl Step {
    /// Fetches the content and sends every record of it that is not known.
    pub(super) async fn run(self, lease: &Lease) -> Sent {
        let mut load =
            Load::new(self.outlet.parcel(), self.identities.flight(), self.buffers.clone());
        let cut = self.cut.clone();
        let stream = self.stream(lease, &mut load);
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(STEP_LIMIT, stream) => {
                outcome.unwrap_or(Err(Failure::Retry(Reason::Timeout)))
            }
            () = cut.requested() => Err(Failure::Cut),
        };
        load.flight.all_sent();
        // What was sent before a failure is waited for all the same: it is not sent again if it
        // arrives.
        Sent {
            receipt: load.parcel.seal(),
            flight: load.flight,
            tally: load.tally,
            failed: outcome.err(),
        }
    }

    async fn stream(mut self, lease: &Lease, load: &mut Load) -> Result<(), Failure> {
        let content = &lease.announcement;
        self.learn(lease).await?;
        let mut blob = self.client.blob(content.tenant, &content.id).await.map_err(failure)?;
        let mut splitter = Splitter::new(self.max_record);
        let keys = self.identities.keys(content);
        let mut routes = Routes::new(self.tables, content.content_type);
        while let Some(chunk) = blob.chunk().await.map_err(failure)? {
            let now = self.clock.now();
            let mut rest = &chunk[..];
            while let Some(piece) = splitter.next(&mut rest).map_err(unsplit)? {
                match piece {
                    Piece::Record { index, bytes: record, bare } => {
                        let head = Head::read(record);
                        if bare && is_error_answer(record, &head) {
                            return Err(Failure::Retry(Reason::BadAnswer));
                        }
                        let key = keys.of(&head).unwrap_or_else(|| keys.of_place(index, record));
                        let table = routes.table(head.workload.as_deref());
                        let framer = &mut self.framer;
                        load.draft
                            .add(key, table, |out| framer.frame(out, now, table.as_str(), record));
                    }
                    Piece::Dead { index, reason } => {
                        load.tally.dead(index, reason).map_err(Failure::Final)?;
                    }
                }
                if load.draft.is_full() {
                    load.send().await?;
                    load.note_confirmed(&self.ledger, lease.key, now).await;
                }
            }
        }
        splitter.finish().map_err(unsplit)?;
        load.send().await
    }

    /// Learns what another replica sent of the content before us, which the usual way tells within
    /// seconds only.
    async fn learn(&self, lease: &Lease) -> Result<(), Failure> {
        match self.ledger.identities_of(lease.key).await {
            Ok(rows) => self.identities.learn(&rows, self.clock.now()),
            Err(error) => {
                debug!(error = %error, "what was sent of a content before cannot be read");
                return Err(Failure::Cut);
            }
        }
        Ok(())
    }
}

/// What is on its way.
struct Load {
    parcel: Parcel,
    flight: Flight,
    draft: Draft,
    tally: Tally,
    /// With how many keys the ledger is asked to store them.
    store_at: usize,
}

impl Load {
    fn new(parcel: Parcel, flight: Flight, buffers: Buffers) -> Self {
        let (draft, tally) = (Draft::new(buffers), Tally::default());
        Self { parcel, flight, draft, tally, store_at: STORED_AT_ONCE }
    }

    async fn send(&mut self) -> Result<(), Failure> {
        if let Some((batch, lines)) = self.draft.judge(&mut self.flight, &mut self.tally) {
            self.parcel.send(batch).await.map_err(Failure::Retry)?;
            self.flight.batch_sent(lines);
        }
        Ok(())
    }

    /// Lets what is confirmed land while the rest is on its way: the keys in flight are those of
    /// the sessions that are open, however large the blob (I7).
    async fn note_confirmed(&mut self, ledger: &Ledger, lease: LeaseKey, now: Timestamp) {
        let confirmed = self.parcel.confirmed();
        while self.flight.land_next(&confirmed) {
            if self.flight.unstored().len() >= self.store_at {
                // What cannot be stored now is stored with more, at the latest with the settlement.
                self.store_at = match self.flight.store(ledger, lease, now).await {
                    Ok(()) => STORED_AT_ONCE,
                    Err(_) => self.flight.unstored().len() + STORED_AT_ONCE,
                };
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn failure(error: ApiError) -> Failure {
    match error.disposition() {
        Disposition::Final(reason) => Failure::Final(reason),
        Disposition::Retry(reason) => Failure::Retry(reason),
        Disposition::Unasked(reason) => Failure::Unasked(reason),
        Disposition::Throttled { until } => {
            Failure::Throttled(until.saturating_duration_since(tokio::time::Instant::now()))
        }
    }
}

/// Whether this is how the API says that it failed, under a status that says it did not. In an
/// array the same bytes are content.
fn is_error_answer(record: &[u8], head: &Head<'_>) -> bool {
    ERROR_ANSWERS.iter().any(|start| record.starts_with(start))
        && head.id.is_none()
        && head.creation_time.is_none()
}

fn unsplit(error: SplitError) -> Failure {
    Failure::Retry(error.reason())
}

/// How the documented error begins, and the one of the gate before the API. White space is gone.
const ERROR_ANSWERS: [&[u8]; 2] = [b"{\"error\":", b"{\"Message\":"];

/// Keys, 128 KiB: a transaction that costs nothing beside the gigabyte of records it stands for.
const STORED_AT_ONCE: usize = 8192;

/// Far beyond any honest download. A peer that sends a byte now and then must not hold a place
/// for as long as it likes.
const STEP_LIMIT: Duration = Duration::from_secs(3600);
