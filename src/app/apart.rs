//! A part on a thread of its own, beside those that all tasks share.
//!
//! For a part that everybody waits for in turn, each step of it short: as a task it is woken when a
//! worker has done with whatever is before it in that worker's queue, while nobody else can go on.

use std::{
    future::{Future, pending},
    panic::resume_unwind,
};

use tokio::{runtime::Handle, sync::oneshot, task::spawn_blocking};

/// Runs a part apart. Dropped before its end, it is cut off where it waits next.
pub(super) async fn apart<T: Send + 'static>(part: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = Handle::current();
    let (_held, let_go) = oneshot::channel::<()>();
    let thread = spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                biased;
                _gone = let_go => None,
                outcome = part => Some(outcome),
            }
        })
    });
    match thread.await {
        Ok(outcome) => outcome.expect("it is not let go of while it is waited for"),
        Err(error) => match error.try_into_panic() {
            // As if it had been here.
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and everything with it.
            Err(_cancelled) => pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread, time::Duration};

    use tokio::{
        task::{JoinSet, yield_now},
        time::{sleep, timeout},
    };

    use super::*;

    #[tokio::test]
    async fn it_goes_on_while_the_workers_are_busy() {
        let (there, is_there) = std::sync::mpsc::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(apart(async move {
            there.send(thread::current().id()).unwrap();
            7
        }));
        yield_now().await;
        // Blocks the only worker.
        let other = is_there.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_ne!(other, thread::current().id());
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), 7);
    }

    #[tokio::test]
    async fn it_ends_with_whoever_waits_for_it() {
        let held = Arc::new(());
        let holder = Arc::clone(&held);
        let part = apart(async move {
            let _holder = holder;
            pending::<()>().await;
        });
        assert!(timeout(Duration::from_millis(20), part).await.is_err());
        let ended = timeout(Duration::from_secs(10), async {
            while Arc::strong_count(&held) > 1 {
                sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(ended.await.is_ok(), "it is still held");
    }

    #[tokio::test]
    async fn its_panic_is_its_callers() {
        let mut tasks: JoinSet<()> = JoinSet::new();
        tasks.spawn(apart(async { panic!("as intended") }));
        let panic = tasks.join_next().await.unwrap().unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"as intended"));
    }
}
