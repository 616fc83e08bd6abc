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

use std::{future::pending, sync::Arc};

use hyper::Version;
use tokio::{sync::watch, time::Instant};

use super::{Limits, metrics::Ending};

/// The present state of one connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<watch::Sender<Now>>);

impl Activity {
    pub(super) fn new() -> Self {
        let state = State::Opening(Instant::now());
        Self(Arc::new(watch::Sender::new(Now { state, resets: 0 })))
    }

    /// What comes before HTTP is over: the time for the first head begins.
    pub(super) fn opened(&self) {
        self.0.send_modify(|now| now.state = State::Opening(Instant::now()));
    }

    /// A head arrived. The request lasts until the guard is dropped.
    pub(super) fn request(&self, version: Version) -> Busy {
        self.0.send_modify(|now| {
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
        self.0.send_if_modified(|now| {
            let begins = matches!(now.state, State::Idle { multiplexed: false, .. });
            if begins {
                now.state = State::Reading(Instant::now());
            }
            begins
        });
    }

    /// The peer has taken a piece of an answer; one that comes in pieces keeps its connection as
    /// long as they are taken.
    pub(super) fn taken(&self) {
        self.0.send_if_modified(|now| match &mut now.state {
            State::Idle { since, .. } => {
                *since = Instant::now();
                true
            }
            State::Busy(_) | State::Opening(_) | State::Reading(_) => false,
        });
    }

    /// Resolves when the peer asked too much of our patience.
    pub(super) async fn overdue(&self, limits: Limits) -> Ending {
        let mut states = self.0.subscribe();
        loop {
            let now = *states.borrow_and_update();
            if now.resets > limits.max_resets {
                return Ending::Resets;
            }
            let deadline = now.state.deadline(limits);
            let passed = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = passed => return Ending::TimedOut,
                changed = states.changed() => changed.expect("self holds the sender"),
            }
        }
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
        self.activity.0.send_modify(|now| {
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

#[derive(Clone, Copy, Debug)]
struct Now {
    state: State,
    /// Requests taken back, less those answered since.
    resets: u32,
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
        let activity = Activity::new();
        activity.request(Version::HTTP_11).answered();
        for _piece in 0..5 {
            advance(Duration::from_secs(9)).await;
            activity.taken();
        }
        let patient = timeout(Duration::from_secs(9), activity.overdue(limits)).await;
        assert!(patient.is_err(), "the last piece was taken just now");
        assert!(matches!(activity.overdue(limits).await, Ending::TimedOut));
    }
}
