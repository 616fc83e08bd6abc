//! Several replicas over one ledger.

use std::num::NonZeroU32;

use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;
use crate::{
    clock::Clock,
    content::{ContentType, Tenant, TenantId, Tenants},
    ledger::{self, Ledger, LedgerError, SweepDepth, Swept},
    microsoft::pacing::Pacing,
    shutdown::Shutdown,
};

/// A ledger that replicas share, and time as a test says it is.
struct Site {
    ledger: Ledger,
    tenants: Tenants,
    clock: Clock,
    _writer: JoinSet<Result<(), LedgerError>>,
    _directory: TempDir,
}

/// A replica that does something when it is told to.
struct One {
    duties: Duties,
    keeper: Keeper,
    ledger: Ledger,
    pacing: Pacing,
    draining: Shutdown,
}

impl Site {
    async fn start(tenants: u128) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = ledger::tests::config(directory.path());
        let (ledger, writer) = Ledger::open(&config).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(Shutdown::new()));
        let site = Self {
            ledger,
            tenants: Tenants::default(),
            clock: Clock::system(),
            _writer: tasks,
            _directory: directory,
        };
        site.tenants.replace((1..=tenants).map(|number| Arc::new(configured(number))));
        site
    }

    fn join(&self) -> One {
        self.join_as(self.ledger.as_another())
    }

    fn join_as(&self, ledger: Ledger) -> One {
        let pacing = Pacing::new(NonZeroU32::new(1000).unwrap(), &self.tenants);
        let draining = Shutdown::new();
        let parts = Parts {
            ledger: ledger.clone(),
            tenants: self.tenants.clone(),
            pacing: pacing.clone(),
            clock: self.clock.clone(),
            draining: draining.clone(),
        };
        let (duties, keeper) = Duties::open(parts, About::default(), Times::default());
        One { duties, keeper, ledger, pacing, draining }
    }

    fn all(&self) -> usize {
        2 * self.tenants.len() + 1
    }
}

impl One {
    fn held(&self) -> usize {
        self.duties.ours().len()
    }

    fn sweeps(&self, number: u128) -> Option<Hold> {
        self.duties.held(Duty::Sweep(tenant(number)))
    }

    /// What it may ask of a tenant in a minute.
    fn share(&self) -> usize {
        self.pacing.room(tenant(1))
    }

    /// Asks for a tenant as often as it may.
    async fn use_all(&self) {
        while self.share() > 0 {
            drop(self.pacing.permit(tenant(1)).await.unwrap());
        }
    }

    /// What it has asked for in the last minute.
    fn used(&self) -> usize {
        usize::try_from(self.pacing.used() / 1000).unwrap()
    }
}

/// Everybody gives a sign of life and looks, some times.
async fn rounds(replicas: &mut [&mut One], times: u32) {
    for _ in 0..times {
        tokio::time::advance(Duration::from_secs(2)).await;
        for one in &mut *replicas {
            one.keeper.round(Instant::now()).await;
        }
    }
}

fn tenant(number: u128) -> TenantId {
    TenantId::from(Uuid::from_u128(number))
}

fn configured(number: u128) -> Tenant {
    let id = tenant(number);
    Tenant {
        id,
        client_id: id.as_uuid().into(),
        name: id.to_string().into(),
        content_types: vec![ContentType::General],
    }
}

fn swept() -> Vec<Swept> {
    let now = Clock::system().now();
    vec![Swept {
        content_type: ContentType::General,
        depth: SweepDepth::Recent,
        until: now,
        at: now,
    }]
}

/// Makes time stand still but for what a test advances it by. As long as something blocks, it does
/// not run on by itself while the database works.
fn stop_time() -> StandStill {
    tokio::time::pause();
    let (running_on, ended) = std::sync::mpsc::channel::<()>();
    let mut blocking = JoinSet::new();
    blocking.spawn_blocking(move || ended.recv().ok());
    StandStill { _running_on: running_on, _blocking: blocking }
}

struct StandStill {
    _running_on: std::sync::mpsc::Sender<()>,
    _blocking: JoinSet<Option<()>>,
}

