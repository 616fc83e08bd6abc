//! What waits for the writer: two queues, so that nobody who waits for an answer stands behind what
//! nobody waits for.
//!
//! When a session is confirmed, hundreds of contents are settled at once, and all of them together
//! take as long as an announcement must not take. So of what can wait only a few go into one
//! transaction, and the two queues take turns: neither waits for the other to become empty.

use tokio::sync::mpsc;

use super::{LedgerError, operation::Command};

/// Where the queues begin, and where they end.
pub(super) fn queue() -> (Entrance, Queue) {
    let (prompt, prompts) = mpsc::channel(LENGTH);
    let (patient, patients) = mpsc::channel(LENGTH);
    (Entrance { prompt, patient }, Queue { prompts, patients, patients_turn: false })
}

/// Where commands are queued. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    prompt: mpsc::Sender<Box<dyn Command>>,
    patient: mpsc::Sender<Box<dyn Command>>,
}

impl Entrance {
    /// Queues a command, as soon as there is room.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] when the writer takes no more.
    pub(super) async fn put(&self, command: Box<dyn Command>) -> Result<(), LedgerError> {
        let queue = if command.can_wait() { &self.patient } else { &self.prompt };
        queue.send(command).await.map_err(|_| LedgerError::Closed)
    }

    /// Whether the writer takes no more.
    pub(super) fn is_closed(&self) -> bool {
        self.prompt.is_closed()
    }

    /// How many commands are queued that cannot wait.
    #[cfg(test)]
    pub(super) fn prompt(&self) -> usize {
        LENGTH - self.prompt.capacity()
    }
}

/// Where the writer takes them.
#[derive(Debug)]
pub(super) struct Queue {
    prompts: mpsc::Receiver<Box<dyn Command>>,
    patients: mpsc::Receiver<Box<dyn Command>>,
    /// Whether what can wait is looked at first.
    patients_turn: bool,
}

impl Queue {
    /// Takes no more; what is queued stays.
    pub(super) fn close(&mut self) {
        self.prompts.close();
        self.patients.close();
    }

    /// The next command; none when nobody can queue another. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Box<dyn Command>> {
        let Self { prompts, patients, patients_turn } = self;
        let (first, second) =
            if *patients_turn { (patients, prompts) } else { (prompts, patients) };
        let command = tokio::select! {
            biased;
            Some(command) = first.recv() => command,
            Some(command) = second.recv() => command,
            else => return None,
        };
        *patients_turn = !command.can_wait();
        Some(command)
    }

    /// What is queued and goes into one transaction with the first.
    pub(super) fn with(&mut self, first: Box<dyn Command>) -> Vec<Box<dyn Command>> {
        let few = PATIENT.max(self.patients.len() / 8);
        let (queue, most) =
            if first.can_wait() { (&mut self.patients, few) } else { (&mut self.prompts, LENGTH) };
        let mut rows = first.rows();
        let mut group = vec![first];
        while rows < ROWS
            && group.len() < most
            && let Ok(command) = queue.try_recv()
        {
            rows = rows.saturating_add(command.rows());
            group.push(command);
        }
        group
    }
}

/// As many as requests the public port serves at once by default, so that a burst is one or two
/// commits. Beyond it callers wait in their own tasks.
const LENGTH: usize = 1024;

/// About how many rows one transaction changes: some tens of milliseconds of work, so that the
/// last of a group does not wait noticeably longer than the first.
pub(super) const ROWS: usize = 1000;

/// As many contents are settled at once, about a millisecond's work, or an eighth of what is queued:
/// where the disk or the way to a server is slow, larger groups make up for it.
const PATIENT: usize = 16;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        content::Via,
        ledger::{
            LeaseKey, Settlement,
            announce::Announce,
            operation::{Operation, Request},
            replicas::Me,
            settle::Settle,
        },
    };

    async fn put(entrance: &Entrance, operation: impl Operation) {
        entrance.put(Box::new(Request::new(operation, oneshot::channel().0))).await.unwrap();
    }

    async fn announce(entrance: &Entrance) {
        let now = Timestamp::UNIX_EPOCH;
        put(entrance, Announce { via: Via::Webhook, announcements: Vec::new(), now }).await;
    }

    async fn settle(entrance: &Entrance) {
        let (lease, now) = (LeaseKey { content: 1, token: 1 }, Timestamp::UNIX_EPOCH);
        let by = std::sync::Arc::new(Me::alone());
        put(entrance, Settle { lease, settlement: Settlement::Release, now, by }).await;
    }

    #[tokio::test]
    async fn the_queues_take_turns_and_what_can_wait_goes_by_few() {
        let (entrance, mut queue) = queue();
        for _ in 0..40 {
            settle(&entrance).await;
        }
        for _ in 0..20 {
            announce(&entrance).await;
        }
        let mut groups = Vec::new();
        for nth in 0..5 {
            let first = queue.next().await.unwrap();
            let group = queue.with(first);
            assert!(group.iter().all(|command| command.can_wait() == group[0].can_wait()));
            groups.push((group[0].can_wait(), group.len()));
            if nth == 1 {
                announce(&entrance).await;
            }
        }
        let expected = [(false, 20), (true, 16), (false, 1), (true, 16), (true, 8)];
        assert_eq!(groups, expected);
    }
}
