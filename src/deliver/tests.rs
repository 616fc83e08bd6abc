//! Delivery against receivers on loopback, most of them over TLS.

// The certificates are made by rcgen, which comes with the demonstration.
#![cfg(feature = "demo")]

use std::{io::Read as _, num::NonZeroUsize, time::Duration};

use bytes::Bytes;
use prometheus::Registry;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use self::receiver::{Behaviour, Certificates, Receiver};
use super::*;
use crate::{reason::Reason, shutdown::Shutdown};

mod confirmation;
mod identity;
mod receiver;
mod rotation;

#[tokio::test]
async fn a_parcel_is_confirmed_after_the_idle_second() {
    let mut world = World::proper().await;
    let started = Instant::now();
    let receipt = world.parcel(0, 3).await;
    within(receipt.confirmed()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(900));
    assert_eq!(world.received().await, lines(0, 3));
    assert!(matches!(world.outlet.state(), State::Connected));
    assert_eq!(world.gauge(), 1);
    world.stop().await;
    assert_eq!(world.gauge(), 0);
}

#[tokio::test]
async fn a_parcel_without_batches_is_confirmed_at_once() {
    let world = World::proper().await;
    within(world.outlet.parcel().seal().confirmed()).await.unwrap();
}

#[tokio::test]
async fn rotations_by_bytes_lose_nothing_and_keep_the_order() {
    let mut world = World::with(|config| config.confirm_bytes = 64 * 1024).await;
    let mut receipts = JoinSet::new();
    for number in 0..40 {
        let receipt = world.parcel(number * 1000, 10).await;
        receipts.spawn(receipt.confirmed());
    }
    while let Some(confirmed) = within(receipts.join_next()).await {
        confirmed.unwrap().unwrap();
    }
    let sessions = world.receiver.received().len();
    assert!(sessions >= 6, "{sessions} sessions");
    let expected: Vec<u8> = (0..40).flat_map(|n| lines(n * 1000, 10)).collect();
    assert_eq!(world.received().await, expected);
}

#[tokio::test]
async fn rotations_by_interval_lose_nothing_and_make_no_pause() {
    let mut world =
        World::with(|config| config.confirm_interval = Duration::from_millis(200)).await;
    let mut parcel = world.outlet.parcel();
    let started = Instant::now();
    let mut longest = Duration::ZERO;
    let mut sent = 0;
    while started.elapsed() < Duration::from_millis(1500) {
        let before = Instant::now();
        parcel.send(batch(sent, 1)).await.unwrap();
        longest = longest.max(before.elapsed());
        sent += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    within(parcel.seal().confirmed()).await.unwrap();
    assert!(world.receiver.received().len() >= 5);
    assert!(longest < Duration::from_millis(150), "waited {longest:?}");
    assert_eq!(world.received().await, lines(0, sent));
}

#[tokio::test]
async fn parcels_take_turns_on_the_slots() {
    let mut world = World::with(|config| config.connections = NonZeroUsize::new(3).unwrap()).await;
    world.receiver.until(|received| received.len() == 3).await;
    let mut receipts = Vec::new();
    for number in 0..3 {
        receipts.push(world.parcel(number * 10, 1).await);
    }
    for receipt in receipts {
        within(receipt.confirmed()).await.unwrap();
    }
    let used = world.receiver.received();
    assert_eq!(used.iter().filter(|bytes| !bytes.is_empty()).count(), 3);
}

#[tokio::test]
async fn gzip_members_decode() {
    let mut world = World::with(|config| config.compression = Compression::Gzip).await;
    let receipt = world.parcel(0, 20).await;
    within(receipt.confirmed()).await.unwrap();
    let raw = world.received().await;
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&raw[..]).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, lines(0, 20));
    assert!(raw.len() < plain.len() / 2);
}

