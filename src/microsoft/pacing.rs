//! How fast each tenant may be asked.
//!
//! Microsoft counts requests per tenant in a sliding minute, so the budget is an exact [`Window`]
//! and not a token bucket, which would let nearly twice the budget through in one minute. A request
//! keeps its place from its start until a minute after its answer began: Microsoft saw it somewhere
//! in between, so whatever the network does, no minute of Microsoft's holds more than the budget.
//!
//! Callers of one tenant are admitted in the order they came. A tenant that was throttled admits
//! nobody until its pause is over; callers are told at once until when, so that no work waits
//! inside. Tenants share nothing. Replicas share each tenant's budget: how it is divided is told
//! from outside, and so is a pause that another one met with.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    backoff::{Backoff, jitter},
    content::{TenantId, Tenants},
};

mod window;

pub use window::Window;

/// The pace of every tenant. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pacing(Arc<Inner>);

impl Pacing {
    /// A pace of `requests_per_minute` for each tenant.
    pub fn new(requests_per_minute: NonZeroU32, tenants: &Tenants) -> Self {
        Self(Arc::new(Inner {
            requests_per_minute,
            backoff: Backoff::try_new(PAUSE_MIN, PAUSE_MAX).expect("the bounds are in order"),
            tenants: tenants.clone(),
            share: AtomicU32::new(requests_per_minute.get()),
            part: AtomicU32::new(requests_per_minute.get()),
            lanes: DashMap::new(),
            told: Notify::new(),
        }))
    }

    /// Keeps to this part of every tenant's budget, and to one request at least.
    pub fn keep_to_one_of(&self, parts: NonZeroU32) {
        let share =
            NonZeroU32::new(self.0.requests_per_minute.get() / parts).unwrap_or(NonZeroU32::MIN);
        self.0.part.store(share.get(), Ordering::Relaxed);
        self.resize(share.get());
    }

    /// Keeps to so much of every tenant's budget for now, of a part that is ours if we need it, both
    /// in millionths. Of nothing, nothing is asked until there is something again.
    pub fn keep_to(&self, millionths: u32, part: u32) {
        self.0.part.store(self.requests(part), Ordering::Relaxed);
        self.resize(self.requests(millionths));
    }

    /// Asks nothing until told what to keep to.
    pub fn keep_to_nothing(&self) {
        self.resize(0);
    }

    /// What one request is of a tenant's budget, in whole millionths.
    pub fn request(&self) -> u32 {
        MILLION / self.0.requests_per_minute.get()
    }

    /// What part of its budget the busiest tenant was asked with in the last minute, in whole
    /// millionths.
    pub fn used(&self) -> u32 {
        let now = Instant::now();
        let used = self.0.lanes.iter().map(|lane| lane.state().window.used(now)).max();
        let used = u64::try_from(used.unwrap_or(0)).unwrap_or(u64::MAX);
        let whole = u64::from(self.0.requests_per_minute.get());
        let part = used.saturating_mul(u64::from(MILLION)) / whole;
        u32::try_from(part).unwrap_or(u32::MAX)
    }

    /// The tenants that are paused, and until when.
    pub fn pauses(&self) -> Vec<(TenantId, Instant)> {
        let now = Instant::now();
        let lanes = self.0.lanes.iter();
        lanes.filter_map(|lane| Some((*lane.key(), lane.state().paused(now)?))).collect()
    }

    /// Resolves when a tenant was paused by an answer since the last time it did. For one waiter.
    /// Cancel safe.
    pub async fn told(&self) {
        self.0.told.notified().await;
    }

    /// Pauses a tenant because another replica was told to; says whether that is longer than it was.
    pub fn follow(&self, tenant: TenantId, until: Instant) -> bool {
        let lane = self.lane(tenant);
        let mut state = lane.state();
        if state.paused(Instant::now()).is_some_and(|paused| paused >= until) {
            return false;
        }
        state.pause = Some(until);
        drop(state);
        lane.changed.notify_waiters();
        true
    }

    /// How many requests of the tenant could start now.
    pub fn room(&self, tenant: TenantId) -> usize {
        if self.0.tenants.find(tenant).is_none() {
            return 0;
        }
        let lane = self.lane(tenant);
        let now = Instant::now();
        let mut state = lane.state();
        if state.paused(now).is_some() {
            return 0;
        }
        let waiting = lane.waiting.load(Ordering::Relaxed);
        state.window.room(now).saturating_sub(waiting)
    }

    /// Whether so little of the tenant's budget is in use that work without hurry may take of it.
    pub fn is_relaxed(&self, tenant: TenantId) -> bool {
        let part = budget(self.0.part.load(Ordering::Relaxed));
        let lane = self.lane(tenant);
        let used = lane.state().window.used(Instant::now());
        let taken = used + lane.waiting.load(Ordering::Relaxed);
        self.room(tenant) > 0 && part.saturating_sub(taken) > part / 2
    }

    /// Until when the tenant is paused, if it is.
    pub fn paused_until(&self, tenant: TenantId) -> Option<Instant> {
        self.lane(tenant).state().paused(Instant::now())
    }

