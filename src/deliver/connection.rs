//! The loop of one slot: takes batches from its queue and owns its sessions.
//!
//! At most one session is written at a time, so a parcel's batches leave in order. While it is
//! written a spare is dialled, which takes over without a pause when the session is closed for
//! confirmation in the background. While nothing is sent one open connection is kept, so that the
//! gauge tells the truth and the first batch does not wait for a handshake.
//!
//! Dialling and closing run as tasks of this loop. A write runs in the loop itself: nothing else
//! it could do helps a receiver that takes no bytes, and the write has a deadline.

use std::{error::Error as _, future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Config, Confirm, DialError,
    board::{Board, Standing},
    dial::Dialer,
    health::Health,
    parcel::Item,
    session::{Session, Verdict},
    unless_panicked,
    wire::{Ending, Wire},
};
use crate::{reason::Reason, shutdown::Shutdown};

/// One slot.
pub(super) struct Connection {
    slot: usize,
    config: Arc<Config>,
    dialer: Arc<Dialer>,
    board: Board,
    queue: mpsc::Receiver<Item>,
    health: Health,
    current: Option<Session>,
    spare: Option<Wire>,
    dialling: JoinSet<Result<Wire, DialError>>,
    closing: JoinSet<Verdict>,
    unable_since: Option<Instant>,
}

impl Connection {
    pub(super) fn new(
        slot: usize,
        config: Arc<Config>,
        dialer: Arc<Dialer>,
        board: Board,
        queue: mpsc::Receiver<Item>,
    ) -> Self {
        Self {
            slot,
            health: Health::new(config.confirm_timeout),
            config,
            dialer,
            board,
            queue,
            current: None,
            spare: None,
            dialling: JoinSet::new(),
            closing: JoinSet::new(),
            unable_since: None,
        }
    }

    /// The number of the slot.
    pub(super) fn slot(&self) -> usize {
        self.slot
    }

