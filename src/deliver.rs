//! Delivery to Devo: batches of syslog lines go out, and it is known when they are confirmed (I5).
//!
//! A content's lines travel in a [`Parcel`], pinned to one slot so that they stay in order. Each
//! slot has a connection loop that writes into its current *session* until the session is due
//! (interval, bytes or idleness), closes it in the background and goes on with a session dialled
//! ahead. The receiver's own end of stream after our close confirms everything the session
//! carried; a [`Receipt`] is good only when every session that carried a part of its parcel was
//! confirmed. Whatever else happens to a session (reset, early close, silence, the death of this
//! process) confirms nothing, and the content is delivered again by whoever holds its lease.
//!
//! With [`Confirm::Tcp`] a session is confirmed once the peer's kernel has acknowledged every
//! byte. That is weaker: a receiver that dies with bytes in its socket buffer loses them.
//!
//! Memory is bounded by the slots' queues, the sessions awaiting confirmation hold one counted
//! ticket per batch and no bytes (I7). This module does not frame lines, keeps nothing on disk and
//! sends nothing twice by itself.

use std::{
    fmt,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use prometheus::{IntGauge, Registry};
use tokio::{sync::mpsc, task::JoinSet};
use tracing::Instrument as _;

use crate::{shutdown::Shutdown, tls::TlsError};

mod board;
mod closing;
mod connection;
mod courier;
mod dial;
mod endpoint;
mod health;
mod outstanding;
mod parcel;
mod press;
mod probe;
mod session;
mod wire;

pub use board::State;
pub use courier::{Courier, Unconfirmed};
pub use dial::DialError;
pub use endpoint::{Endpoint, InvalidEndpoint, Transport};
pub use parcel::{Batch, Landing, Parcel, Receipt};
pub use probe::{Probe, ProbeError, trial};

use board::Board;
use connection::Connection;
use dial::Dialer;
use parcel::Item;
use press::Press;

/// Where records leave the house. Clones share the sessions.
#[derive(Clone)]
pub struct Outlet(Arc<Slots>);

impl Outlet {
    /// Reads the certificates and prepares the slots. Nothing is dialled before
    /// [`Sessions::run`].
    ///
    /// # Errors
    ///
    /// [`OpenError`] when a certificate, key or name cannot be used.
    pub fn open(config: Config, metrics: Metrics) -> Result<(Self, Sessions), OpenError> {
        let dialer = Arc::new(Dialer::new(&config)?);
        let board = Board::new(config.connections, metrics.connected);
        let config = Arc::new(config);
        let (queues, connections) = (0..config.connections.get())
            .map(|slot| {
                let (queue, items) = mpsc::channel(QUEUE);
                let connection =
                    Connection::new(slot, config.clone(), dialer.clone(), board.clone(), items);
                (queue, connection)
            })
            .unzip();
        let press = (config.compression == Compression::Gzip).then(Press::new);
        let slots = Slots { config, dialer, queues, press, next: AtomicUsize::new(0), board };
        Ok((Self(Arc::new(slots)), Sessions { connections }))
    }

    /// When the certificate that shows the receiver who we are ends; none: there is none.
    pub fn certificate_expires(&self) -> Option<Timestamp> {
        self.0.dialer.expires()
    }

    /// Starts the parcel of one content. It goes to the next slot that can take batches now, or
    /// simply the next one when none can.
    pub fn parcel(&self) -> Parcel {
        let queues = &self.0.queues;
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed);
        let slot = self.0.board.next_accepting(turn % queues.len());
        Parcel::new(queues[slot].clone(), self.0.press.clone())
    }

    /// Who brings what is no record, beside the slots.
    pub fn courier(&self) -> Courier {
        Courier::new(self.0.config.clone(), self.0.dialer.clone())
    }

    /// How delivery stands, over all slots.
    pub fn state(&self) -> State {
        self.0.board.state()
    }

    /// Whether at least one slot can take batches now.
    pub fn is_ready(&self) -> bool {
        self.0.board.accepts()
    }

    /// Resolves when at least one slot can take batches, at once if one can. Cancel safe.
    pub async fn ready(&self) {
        self.0.board.accepting().await;
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outlet").field(&self.state()).finish()
    }
}

