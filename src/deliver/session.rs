//! A session: a wire, and what has been written to it since the last confirmation.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Config, closing,
    parcel::{Item, Ticket},
    wire::{Ending, Wire},
};
use crate::reason::Reason;

/// An open connection and the tickets of the batches it carries unconfirmed. Dropped, they are
/// lost.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    load: Load,
}

impl Session {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, load: Load::default() }
    }

    /// Writes a batch; from now on its ticket is the session's.
    pub(super) async fn write(&mut self, item: Item, patience: Duration) -> Result<(), Reason> {
        let Item { lines, carried, bytes, ticket } = item;
        self.load.tickets.push(ticket);
        self.load.lines += lines;
        self.load.carried += carried;
        self.load.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.load.first.get_or_insert_with(Instant::now);
        let written = self.wire.write(&bytes, patience).await;
        self.load.last = Some(Instant::now());
        written
    }

    /// When what it carries is to be confirmed; `None` when it carries nothing.
    pub(super) fn due(&self, config: &Config) -> Option<Instant> {
        let (first, last) = (self.load.first?, self.load.last?);
        if self.load.carried >= config.confirm_bytes {
            return Some(last);
        }
        Some((first + config.confirm_interval).min(last + IDLE))
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_empty(&self) -> bool {
        self.load.tickets.is_empty()
    }

    /// For how long the connection has been open.
    pub(super) fn age(&self) -> Duration {
        self.wire.age()
    }

    /// Of the certificates the connection was made with.
    pub(super) fn generation(&self) -> u64 {
        self.wire.generation()
    }

    /// Resolves when the receiver ends its stream or the connection breaks. Cancel safe.
    pub(super) async fn ended(&mut self) -> Ending {
        self.wire.ended().await
    }

    /// Closes the session and settles its tickets with what came of it.
    pub(super) async fn close(mut self, patience: Duration) -> Verdict {
        let started = Instant::now();
        let outcome = closing::by_end_of_stream(&mut self.wire, patience).await;
        self.load.settle(outcome, started)
    }

    /// Waits for the peer's acknowledgement and settles the tickets. The session goes on unless
    /// that failed.
    pub(super) async fn acknowledged(&mut self, patience: Duration) -> Verdict {
        let started = Instant::now();
        let outcome = closing::by_acknowledgement(&mut self.wire, patience).await;
        std::mem::take(&mut self.load).settle(outcome, started)
    }

    /// Gives the session up and settles its tickets with the reason.
    pub(super) fn give_up(self, reason: Reason) -> Verdict {
        self.load.settle(Err(reason), Instant::now())
    }

    /// Ends a session that carries nothing.
    pub(super) async fn leave(self) {
        self.wire.leave().await;
    }
}

/// What became of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Result<(), Reason>,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// How long the confirmation took.
    pub(super) took: Duration,
}

#[derive(Debug, Default)]
struct Load {
    tickets: Vec<Ticket>,
    lines: u64,
    /// Before any compression.
    carried: u64,
    /// As written.
    bytes: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Load {
    fn settle(self, outcome: Result<(), Reason>, started: Instant) -> Verdict {
        for ticket in self.tickets {
            ticket.settle(outcome);
        }
        Verdict { outcome, lines: self.lines, bytes: self.bytes, took: started.elapsed() }
    }
}

/// Without a next batch there is nothing to gather; content that waits would only arrive late.
const IDLE: Duration = Duration::from_secs(1);