    /// Runs until shutdown, or until every outlet and parcel is gone; then takes what is queued
    /// and waits for its confirmation.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        loop {
            // Not left to the timer below: it is a millisecond coarse, and the queue may never be
            // empty in that time.
            self.confirm_if_due().await;
            let now = Instant::now();
            self.promote();
            self.dial_if_wanted(now);
            let listening = self.appraise(now);
            let wake = self.wake(now);
            let event = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                Some(ended) = self.closing.join_next() => Event::Closed(unless_panicked(ended)),
                Some(ended) = self.dialling.join_next() => Event::Dialled(unless_panicked(ended)),
                ending = session_ended(&mut self.current) => Event::CurrentEnded(ending),
                ending = wire_ended(&mut self.spare) => Event::SpareEnded(ending),
                () = at(wake) => Event::Woken,
                item = self.queue.recv(), if listening => match item {
                    Some(item) => Event::Taken(item),
                    None => break,
                },
            };
            self.handle(event).await;
        }
        self.drain().await;
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Closed(verdict) => verdict.into_iter().for_each(|verdict| self.judge(verdict)),
            Event::CurrentEnded(ending) => self.current_ended(ending),
            Event::Dialled(Some(Ok(wire))) => self.dialled(wire),
            Event::Dialled(Some(Err(cause))) => self.refused(cause),
            Event::SpareEnded(ending) => {
                if let Some(wire) = self.spare.take() {
                    self.ended_unused(wire.age(), ending);
                }
            }
            Event::Taken(item) => self.take(item).await,
            Event::Dialled(None) | Event::Woken => {}
        }
    }

    /// Whether the slot can take batches at all, apart from having to wait for confirmations.
    fn is_able(&self, now: Instant) -> bool {
        self.current.is_some() && !self.health.is_held(now)
    }

    /// Posts how the slot stands; whether to listen to the queue, be it to write batches or, when
    /// they have waited in vain for too long, to fail them.
    fn appraise(&mut self, now: Instant) -> bool {
        let able = self.is_able(now);
        self.unable_since = match self.unable_since {
            _ if able => None,
            since => since.or(Some(now)),
        };
        let trouble = self.health.trouble();
        // Between two sessions the closing one still is a connection, unless the next is refused.
        let between = trouble.is_none() && !self.closing.is_empty();
        let standing = Standing {
            open: self.current.is_some() || self.spare.is_some() || between,
            accepts: able,
            trouble,
        };
        self.board.post(self.slot, standing);
        // A receiver in doubt gets one session at a time to prove itself.
        let room = if self.health.is_doubtful() {
            self.closing.is_empty()
        } else {
            self.closing.len() < MOST_CLOSING
        };
        (able && room) || self.has_given_up(now)
    }

    fn has_given_up(&self, now: Instant) -> bool {
        self.unable_since.is_some_and(|since| now >= since + self.config.confirm_timeout)
    }

    /// The next moment at which something is to be done without anyone asking.
    fn wake(&self, now: Instant) -> Option<Instant> {
        let due = self
            .current
            .as_ref()
            .and_then(|session| session.due(&self.config))
            .filter(|_| self.closing.len() < MOST_CLOSING);
        let give_up = self
            .unable_since
            .map(|since| since + self.config.confirm_timeout)
            .filter(|at| *at > now);
        let moments = [due, give_up, self.health.relief(now)];
        moments.into_iter().flatten().min()
    }

    fn promote(&mut self) {
        if self.current.is_none() {
            self.current = self.spare.take().map(Session::new);
        }
    }

    fn dial_if_wanted(&mut self, now: Instant) {
        let wanted = match &self.current {
            None => true,
            // A spare for a session that nothing was written to would only be two idle ones.
            Some(session) => !session.is_empty() && self.config.confirm == Confirm::EndOfStream,
        };
        let under_way = self.spare.is_some() || !self.dialling.is_empty();
        if wanted && !under_way && self.health.may_dial(now) {
            let dialer = self.dialer.clone();
            let welcome = self.health.welcome();
            self.dialling.spawn(async move { dialer.dial(welcome).await });
        }
    }

    fn dialled(&mut self, wire: Wire) {
        if self.health.dialled() {
            tracing::info!(devo.endpoint = %self.dialer.endpoint(), "connected to Devo again");
        } else {
            tracing::debug!(devo.endpoint = %self.dialer.endpoint(), "connected to Devo");
        }
        self.spare = Some(wire);
    }

    fn refused(&mut self, cause: DialError) {
        let cause = Arc::new(cause);
        let source = cause.source().map(ToString::to_string).unwrap_or_default();
        let endpoint = self.dialer.endpoint();
        if self.health.refused(cause.clone(), Instant::now()) {
            tracing::warn!(devo.endpoint = %endpoint, error = %cause, source, "cannot connect to Devo");
        } else {
            tracing::debug!(devo.endpoint = %endpoint, error = %cause, source, "cannot connect to Devo");
        }
    }

    fn ended_unused(&mut self, age: Duration, ending: Ending) {
        match ending {
            Ending::Closed => tracing::debug!("Devo closed an idle connection"),
            Ending::Failed(error) => {
                tracing::debug!(%error, "an idle connection to Devo broke");
            }
        }
        self.health.ended_unused(age, Instant::now());
    }

    fn current_ended(&mut self, ending: Ending) {
        let Some(session) = self.current.take() else {
            return;
        };
        if session.is_empty() {
            self.ended_unused(session.age(), ending);
        } else {
            // Also when it closed cleanly: an end before ours confirms nothing.
            let verdict = session.give_up(Reason::ConnectionLost);
            self.judge(verdict);
        }
    }

    async fn take(&mut self, item: Item) {
        // A parcel that lost a batch is sent again as a whole.
        if item.ticket.is_void() {
            return;
        }
        let now = Instant::now();
        if !self.is_able(now) {
            item.ticket.settle(Err(self.health.reason()));
            return;
        }
        self.write(item).await;
    }

    async fn write(&mut self, item: Item) {
        let patience = self.config.confirm_timeout;
        let Some(mut session) = self.current.take() else {
            return;
        };
        match session.write(item, patience).await {
            Ok(()) => self.current = Some(session),
            Err(reason) => {
                let verdict = session.give_up(reason);
                self.judge(verdict);
            }
        }
    }

    async fn confirm_if_due(&mut self) {
        let now = Instant::now();
        let due = self.current.as_ref().and_then(|session| session.due(&self.config));
        if due.is_some_and(|due| due <= now) && self.closing.len() < MOST_CLOSING {
            self.confirm().await;
        }
    }

    /// Has what the current session carries confirmed.
    async fn confirm(&mut self) {
        let patience = self.config.confirm_timeout;
        let Some(mut session) = self.current.take() else {
            return;
        };
        match self.config.confirm {
            Confirm::EndOfStream => {
                self.closing.spawn(session.close(patience));
            }
            // The connection goes on, for the receivers that need this mode never close theirs
            // and would collect a dead one per confirmation. The pause lasts one round trip.
            Confirm::Tcp => {
                let verdict = session.acknowledged(patience).await;
                // One that was made with other certificates ends here, where nothing is open.
                let outdated = session.generation() != self.dialer.generation();
                match verdict.outcome {
                    Ok(()) if outdated => session.leave().await,
                    Ok(()) => self.current = Some(session),
                    Err(_) => {}
                }
                self.judge(verdict);
            }
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        let changed = self.health.judged(verdict.outcome, Instant::now());
        let Verdict { lines, bytes, took, .. } = verdict;
        let took_s = took.as_secs_f64();
        match verdict.outcome {
            Ok(()) => {
                tracing::debug!(lines, bytes, took_s, "session confirmed");
                if changed {
                    tracing::info!("Devo confirms again");
                }
            }
            Err(Reason::Unconfirmed) if changed => tracing::warn!(
                lines,
                bytes,
                "the receiver never ends its stream; if it never will, set devo.confirm = \"tcp\""
            ),
            Err(reason) if changed => {
                tracing::warn!(lines, bytes, %reason, "a session broke, its records are sent again");
            }
            Err(reason) => tracing::debug!(lines, bytes, %reason, "a session broke"),
        }
    }

    /// Takes what is queued, has everything confirmed and leaves.
    async fn drain(mut self) {
        self.queue.close();
        while let Some(item) = self.queue.recv().await {
            self.last_chance().await;
            self.take(item).await;
        }
        if self.current.as_ref().is_some_and(|session| !session.is_empty()) {
            self.confirm().await;
        }
        if let Some(session) = self.current.take() {
            session.leave().await;
        }
        if let Some(wire) = self.spare.take() {
            wire.leave().await;
        }
        while let Some(ended) = self.closing.join_next().await {
            self.handle(Event::Closed(unless_panicked(ended))).await;
        }
        self.board.post(self.slot, Standing::default());
    }

    /// Without a session, waits for the one that is being dialled, if any.
    async fn last_chance(&mut self) {
        self.promote();
        if self.current.is_none()
            && let Some(ended) = self.dialling.join_next().await
        {
            self.handle(Event::Dialled(unless_panicked(ended))).await;
            self.promote();
        }
    }
}

enum Event {
    Closed(Option<Verdict>),
    CurrentEnded(Ending),
    Dialled(Option<Result<Wire, DialError>>),
    SpareEnded(Ending),
    Taken(Item),
    Woken,
}

/// Cancel safe; never resolves without a session.
async fn session_ended(session: &mut Option<Session>) -> Ending {
    match session {
        Some(session) => session.ended().await,
        None => pending().await,
    }
}

/// Cancel safe; never resolves without a wire.
async fn wire_ended(wire: &mut Option<Wire>) -> Ending {
    match wire {
        Some(wire) => wire.ended().await,
        None => pending().await,
    }
}

/// Cancel safe; never resolves without a moment.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Sessions that may await their confirmation side by side. A confirmation takes a few round
/// trips, a session usually seconds: more than one is rare, more than a few mean a receiver that
/// cannot keep up.
const MOST_CLOSING: usize = 4;
