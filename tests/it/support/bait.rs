//! An address nobody should ever connect to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{net::TcpListener, task::JoinSet};

use super::any_port;

/// A listener that counts who takes the bait.
pub struct Bait {
    pub address: SocketAddr,
    taken: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl Bait {
    pub async fn lay() -> Self {
        let listener = TcpListener::bind(any_port()).await.expect("loopback ports are free");
        let address = listener.local_addr().expect("it is bound");
        let taken = Arc::new(AtomicUsize::new(0));
        let mut accepting = JoinSet::new();
        let count = taken.clone();
        accepting.spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { address, taken, _accepting: accepting }
    }

    /// Connections so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}
