//! Junk by the thousand, slow connections by the hundred, and honest notifications between them.
//!
//! Quiet and loud stretches take turns, so that whatever else the machine does disturbs both alike.
//! Each honest notification announces a content of its own on a connection of its own, from one
//! address, and its 200 means a commit; Devo is away, so that nothing but the edge is busy.
//!
//! What it measures is printed. In the suite the load is what a debug build on a busy machine can
//! take. The measurement is, on an idle machine:
//!
//! ```text
//! M365_EDGE_JUNK=10000 M365_EDGE_SLOW=1000 M365_EDGE_P99=2 \
//!     cargo test --release --test it edge::flood -- --nocapture
//! ```

use std::{
    env,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;

use super::{
    junk::{Counts, Junk},
    target::{MEMORY_KIB, Rude, Target},
};
use crate::support::ports;

/// What a stretch of honest notifications took, each answered 200.
fn honest(port: SocketAddr, notifications: &[Vec<u8>]) -> Vec<Duration> {
    let begin = Instant::now();
    let mut times = Vec::with_capacity(notifications.len());
    for (n, notification) in (0..).zip(notifications) {
        // At a pace of its own: waiting for a slow answer must not thin out the slow moments.
        let due = begin + PAUSE * n;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let start = Instant::now();
        let mut stream = TcpStream::connect(port).expect("the port is open");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(notification).expect("the notification is taken");
        let mut head = [0; 512];
        let count = stream.read(&mut head).expect("an answer comes");
        times.push(start.elapsed());
        let head = String::from_utf8_lossy(&head[..count]);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    times
}

/// Requests that announce one new content each.
fn notifications(target: &Target, count: u64) -> Vec<Vec<u8>> {
    let one = || {
        let id = uuid::Uuid::new_v4().simple().to_string();
        target.post(json!([target.entry(&id)]).to_string()).bytes()
    };
    (0..count).map(|_| one()).collect()
}

/// Connections that begin a request and never end it.
async fn hold(port: SocketAddr, count: u64) -> Vec<Rude> {
    let mut held = Vec::new();
    for n in 0..count {
        let source = Ipv4Addr::new(127, 1, 0, u8::try_from(n % 20).unwrap() + 1);
        let mut rude = Rude::from(port, source).await.unwrap();
        rude.send("POST /webhook HTTP/1.1\r\nhost: x\r\nx:").await;
        held.push(rude);
    }
    held
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[times.len() * percent / 100]
}

fn knob(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[expect(clippy::print_stdout, reason = "a measurement is for people to read")]
#[tokio::test(flavor = "multi_thread")]
async fn honest_notifications_are_answered_among_junk_and_slow_connections() {
    let (rate, slow) = (knob("M365_EDGE_JUNK", 300), knob("M365_EDGE_SLOW", 300));
    let factor = env::var("M365_EDGE_P99").ok().map(|text| text.parse::<f64>().unwrap());
    let (rounds, each) = if factor.is_some() { (8, 500) } else { (2, 100) };
    let nowhere = format!("tls://{}", ports::free());
    let settings = [("webhook.header_timeout", "60s"), ("devo.endpoint", &*nowhere)];
    let target = Target::start(&settings).await;
    let port = target.site.webhook;
    let stretch = async || {
        let notifications = notifications(&target, each);
        let stretch = tokio::task::spawn_blocking(move || honest(port, &notifications));
        stretch.await.expect("every one is answered")
    };
    stretch().await;

    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    let mut lasted = Duration::ZERO;
    let mut total = Counts::default();
    for _ in 0..rounds {
        quiet.extend(stretch().await);
        let mut held = hold(port, slow).await;
        let (begin, junk) = (Instant::now(), Junk::start(port, rate));
        loud.extend(stretch().await);
        let counts = tokio::task::spawn_blocking(|| junk.finish()).await.unwrap();
        lasted += begin.elapsed();
        total.answered += counts.answered;
        total.refused += counts.refused;
        total.ignored += counts.ignored;
        let open = held.iter_mut().filter_map(|rude| rude.is_open_now().then_some(())).count();
        assert!(open as u64 >= slow * 9 / 10, "{open} of {slow} slow connections are open");
    }
    let peak = target.collector.process.peak_kib();
    let per_second = |count: u64| count as f64 / lasted.as_secs_f64();
    println!(
        "{} honest notifications quiet, {} loud, all 200; junk a second: {:.0} answered, {:.0} \
         refused, {:.0} ignored; {slow} slow connections; at most {peak} KiB",
        quiet.len(),
        loud.len(),
        per_second(total.answered),
        per_second(total.refused),
        per_second(total.ignored),
    );
    for percent in [50, 90, 99] {
        let (quiet, loud) = (percentile(&mut quiet, percent), percentile(&mut loud, percent));
        let times = loud.as_secs_f64() / quiet.as_secs_f64();
        println!("p{percent}: quiet {quiet:?}, loud {loud:?}, {times:.2} times");
    }
    assert!(peak < MEMORY_KIB, "{peak} KiB");
    assert!(total.answered > 0, "the junk was looked at");
    if let Some(factor) = factor {
        let reached = per_second(total.answered + total.refused);
        assert!(reached >= rate as f64 * 0.98, "only {reached:.0} of {rate} junk requests/s");
        let (quiet, loud) = (percentile(&mut quiet, 99), percentile(&mut loud, 99));
        assert!(loud.as_secs_f64() <= quiet.as_secs_f64() * factor, "{quiet:?} and {loud:?}");
    }
    target.finish().await;
}

/// Between two honest notifications.
const PAUSE: Duration = Duration::from_millis(10);
