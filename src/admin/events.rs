//! What changes on the status page, as server-sent events.
//!
//! The body makes an event only when the peer takes one, from the newest picture there is: who
//! reads slowly misses pictures in between and makes nobody hold anything (I7). A listener gets
//! every part once and then those that changed. There are at most [`LISTENERS`] at a time, and the
//! stream ends when the process is asked to stop, with that as its last word.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt::Write as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Shown,
    page::{Part, View},
};

/// The body of an answer of the admin port.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it is there.
    Whole(Full<Bytes>),
    /// It comes as things change.
    Events(Events),
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(context),
            Self::Events(events) => events.poll(context).map(|event| event.map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// Who may listen.
#[derive(Clone, Debug)]
pub(super) struct Seats(Arc<Semaphore>);

impl Seats {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LISTENERS)))
    }

    /// None: every seat is taken.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

type Next = Pin<Box<dyn Future<Output = Option<(Listener, Bytes)>> + Send>>;

/// A stream of events.
pub(super) struct Events(Option<Next>);

impl Events {
    pub(super) fn new(shown: Arc<Shown>, view: View, seat: OwnedSemaphorePermit) -> Self {
        let listener = Listener {
            shown,
            view,
            sent: HashMap::new(),
            quiet_since: Instant::now(),
            began: false,
            ended: false,
            _seat: seat,
        };
        Self(Some(Box::pin(listener.next())))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let Some(next) = &mut self.0 else { return Poll::Ready(None) };
        let Poll::Ready(event) = next.as_mut().poll(context) else { return Poll::Pending };
        let Some((listener, event)) = event else {
            self.0 = None;
            return Poll::Ready(None);
        };
        self.0 = Some(Box::pin(listener.next()));
        Poll::Ready(Some(Frame::data(event)))
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// One who listens.
struct Listener {
    shown: Arc<Shown>,
    view: View,
    /// What it has, by the id of the part.
    sent: HashMap<String, Arc<str>>,
    quiet_since: Instant,
    began: bool,
    ended: bool,
    _seat: OwnedSemaphorePermit,
}

impl Listener {
    /// The next events; none when there are no more.
    async fn next(mut self) -> Option<(Self, Bytes)> {
        if self.ended {
            return None;
        }
        let draining = self.shown.draining();
        let begin = Instant::now();
        loop {
            if self.began && !draining.is_requested() {
                tokio::select! {
                    () = draining.requested() => {}
                    () = sleep_until(begin + EVERY) => {}
                }
            }
            self.ended = draining.is_requested();
            let page = self.shown.page(&self.view).await;
            let mut events = String::new();
            if !self.began {
                // How soon to come back, for those that know no better.
                events.push_str("retry: 2000\n\n");
            }
            self.began = true;
            for part in page.parts() {
                if self.sent.get(&part.id) != Some(&part.html) {
                    write_event(&mut events, part);
                    self.sent.insert(part.id.clone(), part.html.clone());
                }
            }
            self.sent.retain(|id, _| page.parts().iter().any(|part| part.id == *id));
            if events.is_empty() && self.quiet_since.elapsed() >= QUIET {
                // Finds a vanished peer, and shows those in between that somebody is there.
                events.push_str(":\n\n");
            }
            if !events.is_empty() || self.ended {
                self.quiet_since = Instant::now();
                return Some((self, events.into()));
            }
            sleep(EVERY).await;
        }
    }
}

fn write_event(events: &mut String, part: &Part) {
    // Writing into a string cannot fail.
    let _infallible = writeln!(events, "event: part");
    for line in part.html.split(['\n', '\r']) {
        let _infallible = writeln!(events, "data: {line}");
    }
    events.push('\n');
}

/// How often the page is compared.
const EVERY: Duration = Duration::from_secs(1);

/// Balancers cut flows that are silent for a minute, and so does the listener of the port.
const QUIET: Duration = Duration::from_secs(15);

/// Walls with a screen and a few people; each costs a connection and what it was sent last.
const LISTENERS: usize = 24;