#[tokio::test]
async fn the_only_process_has_everything_at_once_and_for_ever() {
    let site = Site::start(500).await;
    let mut one = site.join_as(site.ledger.clone());
    assert_eq!(one.share(), 1000, "the whole budget, before anything");
    one.keeper.round(Instant::now()).await;
    assert_eq!(one.held(), 1001);
    let _still = stop_time();
    tokio::time::advance(Duration::from_secs(3600)).await;
    let hold = one.sweeps(500).expect("nobody else could take it");
    site.ledger.swept_under(hold.fence(), tenant(500), swept()).await.unwrap();
}

#[tokio::test]
async fn a_tenant_that_appears_is_taken_at_once() {
    let site = Site::start(1).await;
    let one = site.join_as(site.ledger.clone());
    let (stop, mut tasks) = (Shutdown::new(), JoinSet::new());
    tasks.spawn(one.keeper.run(stop.clone()));
    one.duties.known().await;
    site.tenants.replace((1..=2).map(|number| Arc::new(configured(number))));
    let asked = Instant::now();
    timeout(Duration::from_secs(60), one.duties.hold(Duty::Sweep(tenant(2)))).await.unwrap();
    assert!(asked.elapsed() < Times::default().beat_alone / 2, "{:?}", asked.elapsed());
    stop.request();
    tasks.join_next().await.unwrap().unwrap();
    assert!(site.ledger.duties().await.unwrap().iter().all(|duty| duty.holder.is_none()));
}

#[tokio::test]
async fn those_who_join_get_their_part_and_those_who_leave_give_it_back() {
    let site = Site::start(10).await;
    let (mut a, mut b, mut c) = (site.join(), site.join(), site.join());
    let _still = stop_time();
    rounds(&mut [&mut a], 1).await;
    assert_eq!(a.held(), site.all());
    rounds(&mut [&mut a, &mut b], 4).await;
    assert_eq!((a.held() + b.held(), a.held().abs_diff(b.held())), (21, 1));
    rounds(&mut [&mut a, &mut b, &mut c], 5).await;
    assert_eq!((a.held(), b.held(), c.held()), (7, 7, 7));
    b.draining.request();
    rounds(&mut [&mut a, &mut b, &mut c], 4).await;
    assert_eq!((a.held() + c.held(), b.held()), (21, 0));
    assert!(b.share() > 0, "what is under way goes on");
}

#[tokio::test]
async fn a_dead_replica_is_relieved_within_a_term_and_what_it_writes_late_is_refused() {
    let site = Site::start(3).await;
    let (mut dead, mut other) = (site.join(), site.join());
    let _still = stop_time();
    rounds(&mut [&mut dead, &mut other], 5).await;
    let number = (1..=3).find(|number| dead.sweeps(*number).is_some()).unwrap();
    let hold = dead.sweeps(number).unwrap();
    let mut silent = Duration::ZERO;
    while other.sweeps(number).is_none() {
        // Never two at once: by then the other has stopped.
        assert!(silent < Duration::from_secs(14), "within a term and two signs of life");
        rounds(&mut [&mut other], 1).await;
        silent += Duration::from_secs(2);
        assert!(dead.sweeps(number).is_none() || other.sweeps(number).is_none());
    }
    assert!(dead.sweeps(number).is_none(), "it knows by its own clock");
    let late = dead.ledger.swept_under(hold.fence(), tenant(number), swept()).await;
    assert!(matches!(late, Err(LedgerError::Outdated)), "{late:?}");
    assert_eq!(other.held(), site.all());
    // It comes back, and begins anew with its part.
    rounds(&mut [&mut dead, &mut other], 6).await;
    assert_eq!((dead.held() + other.held(), dead.held().abs_diff(other.held())), (7, 1));
}

#[tokio::test]
async fn who_cannot_reach_the_ledger_stops_by_itself_in_time() {
    let site = Site::start(1).await;
    let mut one = site.join();
    let _still = stop_time();
    rounds(&mut [&mut one], 1).await;
    let hold = one.sweeps(1).unwrap();
    let (duties, pacing) = (one.duties.clone(), one.pacing.clone());
    let mut ending = JoinSet::new();
    ending.spawn(async move { duties.end_in_time(|| pacing.keep_to_nothing()).await });
    let mut working = JoinSet::new();
    working.spawn(async move { hold.lost().await });
    let begun = Instant::now();
    while working.try_join_next().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "before anybody else begins");
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(one.sweeps(1).is_none());
    assert_eq!(one.share(), 0, "nothing is asked either");
    // The rows still say that it is ours, and nobody took it.
    rounds(&mut [&mut one], 1).await;
    assert!(one.sweeps(1).is_some() && one.share() > 0);
}

