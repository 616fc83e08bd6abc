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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    /// Work that waits to be let go on, and says when it has ended.
    fn work() -> (
        oneshot::Sender<()>,
        impl Future<Output = Result<(), Reject>> + Send + 'static,
        oneshot::Receiver<()>,
    ) {
        let ((go, gone), (end, ended)) = (oneshot::channel(), oneshot::channel());
        let work = async move {
            gone.await.expect("the test lets it go on");
            end.send(()).expect("the test looks whether it has ended");
            Err(Reject::Unavailable)
        };
        (go, work, ended)
    }

    #[tokio::test]
    async fn its_outcome_is_that_of_whoever_waits() {
        let tasks = TaskTracker::new();
        let (go, work, _ended) = work();
        let mut held = ToTheEnd::new(work, &tasks);
        assert_eq!((&mut held).now_or_never(), None);
        go.send(()).unwrap();
        assert_eq!((&mut held).await, Err(Reject::Unavailable));
        drop(held);
        assert!(tasks.is_empty(), "what has ended is no task of its own");
    }

    #[tokio::test]
    async fn left_behind_it_goes_on_and_is_waited_for() {
        let tasks = TaskTracker::new();
        let (go, work, mut ended) = work();
        let mut held = ToTheEnd::new(work, &tasks);
        assert_eq!((&mut held).now_or_never(), None);
        tasks.close();
        assert_eq!(tasks.wait().now_or_never(), None, "while its request waits for it");
        drop(held);
        assert_eq!(tasks.wait().now_or_never(), None, "when its request has gone");
        go.send(()).unwrap();
        timeout(Duration::from_secs(10), tasks.wait()).await.unwrap();
        assert_eq!(ended.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn left_before_it_began_it_is_done_all_the_same() {
        let tasks = TaskTracker::new();
        let (go, work, mut ended) = work();
        drop(ToTheEnd::new(work, &tasks));
        go.send(()).unwrap();
        tasks.close();
        timeout(Duration::from_secs(10), tasks.wait()).await.unwrap();
        assert_eq!(ended.try_recv(), Ok(()));
    }
}