/// The loops behind an [`Outlet`]. Nothing moves until they run.
#[must_use = "nothing is delivered until the sessions run"]
pub struct Sessions {
    connections: Vec<Connection>,
}

impl Sessions {
    /// Runs every slot until shutdown: then what is queued is taken, every session is confirmed
    /// at once, and the loops end. Each wait in that has a deadline (dial, write, confirmation);
    /// dropping this future is safe at any time and confirms nothing.
    pub async fn run(self, shutdown: Shutdown) {
        let mut loops = JoinSet::new();
        for connection in self.connections {
            let span = tracing::info_span!("devo", devo.slot = connection.slot());
            loops.spawn(connection.run(shutdown.clone()).instrument(span));
        }
        while let Some(ended) = loops.join_next().await {
            unless_panicked(ended);
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// How records reach Devo.
#[derive(Clone, Debug)]
pub struct Config {
    /// The receiver.
    pub endpoint: Endpoint,
    /// The only authorities trusted to name the receiver; without, the system's. Unused on plain
    /// TCP, as are the next two.
    pub ca: Option<PathBuf>,
    /// Our certificate chain and its key, for receivers that ask who we are.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name the receiver's certificate must carry, when it is not the endpoint's host.
    pub server_name: Option<String>,
    /// How many sessions are written side by side. A content's records stay on one of them.
    pub connections: NonZeroUsize,
    /// Whether batches are compressed.
    pub compression: Compression,
    /// What counts as confirmed.
    pub confirm: Confirm,
    /// The longest time from a session's first byte until it is closed for confirmation.
    pub confirm_interval: Duration,
    /// How many bytes of lines, before any compression, close a session for confirmation: what is
    /// unconfirmed, and is remembered until it is, must not grow with how well it compresses.
    pub confirm_bytes: u64,
    /// How long a confirmation may take, how long a write may make no progress, and how long
    /// batches wait for a slot that cannot take them before they fail.
    pub confirm_timeout: Duration,
}

/// How batches are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Each batch becomes one complete gzip member.
    Gzip,
    /// As they are.
    #[default]
    None,
}

/// What counts as the receiver's confirmation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    /// The receiver ended its stream after we ended ours.
    #[default]
    EndOfStream,
    /// The receiver's kernel acknowledged every byte. Weaker; for receivers that never close.
    Tcp,
}

/// The gauge of this module.
#[derive(Clone, Debug)]
pub struct Metrics {
    connected: IntGauge,
}

impl Metrics {
    /// Creates the gauge at zero.
    ///
    /// # Errors
    ///
    /// When the registry already holds the name.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let connected = IntGauge::new(
            "m365_devo_connected",
            "1 while at least one connection to Devo is open.",
        )?;
        registry.register(Box::new(connected.clone()))?;
        Ok(Self { connected })
    }
}

/// Why delivery cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The text can be no host name and no address.
    #[error("{name:?} cannot be the name in a certificate")]
    ServerName {
        /// The configured name, or the endpoint's host.
        name: String,
    },
    /// A certificate or key cannot be used.
    #[error("the certificates for Devo cannot be used")]
    Tls(#[from] TlsError),
}

struct Slots {
    config: Arc<Config>,
    dialer: Arc<Dialer>,
    queues: Vec<mpsc::Sender<Item>>,
    /// None: batches are sent as they are.
    press: Option<Press>,
    next: AtomicUsize,
    board: Board,
}

/// Passes a task's panic on, so that the process learns of it where the task is joined.
fn unless_panicked<T>(ended: Result<T, tokio::task::JoinError>) -> Option<T> {
    match ended {
        Ok(value) => Some(value),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_aborted) => None,
    }
}

/// Batches waiting per slot: enough to keep a connection busy while the next batch is framed,
/// about a mebibyte.
const QUEUE: usize = 4;

#[cfg(test)]
mod tests;
