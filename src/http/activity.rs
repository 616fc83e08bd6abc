//! What a connection is doing, and by when it must do something else.
//!
//! hyper bounds the time of a head on HTTP/1.1 only, counts idle time as the same thing, and bounds
//! neither the detection of the version nor an answer the peer does not read. One watch over all of
//! these is simpler than their sum:
//!
//! | state | ends with | deadline |
//! | --- | --- | --- |
//! | opening | the first head | `header_timeout` after the connection |
//! | busy | the last answer | the service's own |
//! | idle | a byte (HTTP/1.1), a head (HTTP/2) | `idle_timeout` after the last answer, or the last piece of one |
//! | reading | the head | `header_timeout` after its first byte |
//!
//! A request that is taken back before its answer (HTTP/2) costs the peer one frame and us a
//! request. Each finished one makes up for one that was taken back; a peer that is behind by more
//! than `max_resets` is cut.
//!
//! On HTTP/2 bytes between requests are mostly pings, so only the idle deadline counts there. Idle
//! connections get their own, longer time, because a server that closes them earlier than the load
//! balancer in front of it races with the next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Version;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{Limits, metrics::Ending};

/// The present state of one connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Shared>);

impl Activity {
    pub(super) fn new(limits: Limits) -> Self {
        let state = State::Opening(Instant::now());
        let now = Mutex::new(Now { state, resets: 0, asleep: None });
        Self(Arc::new(Shared { limits, now, sooner: Notify::new() }))
    }

    /// What comes before HTTP is over: the time for the first head begins.
    pub(super) fn opened(&self) {
        self.0.change(|now| now.state = State::Opening(Instant::now()));
    }

    /// A head arrived. The request lasts until the guard is dropped.
    pub(super) fn request(&self, version: Version) -> Busy {
        self.0.change(|now| {
            let others = match now.state {
                State::Busy(count) => count,
                State::Idle { .. } | State::Opening(_) | State::Reading(_) => 0,
            };
            now.state = State::Busy(others + 1);
        });
        let multiplexed = version == Version::HTTP_2;
        Busy { activity: self.clone(), multiplexed, answered: false }
    }

    /// Bytes arrived.
    pub(super) fn bytes(&self) {
        self.0.change(|now| {
            if matches!(now.state, State::Idle { multiplexed: false, .. }) {
                now.state = State::Reading(Instant::now());
            }
        });
    }

    /// The peer has taken a piece of an answer; one that comes in pieces keeps its connection as
    /// long as they are taken.
    pub(super) fn taken(&self) {
        self.0.change(|now| {
            if let State::Idle { since, .. } = &mut now.state {
                *since = Instant::now();
            }
        });
    }

    /// Resolves when the peer asked too much of our patience.
    pub(super) async fn overdue(&self) -> Ending {
        loop {
            let until = match self.0.look() {
                Ok(until) => until,
                Err(ending) => return ending,
            };
            let slept = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = slept => {}
                () = self.0.sooner.notified() => {}
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    now: Mutex<Now>,
    /// Wakes who waits for a deadline that has come nearer.
    sooner: Notify,
}

impl Shared {
    /// Whoever waits for a deadline sleeps on when it has moved further away, and looks then: each
    /// request moves it several times, and being woken costs more than all of them.
    fn change(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now();
        change(&mut now);
        let deadline = now.state.deadline(self.limits);
        let sooner = deadline.is_some_and(|at| now.asleep.is_none_or(|until| at < until));
        if sooner || now.resets > self.limits.max_resets {
            drop(now);
            self.sooner.notify_one();
        }
    }

    /// Until when there is nothing to do; or how it ends, if it does.
    fn look(&self) -> Result<Option<Instant>, Ending> {
        let mut now = self.now();
        if now.resets > self.limits.max_resets {
            return Err(Ending::Resets);
        }
        now.asleep = now.state.deadline(self.limits);
        match now.asleep {
            Some(deadline) if deadline <= Instant::now() => Err(Ending::TimedOut),
            until => Ok(until),
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request being answered.
#[derive(Debug)]
pub(super) struct Busy {
    activity: Activity,
    multiplexed: bool,
    answered: bool,
}

impl Busy {
    /// The service has answered.
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.0.change(|now| {
            now.resets = match self.answered {
                true => now.resets.saturating_sub(1),
                false => now.resets.saturating_add(1),
            };
            now.state = match now.state {
                State::Busy(count) if count > 1 => State::Busy(count - 1),
                _ => State::Idle { since: Instant::now(), multiplexed: self.multiplexed },
            };
        });
    }
}

#[derive(Debug)]
struct Now {
    state: State,
    /// Requests taken back, less those answered since.
    resets: u32,
    /// Until when whoever waits for the deadline sleeps; none: for ever.
    asleep: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Opening(Instant),
    Busy(usize),
    Idle { since: Instant, multiplexed: bool },
    Reading(Instant),
}

impl State {
    fn deadline(self, limits: Limits) -> Option<Instant> {
        match self {
            Self::Opening(since) | Self::Reading(since) => Some(since + limits.header_timeout),
            Self::Idle { since, .. } => Some(since + limits.idle_timeout),
            Self::Busy(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_pieces_lasts_as_long_as_they_are_taken() {
        let limits = Limits { idle_timeout: Duration::from_secs(10), ..Limits::default() };
        let activity = Activity::new(limits);
        activity.request(Version::HTTP_11).answered();
        for _piece in 0..5 {
            advance(Duration::from_secs(9)).await;
            activity.taken();
        }
        let patient = timeout(Duration::from_secs(9), activity.overdue()).await;
        assert!(patient.is_err(), "the last piece was taken just now");
        assert!(matches!(activity.overdue().await, Ending::TimedOut));
    }
}
