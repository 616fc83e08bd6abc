//! The service's own log, told to Devo: what it writes from a level on, as events in a table of
//! their own, so that whoever looks at the records sees what the service says of itself.
//!
//! It is never in the way. Whoever writes puts a line among the [`Lines`], which hold a mebibyte at
//! most, and goes on; a line that finds no room is lost and counted. They travel on a connection of
//! their own, some at a time, and are confirmed as records are (I5). While there is no connection they
//! wait; what was sent and not confirmed is not sent again and counts as lost, though it may have
//! arrived. Nothing is kept for the next process.
//!
//! What is written while lines are being told, by the very code that tells them, is left out;
//! otherwise a receiver that fails would be told of its failing for ever.
//!
//! Knows neither what is logged nor how it looks; that no line holds a secret or a record (I9) is
//! the concern of those who write.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::{sync::Notify, time::sleep};
use tracing::{Level, debug};

use crate::{
    backoff::{Backoff, jitter},
    clock::Clock,
    deliver::{Outlet, State, Unconfirmed},
    frame::Framer,
    shutdown::Shutdown,
};

/// What is told, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// The whole tag, two levels at least.
    pub table: String,
    /// The least severe that is told.
    pub severity: Severity,
    /// The host in the syslog header, as for records.
    pub hostname: String,
    /// What was written, for whoever starts the log to write to.
    pub lines: Lines,
}

/// How severe an event is; the least severe comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Somebody has to do something.
    Error,
    /// It may come to that.
    Warn,
    /// What happens.
    Info,
}

impl Severity {
    /// The level in the log. What is below information is for nobody but who looks for a fault.
    pub const fn level(self) -> Level {
        match self {
            Self::Error => Level::ERROR,
            Self::Warn => Level::WARN,
            Self::Info => Level::INFO,
        }
    }
}

/// Tells what was written.
#[derive(Debug)]
pub struct Logbook {
    lines: Lines,
    outlet: Outlet,
    clock: Clock,
    framer: Framer,
    table: String,
    confirmed: IntCounter,
}

impl Logbook {
    /// Tells nothing yet.
    ///
    /// # Errors
    ///
    /// When the registry already holds the name.
    pub fn register(
        registry: &Registry,
        config: Config,
        outlet: Outlet,
        clock: Clock,
    ) -> Result<Self, prometheus::Error> {
        let Config { table, hostname, lines, .. } = config;
        registry.register(Box::new(lines.0.counted.clone()))?;
        let (prefix, table) = table.rsplit_once('.').unwrap_or(("", &table));
        Ok(Self {
            framer: Framer::new(&hostname, prefix),
            table: table.to_owned(),
            confirmed: lines.0.counted.with_label_values(&[CONFIRMED]),
            lines,
            outlet,
            clock,
        })
    }

    /// Tells what is written until asked to stop, and a last time then.
    pub async fn run(mut self, shutdown: Shutdown) {
        let backoff = Backoff::try_new(AGAIN_MIN, AGAIN_MAX).expect("the constants are in order");
        let mut failures = 0;
        while !shutdown.is_requested() {
            let due = async {
                self.lines.some().await;
                let wait = if failures == 0 { GATHER } else { backoff.delay(failures, jitter()) };
                sleep(wait).await;
            };
            tokio::select! {
                () = shutdown.requested() => break,
                () = due => {}
            }
            tokio::select! {
                // They are told once more below, and may arrive twice.
                () = shutdown.requested() => break,
                told = self.tell() => failures = if told { 0 } else { failures + 1 },
            }
        }
        // A drain does not wait for a receiver that is known to be away.
        if !matches!(self.outlet.state(), State::Unreachable { .. }) {
            self.tell().await;
        }
    }

