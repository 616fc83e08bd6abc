//! Devo's side: a syslog receiver that counts what arrives and misbehaves on demand.
//!
//! It reads everything a peer sends and ends its own stream only after that, which is the
//! confirmation the collector waits for. A line is counted before its session is confirmed, so
//! whoever saw the confirmation finds the counts complete.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::{net::TcpListener, sync::watch, time};
use tokio_rustls::TlsAcceptor;

use super::{locked, tasks::Tasks};

mod arrivals;
mod framing;
mod line;
mod session;

pub use arrivals::{Received, Sessions, fingerprint};
pub use line::{Line, Malformed};

use arrivals::Arrivals;

/// The handle on Devo's side. Clones are the same receiver.
#[derive(Clone)]
pub struct Devo(Arc<Receiver>);

impl Devo {
    pub(super) fn new(keep_lines: bool) -> Self {
        Self(Arc::new(Receiver {
            arrivals: Mutex::new(Arrivals::new(keep_lines)),
            changes: watch::Sender::new(()),
            mode: watch::Sender::new(DevoMode::Normal),
            acceptor: Mutex::default(),
            client: Mutex::default(),
        }))
    }

    /// Ends TLS with this from the next session on.
    pub(super) fn accept_with(&self, acceptor: TlsAcceptor) {
        *locked(&self.0.acceptor) = Some(acceptor);
    }

    /// The certificate, DER, that the latest session was opened with.
    pub fn client_certificate(&self) -> Option<Vec<u8>> {
        locked(&self.0.client).clone()
    }

    /// How sessions are treated from now on, those that are open included.
    pub fn behave(&self, mode: DevoMode) {
        self.0.mode.send_replace(mode);
    }

    /// What has arrived so far.
    pub fn received(&self) -> Received {
        locked(&self.0.arrivals).received()
    }

    /// How often a record with exactly these bytes arrived.
    pub fn times_received(&self, record: &[u8]) -> u32 {
        locked(&self.0.arrivals).times(fingerprint(record))
    }

    /// How often each record arrived, by its [`fingerprint`].
    pub fn arrivals(&self) -> HashMap<u128, u32> {
        locked(&self.0.arrivals).by_fingerprint()
    }

    /// Every line in order of arrival, without its newline; empty unless lines are kept.
    pub fn lines(&self) -> Vec<Bytes> {
        locked(&self.0.arrivals).lines()
    }

    /// Waits until so many lines have arrived since the start.
    ///
    /// # Errors
    ///
    /// [`Shortfall`] when they have not in this time.
    pub async fn wait_for(&self, lines: u64, within: Duration) -> Result<(), Shortfall> {
        let waited = self.wait_until(|received| received.lines >= lines, within);
        waited.await.map_err(|received| Shortfall { expected: lines, arrived: received.lines })
    }

    /// Waits until what has arrived satisfies a condition.
    ///
    /// # Errors
    ///
    /// What has arrived by then, when it does not in this time.
    pub async fn wait_until(
        &self,
        condition: impl Fn(&Received) -> bool,
        within: Duration,
    ) -> Result<(), Box<Received>> {
        let mut changes = self.0.changes.subscribe();
        let waited = time::timeout(within, async {
            // The sender lives as long as this handle.
            while !condition(&self.received()) && changes.changed().await.is_ok() {}
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(_) => Err(Box::new(self.received())),
        }
    }

    pub(super) fn serve(
        &self,
        listener: TcpListener,
        tasks: Tasks,
    ) -> impl Future<Output = ()> + Send + 'static {
        session::serve(self.0.clone(), listener, tasks)
    }
}

impl fmt::Debug for Devo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Devo").field("mode", &*self.0.mode.borrow()).finish_non_exhaustive()
    }
}

/// How the receiver treats its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevoMode {
    /// Ends a session that was idle for so long, as a load balancer does.
    CloseIdle(Duration),
    /// Reads everything and never ends its own stream.
    NeverClose,
    /// Reads everything and confirms.
    Normal,
    /// Resets new connections before a handshake. The port stays bound, so a client sees a reset
    /// and not a refusal.
    Refuse,
    /// Resets a session once so many bytes were read from it. What came while this mode holds is
    /// lost and not counted, as with a relay that dies.
    ResetAfter(u64),
    /// Reads nothing more, so that the peer's writes stop.
    Stall,
}

/// Fewer lines arrived than were waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{arrived} of {expected} lines arrived in time")]
pub struct Shortfall {
    /// Lines waited for.
    pub expected: u64,
    /// Lines that had arrived.
    pub arrived: u64,
}

struct Receiver {
    arrivals: Mutex<Arrivals>,
    changes: watch::Sender<()>,
    mode: watch::Sender<DevoMode>,
    /// None: no TLS.
    acceptor: Mutex<Option<TlsAcceptor>>,
    client: Mutex<Option<Vec<u8>>>,
}

impl Receiver {
    /// Changes what has arrived, and wakes those who wait for it.
    fn change<T>(&self, change: impl FnOnce(&mut Arrivals) -> T) -> T {
        let changed = change(&mut locked(&self.arrivals));
        self.changes.send_replace(());
        changed
    }
}
