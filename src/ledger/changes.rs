//! Waiting for something to do.

use tokio::sync::watch;

/// Wakes its holder when content was recorded or became due again before its time.
///
/// It remembers what happened since it last woke, so nothing is missed between looking into the
/// ledger and waiting here. Content that becomes due because its time came wakes nobody.
#[derive(Clone, Debug)]
pub struct Changes(pub(super) watch::Receiver<u64>);

impl Changes {
    pub(super) fn new(changes: &watch::Sender<u64>) -> Self {
        Self(changes.subscribe())
    }

    /// Resolves when something changed since the last time it did. Cancel safe.
    pub async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could change anything.
            std::future::pending::<()>().await;
        }
    }
}