    /// Tells what there is. Whether there was a connection.
    async fn tell(&mut self) -> bool {
        let waiting = self.lines.waiting();
        if waiting.is_empty() {
            return true;
        }
        let now = self.clock.now();
        let mut framed = Vec::new();
        for line in &waiting {
            self.framer.frame(&mut framed, now, &self.table, line.as_bytes());
        }
        let courier = self.outlet.courier();
        match TELLING.scope((), courier.send(&framed)).await {
            Ok(()) => {
                self.lines.told(waiting.len());
                self.confirmed.inc_by(waiting.len() as u64);
            }
            Err(Unconfirmed::Dial(error)) => {
                TELLING.sync_scope((), || debug!(%error, "the log waits for a connection to Devo"));
                return false;
            }
            Err(Unconfirmed::Lost(reason)) => {
                TELLING.sync_scope((), || debug!(%reason, "lines of the log are not confirmed"));
                self.lines.told(waiting.len());
                self.lines.0.lost.inc_by(waiting.len() as u64);
                // A receiver that confirms nothing is not tried in a storm.
                return false;
            }
        }
        true
    }
}

/// What was written and is not told yet. Clones share it.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    written: Notify,
    counted: IntCounterVec,
    lost: IntCounter,
}

impl Lines {
    /// Puts a line, with or without its end, after the others, or loses it when there is no room.
    /// Says nothing and waits for nobody.
    pub fn write(&self, line: &str) {
        if TELLING.try_with(|()| ()).is_ok() {
            return;
        }
        let line = line.trim_end_matches('\n');
        let mut queue = self.queue();
        if queue.bytes + line.len() > ROOM || queue.lines.len() >= MOST || line.contains('\n') {
            drop(queue);
            self.0.lost.inc();
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.into());
        drop(queue);
        self.0.written.notify_one();
    }

    /// Resolves when there is one. For one caller at a time; cancel safe.
    async fn some(&self) {
        while self.queue().lines.is_empty() {
            self.0.written.notified().await;
        }
    }

    fn waiting(&self) -> Vec<Arc<str>> {
        self.queue().lines.iter().cloned().collect()
    }

    /// Lets go of so many, from the first on.
    fn told(&self, count: usize) {
        let mut queue = self.queue();
        let bytes: usize = queue.lines.drain(..count).map(|line| line.len()).sum();
        queue.bytes -= bytes;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().expect("no holder of this lock panics")
    }
}

impl Default for Lines {
    fn default() -> Self {
        let counted = IntCounterVec::new(
            Opts::new(
                "m365_log_lines_total",
                "Lines of the service's own log for Devo, by whether Devo confirmed them; lost ones found no room, or were sent and not confirmed.",
            ),
            &["outcome"],
        )
        .expect("the name and the label are valid");
        counted.with_label_values(&[CONFIRMED]);
        let lost = counted.with_label_values(&[LOST]);
        let shared = Shared { queue: Mutex::default(), written: Notify::new(), counted, lost };
        Self(Arc::new(shared))
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
}

tokio::task_local! {
    /// Set while lines are told.
    static TELLING: ();
}

const CONFIRMED: &str = "confirmed";

const LOST: &str = "lost";

/// A mebibyte, in all lines.
const ROOM: usize = 1024 * 1024;

/// Far more than a day of a service that is well.
const MOST: usize = 4096;

/// What one thing that goes wrong makes others say comes together.
const GATHER: Duration = Duration::from_secs(2);

/// After the first failure.
const AGAIN_MIN: Duration = Duration::from_secs(4);

/// An outage of hours is told of at most this late.
const AGAIN_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let lines = Lines::default();
        for number in 0..MOST {
            lines.write(&format!("{number}\n"));
        }
        lines.write("one too many");
        assert_eq!(lines.0.lost.get(), 1);
        lines.told(MOST - 1);
        assert_eq!(lines.waiting(), [(MOST - 1).to_string().into()]);
        lines.told(1);
        let half = "x".repeat(ROOM / 2);
        for _ in 0..3 {
            lines.write(&half);
        }
        assert_eq!((lines.waiting().len(), lines.0.lost.get()), (2, 2));
        lines.told(2);
        lines.write("two\nlines");
        lines.write(&half);
        assert_eq!((lines.waiting().len(), lines.0.lost.get()), (1, 3));
    }

    #[tokio::test]
    async fn what_the_telling_itself_says_is_left_out() {
        let lines = Lines::default();
        TELLING.scope((), async { lines.write("cannot connect") }).await;
        TELLING.sync_scope((), || lines.write("cannot connect"));
        assert!(lines.waiting().is_empty());
        lines.write("something else");
        lines.some().await;
        assert_eq!((lines.waiting().len(), lines.0.lost.get()), (1, 0));
    }
}
