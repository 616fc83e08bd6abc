//! Junk by the thousand, slow connections by the hundred, and honest notifications between them.
//!
//! What it measures is printed. In the suite the load is what a debug build on a busy machine can
//! take; `M365_EDGE_JUNK` (requests a second), `M365_EDGE_SLOW` and `M365_EDGE_P99` (the factor by
//! which the 99th percentile may grow) make a measurement of it, with a release build.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use super::target::{MEMORY_KIB, Rude, Target};
use crate::support::edge::{Post, Protocol};

/// Sends junk on several connections at a steady pace, each as long as it is kept.
async fn junk(port: SocketAddr, source: Ipv4Addr, per_second: u64, sent: Arc<AtomicU64>) {
    const BURST: u64 = 10;
    let wrong = Post::new("0123456789abcdef-wrong", "[]").bytes();
    let other = Post::new("x", "[]").path("/wp-login.php").bytes();
    let mut ticks = interval(
        Duration::from_secs(1) * u32::try_from(BURST).unwrap()
            / u32::try_from(per_second.max(1)).unwrap(),
    );
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        for n in 0..BURST {
            let Ok(mut rude) = Rude::from(port, source).await else { continue };
            if rude.send(if n % 2 == 0 { &wrong } else { &other }).await {
                // Reads the answer, as a scanner would, and is told that this was all.
                rude.status().await;
            }
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The 99th percentile of honest notifications, each answered 200.
async fn honest(target: &Target, count: usize, pause: Duration) -> Duration {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let answer = target.post("[]").ask(target.site.webhook, Protocol::Http1).await;
        times.push(start.elapsed());
        assert_eq!(answer.status, 200);
        tokio::time::sleep(pause).await;
    }
    times.sort();
    times[count * 99 / 100]
}

fn knob(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[expect(clippy::print_stdout, reason = "a measurement is for people to read")]
#[tokio::test(flavor = "multi_thread")]
async fn honest_notifications_are_answered_among_junk_and_slow_connections() {
    let (rate, slow) = (knob("M365_EDGE_JUNK", 300), knob("M365_EDGE_SLOW", 300));
    let target = Target::start(&[("webhook.header_timeout", "60s")]).await;
    let port = target.site.webhook;
    let pause = Duration::from_millis(10);
    let quiet = honest(&target, 200, pause).await;

    let mut held = Vec::new();
    for n in 0..slow {
        let source = Ipv4Addr::new(127, 1, 0, u8::try_from(n % 20).unwrap() + 1);
        let mut rude = Rude::from(port, source).await.unwrap();
        rude.send("POST /webhook HTTP/1.1\r\nhost: x\r\nx:").await;
        held.push(rude);
    }
    let (sent, mut senders) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    for n in 0..8 {
        let source = Ipv4Addr::new(127, 2, 0, n + 1);
        senders.spawn(junk(port, source, rate.div_ceil(8), sent.clone()));
    }
    let start = Instant::now();
    let loud = honest(&target, 200, pause).await;
    let junk = sent.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    let resident = target.collector.process.resident_kib();
    let mut open = 0;
    for rude in &mut held {
        open += u32::from(rude.is_open_now());
    }
    println!(
        "quiet p99 {quiet:?}, loud p99 {loud:?}, {junk:.0} junk requests/s, {open} slow connections, {resident} KiB"
    );
    senders.shutdown().await;
    assert!(u64::from(open) >= slow * 9 / 10, "{open} of {slow} slow connections are open");
    assert!(resident < MEMORY_KIB, "{resident} KiB");
    if let Ok(factor) = env::var("M365_EDGE_P99") {
        let factor: f64 = factor.parse().unwrap();
        assert!(loud.as_secs_f64() <= quiet.as_secs_f64() * factor, "{quiet:?} and {loud:?}");
    }
    drop(held);
    target.finish().await;
}