    /// Waits for a place in the tenant's window.
    ///
    /// Cancel safe: a caller that goes away gives its turn to the next one.
    ///
    /// # Errors
    ///
    /// [`Paused`] when the tenant is, or becomes so while waiting.
    pub(crate) async fn permit(&self, tenant: TenantId) -> Result<Permit, Paused> {
        let lane = self.lane(tenant);
        let _waiting = Waiting::new(&lane.waiting);
        let _turn = lane.queue.lock().await;
        loop {
            // Created before the state is read: what changes in between wakes us up.
            let changed = lane.changed.notified();
            let free_at = {
                let now = Instant::now();
                let mut state = lane.state();
                if let Some(until) = state.paused(now) {
                    return Err(Paused { until });
                }
                match state.window.admit(now) {
                    Ok(()) => return Ok(Permit { lane: lane.clone() }),
                    // All places are held by requests in flight: one of them will say so.
                    Err(None) => None,
                    Err(Some(wait)) => Some(now + wait),
                }
            };
            let free = async {
                match free_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = free => {}
                () = changed => {}
            }
        }
    }

    /// Pauses the tenant after a throttling answer, and says until when.
    ///
    /// Without a told `wait` the pause grows with each throttling in a row. Answers to requests
    /// that were already under way when the pause began belong to the same throttling.
    pub(super) fn pause(&self, tenant: TenantId, wait: Option<Duration>) -> Instant {
        let lane = self.lane(tenant);
        let now = Instant::now();
        let mut state = lane.state();
        let paused = state.paused(now);
        let until = match (wait, paused) {
            (Some(wait), _) => now + wait.max(PAUSE_MIN),
            (None, Some(until)) => until,
            (None, None) => {
                state.untold = state.untold.saturating_add(1);
                now + self.0.backoff.delay(state.untold, jitter())
            }
        };
        let until = paused.map_or(until, |paused| paused.max(until));
        state.pause = Some(until);
        drop(state);
        lane.changed.notify_waiters();
        self.0.told.notify_one();
        until
    }

    /// A request was answered, whatever else it was told: the next pause is a short one again.
    pub(super) fn admitted(&self, tenant: TenantId) {
        let lane = self.lane(tenant);
        let mut state = lane.state();
        // During a pause this is the answer to a request from before it.
        if state.paused(Instant::now()).is_none() {
            state.untold = 0;
        }
    }

    /// The requests that so many whole millionths stand for. What was cut off from them is less than
    /// one, and is given back: a third of three requests is one. All parts together are still no
    /// more than the whole, as long as that is less than a million for each replica.
    fn requests(&self, millionths: u32) -> u32 {
        let whole = u64::from(self.0.requests_per_minute.get());
        let millionths = match millionths {
            0 => 0,
            some => u64::from(some.min(MILLION - 1)) + 1,
        };
        u32::try_from(whole * millionths / u64::from(MILLION)).unwrap_or(u32::MAX)
    }

    fn resize(&self, share: u32) {
        self.0.share.store(share, Ordering::Relaxed);
        for lane in &self.0.lanes {
            lane.state().window.resize(budget(share));
            lane.changed.notify_waiters();
        }
    }

    /// Lanes are made when they are asked for: tenants appear while the process runs. There is one
    /// for each tenant that ever did.
    fn lane(&self, tenant: TenantId) -> Arc<Lane> {
        if let Some(lane) = self.0.lanes.get(&tenant) {
            return lane.clone();
        }
        let lane = || Arc::new(Lane::new(self.0.share.load(Ordering::Relaxed)));
        self.0.lanes.entry(tenant).or_insert_with(lane).clone()
    }
}

/// A place in a tenant's window, held from before the request until its answer begins.
#[derive(Debug)]
pub(crate) struct Permit {
    lane: Arc<Lane>,
}

impl Drop for Permit {
    /// Also on the way of a failure or a dropped call: Microsoft may have seen the request.
    fn drop(&mut self) {
        self.lane.state().window.answered(Instant::now());
        self.lane.changed.notify_waiters();
    }
}

/// The tenant admits nobody for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paused {
    pub(crate) until: Instant,
}

#[derive(Debug)]
struct Inner {
    requests_per_minute: NonZeroU32,
    backoff: Backoff,
    tenants: Tenants,
    /// Requests per minute for each tenant, of which this process has a part.
    share: AtomicU32,
    /// The part that is ours if we need it; work without hurry keeps to half of it.
    part: AtomicU32,
    lanes: DashMap<TenantId, Arc<Lane>>,
    /// Wakes who tells others of a pause.
    told: Notify,
}

#[derive(Debug)]
struct Lane {
    state: Mutex<State>,
    /// First come, first served: tokio's lock is fair.
    queue: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    changed: Notify,
}

impl Lane {
    fn new(share: u32) -> Self {
        Self {
            state: Mutex::new(State { window: Window::new(budget(share)), pause: None, untold: 0 }),
            queue: tokio::sync::Mutex::new(()),
            waiting: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

#[derive(Debug)]
struct State {
    window: Window,
    pause: Option<Instant>,
    /// Throttlings in a row that did not say how long to wait.
    untold: u32,
}

impl State {
    fn paused(&self, now: Instant) -> Option<Instant> {
        self.pause.filter(|until| *until > now)
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn budget(requests: u32) -> usize {
    usize::try_from(requests).unwrap_or(usize::MAX)
}

const MILLION: u32 = 1_000_000;

/// The least pause: one that is told as zero would be a busy loop.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause nobody asked for: Microsoft counts a minute of requests, and after a minute
/// without one there is nothing left to wait for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
