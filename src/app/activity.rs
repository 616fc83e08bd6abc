//! One long-running part of the process: its task, its request to stop, its end.

use std::future::Future;

use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tracing::{error, warn};

use crate::shutdown::Shutdown;

/// A running part. Dropping it cuts it off.
#[derive(Debug)]
pub(super) struct Activity<T> {
    name: &'static str,
    stop: Shutdown,
    task: JoinSet<T>,
}

impl<T: Send + 'static> Activity<T> {
    /// Starts a part. If it ends, by panic too, before it was asked to, its name goes to `ended`.
    pub(super) fn start<F>(
        name: &'static str,
        ended: mpsc::Sender<&'static str>,
        part: impl FnOnce(Shutdown) -> F,
    ) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let stop = Shutdown::new();
        let guard = EndedEarly { name, stop: stop.clone(), ended };
        let part = part(stop.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let _guard = guard;
            part.await
        });
        Self { name, stop, task }
    }

    /// Asks the part to stop, without waiting for it.
    pub(super) fn request_stop(&self) {
        self.stop.request();
    }

    /// Asks the part to stop and waits for it. What is not done by the deadline is cut off, which
    /// is safe: leases run out.
    pub(super) async fn end(mut self, deadline: Instant) -> Option<T> {
        self.stop.request();
        match tokio::time::timeout_at(deadline, self.task.join_next()).await {
            Ok(Some(Ok(value))) => Some(value),
            Ok(Some(Err(error))) => {
                error!(part = self.name, error = %error, "{} panicked", self.name);
                None
            }
            Ok(None) => None,
            Err(_) => {
                warn!(part = self.name, "{} did not end in time and is cut off", self.name);
                None
            }
        }
    }
}

/// Reports the end of a part that nobody asked to end. A value rather than a line after the
/// `await`, so that a panic is reported too.
struct EndedEarly {
    name: &'static str,
    stop: Shutdown,
    ended: mpsc::Sender<&'static str>,
}

impl Drop for EndedEarly {
    fn drop(&mut self) {
        if !self.stop.is_requested() {
            // A full channel means that another part was reported already.
            self.ended.try_send(self.name).ok();
        }
    }
}
