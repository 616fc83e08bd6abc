//! Devo fails in every way it can while content is published, and heals.

use std::{
    fmt::Debug,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use m365_collector::simulator::{Config, DevoMode, Simulator, certificates::Material};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{RECORDS, Traffic, failed_deliveries};
use crate::support::{Builder, Service, any_port, books::Doomed, eventually};

/// Twice a few seconds of it, each beginning at a moment drawn by lot.
async fn through(mode: DevoMode, lasting: Duration, builder: Builder) {
    let builder = builder.tenants(2).with("fetch.retry_max", "1s");
    let mut service = builder.with("devo.confirm_interval", "300ms").start().await;
    let mut traffic = Traffic::new();
    for _ in 0..2 {
        let before = traffic.moment(Duration::from_secs(1));
        traffic.flow(&mut service, before).await;
        let failed = failed_deliveries(&service).await;
        service.simulator.devo().behave(mode);
        traffic.flow(&mut service, lasting).await;
        if !matches!(mode, DevoMode::CloseIdle(_)) {
            eventually("a session is cut", async || {
                traffic.publish(&mut service);
                failed_deliveries(&service).await > failed
            })
            .await;
        }
        service.simulator.devo().behave(DevoMode::Normal);
        traffic.flow(&mut service, Duration::from_millis(300)).await;
        service.delivered().await;
    }
    let sessions = service.simulator.devo().received().sessions;
    if matches!(mode, DevoMode::CloseIdle(_)) {
        assert!(sessions.opened > sessions.ended + sessions.broken, "{sessions:?}");
    }
    account(service, &traffic, mode).await;
}

/// Nothing lost, and nothing twice but what a session held whose confirmation was cut.
#[expect(clippy::print_stderr, reason = "the number is stated")]
async fn account(service: Service, traffic: &Traffic, what: impl Debug) {
    service.settled().await;
    let records = u32::try_from(RECORDS).unwrap();
    let failed = failed_deliveries(&service).await;
    let (published, held) = (u64::from(traffic.contents * records), u64::from(failed * records));
    let received = service.simulator.devo().received();
    eprintln!(
        "{what:?}: {published} records, {} arrived, {} came again, {held} were held unconfirmed \
         by sessions that were cut",
        received.distinct, received.repeated,
    );
    assert_eq!(received.distinct, published);
    assert!(received.repeated <= held, "{} of {held}", received.repeated);
    service.agrees(&Doomed::default()).await;
    if held == 0 {
        service.finish().await;
    } else {
        service.finish_with_repeats(1 + failed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused() {
    let mut service = Service::builder().with("devo.confirm_interval", "300ms").start().await;
    let mut traffic = Traffic::new();
    for _ in 0..3 {
        let before = traffic.moment(Duration::from_secs(1));
        traffic.flow(&mut service, before).await;
        service.simulator.devo().behave(DevoMode::Refuse);
        traffic.flow(&mut service, Duration::from_secs(2)).await;
        let agree = async || service.is_in_agreement(&Doomed::default()).await;
        eventually("the books agree on what waits", agree).await;
        service.simulator.devo().behave(DevoMode::Normal);
        service.delivered().await;
    }
    assert!(service.simulator.devo().received().sessions.refused > 0);
    assert_eq!(service.simulator.devo().received().repeated, 0, "no confirmation was cut");
    account(service, &traffic, DevoMode::Refuse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_in_the_middle_of_a_batch() {
    for bytes in [1, 7_000, 60_000] {
        through(DevoMode::ResetAfter(bytes), Duration::from_secs(1), Service::builder()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_and_never_closed() {
    let builder = Service::builder().with("devo.confirm_timeout", "1s");
    through(DevoMode::NeverClose, Duration::from_secs(3), builder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_when_idle() {
    let idle = DevoMode::CloseIdle(Duration::from_millis(20));
    through(idle, Duration::from_secs(2), Service::builder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_beyond_a_timeout() {
    let builder = Service::builder().with("devo.confirm_timeout", "1s");
    through(DevoMode::Stall, Duration::from_secs(3), builder).await;
}

/// Leases are renewed as long as a session is waited for, so nothing is claimed a second time.
#[tokio::test(flavor = "multi_thread")]
async fn stalled_for_longer_than_a_lease() {
    let mut service = Service::builder()
        .with("devo.confirm_timeout", "60s")
        .with("devo.confirm_interval", "300ms")
        .start()
        .await;
    service.stop().await;
    // Shorter than a file may say, which would make the test take minutes.
    service.run_with(|config| config.ledger.lease = Duration::from_secs(2)).await;
    let mut traffic = Traffic::new();
    traffic.flow(&mut service, Duration::from_millis(200)).await;
    service.simulator.devo().behave(DevoMode::Stall);
    traffic.flow(&mut service, Duration::from_secs(1)).await;
    sleep(Duration::from_secs(5)).await;
    service.simulator.devo().behave(DevoMode::Normal);
    service.delivered().await;
    assert_eq!(failed_deliveries(&service).await, 0, "the sessions went on");
    account(service, &traffic, "stalled for longer than a lease").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_refused_on_either_side() {
    let own = tempfile::tempdir().expect("a temporary folder can be made");
    let material = Material::open(Some(own.path())).expect("certificates can be made");
    // One whose certificate is of another authority, and one that asks us for another.
    let [foreign, demanding] = [0, 1].map(|_| tempfile::tempdir().expect("there is room"));
    for folder in [&foreign, &demanding] {
        drop(Material::open(Some(folder.path())).expect("certificates can be made"));
    }
    for name in ["devo.crt", "devo.key"] {
        fs::copy(own.path().join(name), demanding.path().join(name)).expect("files can be copied");
    }
    let mut others = Vec::new();
    for folder in [&foreign, &demanding] {
        let world = Config { material: Some(folder.path().to_owned()), ..Config::new(vec![]) };
        others.push(Simulator::start(world).await.expect("loopback ports are free"));
    }

    let way = Way::start().await;
    let mut service = Service::builder()
        .devo(format!("tls://{}", way.address))
        .with("devo.ca", material.devo_chain().display())
        .with("devo.cert", material.domain_cert().display())
        .with("devo.key", material.domain_key().display())
        .with("devo.confirm_interval", "300ms")
        .world(|world| world.material = Some(own.path().to_owned()))
        .start()
        .await;
    let mut traffic = Traffic::new();
    way.lead_to(&service.simulator);
    for other in &others {
        let before = traffic.moment(Duration::from_secs(1));
        traffic.flow(&mut service, before).await;
        way.lead_to(other);
        traffic.flow(&mut service, Duration::from_secs(2)).await;
        eventually("it is refused", async || other.devo().received().sessions.refused > 0).await;
        way.lead_to(&service.simulator);
        service.delivered().await;
        assert_eq!(other.devo().received().lines, 0, "nothing goes to whom we do not trust");
    }
    assert_eq!(service.simulator.devo().received().repeated, 0, "no confirmation was cut");
    account(service, &traffic, "a certificate refused").await;
}

/// Leads new connections to one receiver or another. Those that are open stay where they are.
struct Way {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    _task: JoinSet<()>,
}

impl Way {
    async fn start() -> Self {
        let listener = TcpListener::bind(any_port()).await.expect("loopback ports are free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let target = Arc::<Mutex<Option<SocketAddr>>>::default();
        let mut task = JoinSet::new();
        let leads = target.clone();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.expect("connections are accepted");
                let Some(target) = *leads.lock().unwrap() else { continue };
                connections.spawn(async move {
                    let mut far = TcpStream::connect(target).await.expect("the receiver is there");
                    // However it ends, both sides have seen it.
                    drop(copy_bidirectional(&mut near, &mut far).await);
                });
            }
        });
        Self { address, target, _task: task }
    }

    fn lead_to(&self, simulator: &Simulator) {
        let endpoint = simulator.devo_endpoint();
        let address = endpoint.strip_prefix("tls://").and_then(|address| address.parse().ok());
        *self.target.lock().unwrap() = Some(address.expect("it is an address"));
    }
}
