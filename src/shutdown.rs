//! Shutdown as a value that is passed: one request, seen by everyone who holds a clone.

use tokio_util::sync::CancellationToken;

/// Tells its holder to stop. Clones belong to the same request; children can be ended alone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A request nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every holder to stop. Asking again does nothing.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether it was asked.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when it is asked, at once if it already was. Cancel safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// A request of its own that is also made when this one is.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}
