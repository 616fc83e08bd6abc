//! Work that is done to its end, though whoever began it goes away.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::Reject;

/// Work that becomes a task of its own when it is dropped before its end. As long as somebody waits
/// for it that would be one task more to wake, twice for each request.
pub(super) struct ToTheEnd<'a> {
    /// None after its end.
    work: Option<BoxFuture<'static, Result<(), Reject>>>,
    tasks: &'a TaskTracker,
    /// Whoever waits for the tasks waits for this one too, whichever way it goes on.
    _one_of_them: TaskTrackerToken,
}

impl<'a> ToTheEnd<'a> {
    /// Work to be waited for, and one of these tasks.
    pub(super) fn new(
        work: impl Future<Output = Result<(), Reject>> + Send + 'static,
        tasks: &'a TaskTracker,
    ) -> Self {
        Self { work: Some(Box::pin(work)), tasks, _one_of_them: tasks.token() }
    }
}

impl Future for ToTheEnd<'_> {
    type Output = Result<(), Reject>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // What panics is not put back, so it is not begun again.
        let mut work = self.work.take().expect("it is not asked again after its end");
        let outcome = work.as_mut().poll(context);
        if outcome.is_pending() {
            self.work = Some(work);
        }
        outcome
    }
}

impl Drop for ToTheEnd<'_> {
    fn drop(&mut self) {
        // With the runtime ends everything; the ledger knows what it has committed.
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            self.tasks.spawn_on(work, &runtime);
        }
    }
}
