//! Gives signs of life, takes duties and gives them back, and divides budgets.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::{Board, Duties, Plan, Sight, Times, pauses::Pauses, plan};
use crate::{
    clock::Clock,
    content::{Seen, Tenants},
    ledger::{Beat, Duty, Grant, HeldDuty, Ledger, LedgerError, Replica, ReplicaId, Use, WHOLE},
    microsoft::pacing::Pacing,
    shutdown::Shutdown,
};

/// Whom the keeper asks.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where replicas meet.
    pub ledger: Ledger,
    /// Whose duties there are.
    pub tenants: Tenants,
    /// What shares are kept by.
    pub pacing: Pacing,
    /// Wall time, for people to read.
    pub clock: Clock,
    /// Requested once the process drains: duties are given back then, and the share is kept.
    pub draining: Shutdown,
}

/// What people see of this process.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The host.
    pub name: String,
    /// Where its status is shown.
    pub address: String,
}

/// The loop that keeps a process's duties.
#[derive(Debug)]
pub struct Keeper {
    duties: Duties,
    parts: Parts,
    about: About,
    times: Times,
    joined: bool,
    /// When the last sign of life was begun.
    beaten: Option<Instant>,
    /// What of the budget this process keeps to.
    limit: u32,
    /// What of it is its own if it needs so much.
    part: u32,
    sight: Sight,
    peers: BTreeSet<ReplicaId>,
    /// Since when duties are free.
    free: HashMap<Duty, Instant>,
    /// Duties that nobody else took.
    extra: BTreeSet<Duty>,
    /// The tenants whose duties were arranged last.
    arranged: Option<Seen>,
    pauses: Pauses,
}

impl Keeper {
    pub(super) fn new(duties: Duties, parts: Parts, about: About, times: Times) -> Self {
        let limit = if parts.ledger.is_shared() { 0 } else { WHOLE };
        if parts.ledger.is_shared() {
            // Until it is known what is left.
            parts.pacing.keep_to(limit, WHOLE);
            parts.ledger.prune_under(None);
        }
        Self {
            duties,
            parts,
            about,
            times,
            joined: false,
            beaten: None,
            limit,
            part: WHOLE,
            sight: Sight::default(),
            peers: BTreeSet::new(),
            free: HashMap::new(),
            extra: BTreeSet::new(),
            arranged: None,
            pauses: Pauses::default(),
        }
    }