#[tokio::test]
async fn an_outage_that_all_share_takes_nothing_from_anybody() {
    let site = Site::start(4).await;
    let (mut a, mut b) = (site.join(), site.join());
    let _still = stop_time();
    rounds(&mut [&mut a, &mut b], 5).await;
    let before = (a.duties.ours(), b.duties.ours());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(before.0.keys().all(|duty| a.duties.held(*duty).is_none()), "nothing is ours unproven");
    rounds(&mut [&mut a, &mut b], 5).await;
    assert_eq!((a.duties.ours(), b.duties.ours()), before);
}

#[tokio::test]
async fn nobody_gives_back_what_somebody_still_works_under() {
    let site = Site::start(5).await;
    let (mut a, mut b) = (site.join(), site.join());
    let _still = stop_time();
    rounds(&mut [&mut a], 1).await;
    let working: Vec<_> = (1..=5).map(|number| a.sweeps(number).unwrap()).collect();
    let mut tasks = JoinSet::new();
    let ended = Arc::new(Mutex::new(0));
    for hold in working {
        let ended = ended.clone();
        tasks.spawn(async move {
            hold.lost().await;
            *ended.lock().unwrap() += 1;
        });
    }
    rounds(&mut [&mut b, &mut a], 1).await;
    let given = site.all() - a.held();
    assert!(given > 0 && *ended.lock().unwrap() > 0);
    let rows = site.ledger.duties().await.unwrap();
    assert_eq!(rows.iter().filter(|duty| duty.holder.is_none()).count(), given);
    tasks.shutdown().await;
}

#[tokio::test]
async fn shares_of_the_budget_follow_the_living() {
    let site = Site::start(1).await;
    let (mut a, mut b) = (site.join(), site.join());
    let _still = stop_time();
    assert_eq!((a.share(), b.share()), (0, 0), "nothing is ours before we know what is left");
    rounds(&mut [&mut a], 1).await;
    assert_eq!(a.share(), 125, "a head start");
    for _ in 0..8 {
        a.use_all().await;
        rounds(&mut [&mut a], 1).await;
    }
    assert_eq!(a.used(), 1000, "one alone may use everything");
    tokio::time::advance(Duration::from_secs(61)).await;
    for _ in 0..12 {
        rounds(&mut [&mut a, &mut b], 1).await;
        a.use_all().await;
        b.use_all().await;
    }
    assert_eq!((a.used(), b.used()), (500, 500));
    // It dies without a word: what it may have asked for counts for another minute.
    rounds(&mut [&mut a], 8).await;
    a.use_all().await;
    assert_eq!(a.used(), 500);
    site.clock.advance(Duration::from_secs(70));
    for _ in 0..12 {
        rounds(&mut [&mut a], 1).await;
        a.use_all().await;
    }
    assert_eq!(a.used(), 1000);
}

#[tokio::test]
async fn what_one_is_throttled_by_pauses_all() {
    let site = Site::start(2).await;
    let (mut a, mut b) = (site.join(), site.join());
    let _still = stop_time();
    rounds(&mut [&mut a, &mut b], 3).await;
    assert!(a.pacing.follow(tenant(1), Instant::now() + Duration::from_secs(60)));
    a.keeper.exchange().await;
    b.keeper.exchange().await;
    let left = b.pacing.paused_until(tenant(1)).unwrap() - Instant::now();
    assert!(left > Duration::from_secs(55) && left <= Duration::from_secs(60), "{left:?}");
    assert_eq!(b.pacing.paused_until(tenant(2)), None);
    // Nobody makes it longer by passing it on.
    for _ in 0..5 {
        b.keeper.exchange().await;
        a.keeper.exchange().await;
    }
    assert!(a.pacing.paused_until(tenant(1)).unwrap() - Instant::now() <= Duration::from_secs(60));
}
