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
//! | idle | a byte (HTTP/1.1), a head (HTTP/2) | `idle_timeout` after the last answer |
//! | reading | the head | `header_timeout` after its first byte |
//!
//! On HTTP/2 bytes between requests are mostly pings, so only the idle deadline counts there. Idle
//! connections get their own, longer time, because a server that closes them earlier than the load
//! balancer in front of it races with the next request.

use std::{future::pending, sync::Arc};

use hyper::Version;
use tokio::{sync::watch, time::Instant};

use super::Limits;

/// The present state of one connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<watch::Sender<State>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::Opening(Instant::now()))))
    }

    /// A head arrived. The request lasts until the guard is dropped.
    pub(super) fn request(&self, version: Version) -> Busy {
        self.0.send_modify(|state| {
            let others = match *state {
                State::Busy(count) => count,
                State::Idle { .. } | State::Opening(_) | State::Reading(_) => 0,
            };
            *state = State::Busy(others + 1);
        });
        let multiplexed = version == Version::HTTP_2;
        Busy { activity: self.clone(), multiplexed }
    }

    /// Bytes arrived.
    pub(super) fn bytes(&self) {
        self.0.send_if_modified(|state| {
            let begins = matches!(state, State::Idle { multiplexed: false, .. });
            if begins {
                *state = State::Reading(Instant::now());
            }
            begins
        });
    }

    /// Resolves when a deadline passed.
    pub(super) async fn overdue(&self, limits: Limits) {
        let mut states = self.0.subscribe();
        loop {
            let deadline = states.borrow_and_update().deadline(limits);
            let passed = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
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
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.0.send_modify(|state| {
            *state = match *state {
                State::Busy(count) if count > 1 => State::Busy(count - 1),
                _ => State::Idle { since: Instant::now(), multiplexed: self.multiplexed },
            };
        });
    }
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
