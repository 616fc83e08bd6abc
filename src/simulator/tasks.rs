//! The one set that owns every task of the simulator.
//!
//! hyper starts tasks of its own for HTTP/2 streams, so the set is also hyper's executor. Tasks
//! hold the set and the set holds the tasks; [`Tasks::abort`] is what cuts that circle.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use tokio::task::{JoinError, JoinSet};

use super::locked;

/// A set of tasks that can be shared by those who add to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = locked(&self.0);
        while let Some(ended) = set.try_join_next() {
            report(ended);
        }
        set.spawn(task);
    }

    /// Tells every task to stop, without waiting.
    pub(super) fn abort(&self) {
        locked(&self.0).abort_all();
    }

    /// Stops every task and waits until they are gone.
    pub(super) async fn end(&self) {
        let mut set = std::mem::take(&mut *locked(&self.0));
        set.abort_all();
        while let Some(ended) = set.join_next().await {
            report(ended);
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a task of the simulator panicked");
    }
}