#[tokio::test]
async fn shutdown_confirms_what_was_sent() {
    let mut world = World::with(|config| config.confirm_interval = Duration::from_secs(600)).await;
    within(world.outlet.ready()).await;
    let receipt = world.parcel(0, 3).await;
    let started = Instant::now();
    world.stop().await;
    within(receipt.confirmed()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(900), "at once");
    assert_eq!(world.received().await, lines(0, 3));
    let mut late = world.outlet.parcel();
    assert_eq!(late.send(batch(0, 1)).await, Err(Reason::Unreachable));
}

#[tokio::test]
async fn plain_tcp_to_a_relay_is_confirmed_too() {
    let receiver = Receiver::start(None, |_| Behaviour::Proper).await;
    let mut world = World::new(receiver, None, |_| {}).await;
    let receipt = world.parcel(0, 3).await;
    within(receipt.confirmed()).await.unwrap();
    assert_eq!(world.received().await, lines(0, 3));
}

/// A receiver and an outlet that is open to it.
struct World {
    receiver: Receiver,
    outlet: Outlet,
    metrics: Metrics,
    shutdown: Shutdown,
    sessions: JoinSet<()>,
    // Holds the files.
    _certificates: Option<Certificates>,
}

impl World {
    async fn proper() -> Self {
        Self::with(|_| {}).await
    }

    /// A proper receiver over TLS and a configuration of one's own.
    async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        Self::facing(|_| Behaviour::Proper, adjust).await
    }

    async fn facing(
        behaviour: impl Fn(usize) -> Behaviour + Send + 'static,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let certificates = Certificates::new("127.0.0.1");
        let receiver = Receiver::start(Some(certificates.server(false)), behaviour).await;
        Self::new(receiver, Some(certificates), adjust).await
    }

    async fn new(
        receiver: Receiver,
        certificates: Option<Certificates>,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = config(&receiver, certificates.as_ref());
        adjust(&mut config);
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let (outlet, loops) = Outlet::open(config, metrics.clone()).unwrap();
        let shutdown = Shutdown::new();
        let mut sessions = JoinSet::new();
        sessions.spawn(loops.run(shutdown.clone()));
        Self { receiver, outlet, metrics, shutdown, sessions, _certificates: certificates }
    }

    /// Sends a parcel of numbered lines, one batch per line.
    async fn parcel(&self, first: u64, batches: u64) -> Receipt {
        let mut parcel = self.outlet.parcel();
        for number in first..first + batches {
            within(parcel.send(batch(number, 1))).await.unwrap();
        }
        parcel.seal()
    }

    /// All bytes of all connections in the order in which the connections came.
    async fn received(&mut self) -> Vec<u8> {
        self.receiver.received().concat()
    }

    async fn state_becomes(&self, wanted: impl Fn(&State) -> bool) -> State {
        let reached = async {
            loop {
                let state = self.outlet.state();
                if wanted(&state) {
                    return state;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(reached).await
    }

    fn gauge(&self) -> i64 {
        self.metrics.connected.get()
    }

    async fn stop(&mut self) {
        self.shutdown.request();
        within(self.sessions.join_next()).await.unwrap().unwrap();
    }
}

fn config(receiver: &Receiver, certificates: Option<&Certificates>) -> Config {
    let scheme = if certificates.is_some() { "tls" } else { "tcp" };
    Config {
        endpoint: format!("{scheme}://{}", receiver.address).parse().unwrap(),
        ca: certificates.map(|certificates| certificates.path("ca.pem")),
        identity: None,
        server_name: None,
        connections: NonZeroUsize::MIN,
        compression: Compression::None,
        confirm: Confirm::EndOfStream,
        confirm_interval: Duration::from_secs(10),
        confirm_bytes: 64 << 20,
        confirm_timeout: Duration::from_secs(10),
    }
}

/// A batch of that many numbered lines.
fn batch(first: u64, count: u64) -> Batch {
    Batch { lines: count, bytes: Bytes::from(lines(first, count)) }
}

/// Lines of a thousand and some bytes.
fn lines(first: u64, count: u64) -> Vec<u8> {
    let text = "x".repeat(1000);
    let line = |number| format!("<14>Jan  1 00:00:00 host tag: {number} {text}\n").into_bytes();
    (first..first + count).flat_map(line).collect()
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("done in time")
}