    /// Says where the status of this process is shown.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.about.address = address.to_string();
        self
    }

    /// Keeps duties until shutdown, and gives all of them back then.
    pub async fn run(mut self, shutdown: Shutdown) {
        let (duties, pacing) = (self.duties.clone(), self.parts.pacing.clone());
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.keep() => {}
            // Nor is anything asked any more, whatever the keeper waits for.
            () = duties.end_in_time(|| pacing.keep_to_nothing()) => {}
        }
        duties.end_all();
        let used = self.parts.pacing.used();
        let left = self.parts.ledger.leave(used, self.parts.clock.now());
        if !matches!(timeout(LEAVE_WITHIN, left).await, Ok(Ok(()))) {
            debug!("duties are not given back, others take them when this process stays silent");
        }
    }

    async fn keep(&mut self) {
        let mut drains = false;
        loop {
            let now = Instant::now();
            let due = self.due();
            if due.is_none_or(|due| due <= now) {
                self.round(now).await;
            } else if !self.is_arranged() {
                self.arrange(now).await;
            }
            if self.parts.ledger.is_shared() {
                self.exchange().await;
            }
            let shared = self.parts.ledger.is_shared();
            let due = self.due().unwrap_or(now);
            let next = if shared { due.min(now + self.times.look) } else { due };
            let next = next.max(Instant::now() + self.times.look.min(LEAST));
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.duties.0.asked.notified() => {}
                () = self.parts.pacing.told(), if shared => {}
                () = self.parts.draining.requested(), if !drains => {
                    drains = true;
                    self.beaten = None;
                }
            }
        }
    }

    /// Tells others of pauses, and makes theirs.
    pub(super) async fn exchange(&mut self) {
        // Signs of life must not wait for it.
        timeout(self.times.term / 4, self.pauses.exchange(&self.parts)).await.ok();
    }

    /// When the next sign of life is due; none: now.
    fn due(&self) -> Option<Instant> {
        let every = match (self.joined, self.parts.ledger.is_shared()) {
            (true, false) => self.times.beat_alone,
            (true, true) => self.times.beat,
            (false, _) => self.times.look,
        };
        self.beaten.map(|beaten| beaten + every)
    }

    fn is_arranged(&self) -> bool {
        !self.joined || self.arranged.as_ref().is_some_and(|seen| self.parts.tenants.is_still(seen))
    }

    /// A sign of life, and what follows from what others gave.
    pub(super) async fn round(&mut self, now: Instant) {
        self.beaten = Some(now);
        match self.beat().await {
            Ok(Some(grant)) => self.confirmed(grant, now),
            Ok(None) => {
                warn!("others took this process for dead; it begins anew");
                self.duties.end_all();
                self.joined = false;
                self.beaten = None;
                self.shrink_to_nothing();
                return;
            }
            Err(error) => {
                debug!(error = %error, "no sign of life can be given");
                if self.duties.0.is_over() {
                    self.shrink_to_nothing();
                }
                return;
            }
        }
        let alone = !self.parts.ledger.is_shared();
        if !(alone && self.is_arranged() && !self.parts.draining.is_requested()) {
            self.arrange(now).await;
        }
    }

    async fn beat(&self) -> Result<Option<Grant>, LedgerError> {
        let shared = self.parts.ledger.is_shared();
        let beat = Beat {
            name: self.about.name.clone(),
            address: self.about.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            term: if shared { self.times.term } else { 3 * self.times.beat_alone },
            joins: !self.joined,
            taking: !self.parts.draining.is_requested(),
            budget: Use {
                limit: self.limit,
                used: self.parts.pacing.used(),
                request: self.parts.pacing.request(),
            },
        };
        let beat = self.parts.ledger.beat(beat, self.parts.clock.now());
        // One that is answered later would count from now anyway, and whoever is cut off keeps to
        // nothing before others count on that.
        let limit = self.times.term.saturating_sub(self.times.margin + self.times.beat);
        timeout(limit, beat).await.unwrap_or(Err(LedgerError::Closed))
    }

    fn confirmed(&mut self, grant: Grant, asked: Instant) {
        self.joined = true;
        if !self.parts.ledger.is_shared() {
            return;
        }
        if self.duties.0.is_over() {
            // Others may have taken them, which the rows tell.
            self.duties.end_all();
            self.shrink_to_nothing();
        }
        let until = asked + self.times.term.saturating_sub(self.times.margin);
        self.duties.0.until.send_replace(Some(until));
        if grant.part != self.part {
            let percent = f64::from(grant.part) / f64::from(WHOLE / 100);
            debug!(share_percent = percent, "the budget is divided anew");
        }
        let limit = grant.share.min(grant.target);
        if (limit, grant.part) != (self.limit, self.part) {
            self.parts.pacing.keep_to(limit, grant.part);
            (self.limit, self.part) = (limit, grant.part);
        }
    }

    /// Whose silence may be taken for death must not use what is then given to others.
    fn shrink_to_nothing(&mut self) {
        if self.parts.ledger.is_shared() {
            self.parts.pacing.keep_to_nothing();
            self.limit = 0;
        }
    }

    /// Takes and gives back as the rows say.
    async fn arrange(&mut self, now: Instant) {
        let tenants = self.parts.tenants.seen();
        // Signs of life must not wait for it; what is taken late the rows tell the next time.
        match timeout(self.times.term / 4, self.try_arrange(&tenants, now)).await {
            Ok(Ok(())) => {
                self.arranged = Some(tenants);
                self.duties.tell();
            }
            Ok(Err(error)) => debug!(error = %error, "duties stay as they are"),
            Err(_late) => debug!("duties stay as they are, the ledger does not answer"),
        }
    }

    async fn try_arrange(&mut self, tenants: &Seen, now: Instant) -> Result<(), LedgerError> {
        let ledger = self.parts.ledger.clone();
        let me = ledger.replica();
        // In this order: whoever holds a duty by now is among those read after it. One that is taken
        // after it was read has another token, and is refused to us.
        let rows: BTreeMap<Duty, HeldDuty> =
            ledger.duties().await?.into_iter().map(|row| (row.duty, row)).collect();
        let mut alive = ledger.replicas().await?;
        alive.retain(|replica| replica.gone.is_none());
        self.bury(&mut alive).await?;
        if alive.iter().all(|replica| replica.id != me) {
            // The next sign of life will say so.
            return Ok(());
        }
        let holders: BTreeSet<_> = alive.iter().map(|replica| replica.id).collect();
        let mut taking: BTreeSet<_> =
            alive.iter().filter(|replica| replica.taking).map(|replica| replica.id).collect();
        if self.parts.draining.is_requested() {
            taking.remove(&me);
        }
        if taking != self.peers {
            info!(replicas = alive.len(), "{} replicas share the duties", taking.len());
            self.extra.clear();
            self.free.clear();
            self.peers = taking;
        }
        let held: BTreeMap<_, _> = rows
            .values()
            .filter_map(|row| Some((row.duty, row.holder?)))
            .filter(|(_, holder)| holders.contains(holder))
            .collect();
        let wanted = wanted(tenants);
        let left = self.left(&wanted, &held, now);
        let plan = plan(&Board {
            me,
            replicas: &self.peers,
            wanted: &wanted,
            held: &held,
            left: &left,
            extra: &self.extra,
        });
        self.carry_out(plan, &rows, &left).await
    }

    /// Declares gone who has been silent for too long.
    async fn bury(&mut self, alive: &mut Vec<Replica>) -> Result<(), LedgerError> {
        let (ledger, me) = (&self.parts.ledger, self.parts.ledger.replica());
        let others = alive.iter().filter(|replica| replica.id != me);
        // After the rows were read: what they say may be younger than the moment it was asked for.
        let silent = self.sight.look(others, 3 * self.times.beat, Instant::now());
        for id in silent {
            let Some(at) = alive.iter().position(|replica| replica.id == id) else { continue };
            if ledger.declare_gone(id, alive[at].beat, self.parts.clock.now()).await? {
                let gone = alive.remove(at);
                warn!(replica = %id, name = gone.name, "a replica is silent, its duties are taken");
            }
        }
        Ok(())
    }

    /// Which duties have been free for so long that others do not know them.
    fn left(
        &mut self,
        wanted: &BTreeSet<Duty>,
        held: &BTreeMap<Duty, ReplicaId>,
        now: Instant,
    ) -> BTreeSet<Duty> {
        self.free.retain(|duty, _| wanted.contains(duty) && !held.contains_key(duty));
        let free = wanted.iter().filter(|duty| !held.contains_key(*duty));
        let long = free.filter(|duty| {
            let since = *self.free.entry(**duty).or_insert(now);
            now.saturating_duration_since(since) >= self.times.beat * LEFT_AFTER
        });
        long.copied().collect()
    }

    async fn carry_out(
        &mut self,
        plan: Plan,
        rows: &BTreeMap<Duty, HeldDuty>,
        left: &BTreeSet<Duty>,
    ) -> Result<(), LedgerError> {
        let ledger = self.parts.ledger.clone();
        let give: BTreeSet<_> = plan.give.into_iter().collect();
        self.extra.retain(|duty| !give.contains(duty));
        let proof = |duty: &Duty| rows.get(duty).and_then(|row| ledger.fence(row));
        let mut ended = self.duties.ours();
        ended.retain(|duty, fence| give.contains(duty) || proof(duty) != Some(*fence));
        // Nobody else begins before we have ended.
        self.duties.end(ended.into_keys()).await;
        ledger.give(give.iter().filter_map(proof).collect()).await?;
        let kept = rows.keys().filter(|duty| !give.contains(duty));
        kept.filter_map(proof).for_each(|fence| self.duties.begin(fence));
        let token = |duty: &Duty| (*duty, rows.get(duty).map_or(0, |row| row.token));
        let take = plan.take.iter().map(token).collect();
        for fence in ledger.take(take, self.parts.clock.now()).await? {
            if left.contains(&fence.duty()) {
                self.extra.insert(fence.duty());
            }
            self.duties.begin(fence);
        }
        ledger.prune_under(self.duties.ours().get(&Duty::Prune).copied());
        Ok(())
    }
}

fn wanted(tenants: &Seen) -> BTreeSet<Duty> {
    let of = |id| [Duty::Sweep(id), Duty::Subscriptions(id)];
    let duties = tenants.iter().flat_map(|tenant| of(tenant.id));
    duties.chain([Duty::Prune]).collect()
}

/// Signs of life after which a duty that nobody took is one that nobody else knows: more than it
/// takes until everybody has found its part.
const LEFT_AFTER: u32 = 8;

/// Between two rounds, whatever wakes them.
const LEAST: Duration = Duration::from_millis(20);

/// Part of what closing the ledger may take.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
