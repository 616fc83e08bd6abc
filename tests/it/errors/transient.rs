//! Their failures: tried again with growing delay, and delivered.

use std::time::Duration;

use m365_collector::simulator::Fault;

use super::TYPE;
use crate::support::{Service, eventually};

const REASONS: [(&str, &str); 6] = [
    ("fetch", "server_error"),
    ("fetch", "bad_answer"),
    ("fetch", "connection"),
    ("fetch", "timeout"),
    BREAK,
    ("split", "undecodable"),
];

const BREAK: (&str, &str) = ("split", "cut_body");

/// What comes, and the stage and reason it is counted under.
fn rows() -> Vec<(Fault, &'static str, &'static str)> {
    let status = |status, body: &str| Fault::Status {
        status,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    };
    vec![
        (Fault::Af(50_000), "fetch", "server_error"),
        (Fault::Af(50_005), "fetch", "server_error"),
        (Fault::Af(50_006), "fetch", "server_error"),
        (Fault::AfSentence(50_000), "fetch", "server_error"),
        (Fault::AfSingleQuoted(50_005), "fetch", "server_error"),
        (Fault::Empty(408), "fetch", "server_error"),
        (Fault::Empty(500), "fetch", "server_error"),
        (Fault::Empty(502), "fetch", "server_error"),
        (Fault::Html(503), "fetch", "server_error"),
        (Fault::Html(504), "fetch", "server_error"),
        // A number in somebody's stack trace decides nothing.
        (status(503, "at Feed.Open() AF20050"), "fetch", "server_error"),
        (Fault::Empty(404), "fetch", "bad_answer"),
        (Fault::Html(403), "fetch", "bad_answer"),
        (status(400, "{'error':"), "fetch", "bad_answer"),
        (Fault::Reset, "fetch", "connection"),
        (Fault::Hang, "fetch", "timeout"),
        (Fault::StallBody { after: 40 }, "fetch", "timeout"),
        (Fault::CutBody { after: 0 }, BREAK.0, BREAK.1),
        (Fault::CutBody { after: 40 }, BREAK.0, BREAK.1),
        (status(200, "[{\"Id\":\"1\"}"), "split", "cut_body"),
        (Fault::Empty(200), "split", "cut_body"),
        (Fault::Empty(204), "split", "cut_body"),
        (Fault::Html(200), "split", "undecodable"),
        (status(200, "null"), "split", "undecodable"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_theirs_is_tried_again_until_the_content_is_delivered() {
    // Over either protocol: a broken stream and a broken connection look different.
    for http2 in [true, false] {
        let mut service = Service::builder()
            .with("fetch.retry_min", "50ms")
            .with("fetch.retry_max", "200ms")
            .with("fetch.timeout", "1s")
            .world(|world| world.http2 = http2)
            .start()
            .await;
        let mut fetched = Vec::new();
        for (seed, (fault, ..)) in (1..).zip(rows()) {
            // Twice: what cannot be decoded a third time is given up.
            fetched.push(service.publish_faulty(0, seed, fault, 2));
        }
        service.delivered().await;
        for (id, (fault, ..)) in fetched.iter().zip(rows()) {
            assert_eq!(service.fetches(id), 3, "{fault:?} http2={http2}");
        }
        let mut broken = 0;
        for (stage, reason) in REASONS {
            let met = rows().iter().filter(|row| (row.1, row.2) == (stage, reason)).count() as i64;
            let counted = i64::from(service.failed_attempts(0, stage, reason).await);
            assert_eq!(service.given_up(0, stage, reason).await, 0, "{reason}");
            if reason == "connection" || (stage, reason) == BREAK {
                // What breaks may take the beginning of its answer with it.
                broken += counted - 2 * met;
            } else {
                assert_eq!(counted, 2 * met, "{reason} http2={http2}");
            }
        }
        assert_eq!(broken, 0, "http2={http2}: each is counted once, as one or the other");
        assert_eq!(service.settled_as(0, "delivered").await, rows().len() as f64);
        service.finish_published().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_no_failure() {
    let mut service = Service::builder().with("fetch.timeout", "1s").start().await;
    let drip = Fault::Drip { bytes: 200, every: Duration::from_millis(50) };
    let id = service.publish_faulty(0, 1, drip, u32::MAX);
    service.delivered().await;
    assert_eq!(service.fetches(&id), 1);
    assert_eq!(service.failed_attempts(0, "fetch", "timeout").await, 0);
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delay_grows_with_each_attempt() {
    let mut service = Service::builder()
        .with("fetch.retry_min", "200ms")
        .with("fetch.retry_max", "10s")
        .start()
        .await;
    let id = service.publish_faulty(0, 1, Fault::Empty(500), 4);
    service.delivered().await;
    let requests = service.simulator.microsoft().requests();
    let asked: Vec<_> = requests
        .iter()
        .filter(|request| {
            matches!(&request.operation, m365_collector::simulator::Operation::BlobOf(asked) if *asked == id)
        })
        .map(|request| request.at)
        .collect();
    assert_eq!(asked.len(), 5);
    let delays: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Each delay lies between half of its step and the step, which doubles.
    for (delay, step) in delays.iter().zip([200, 400, 800, 1600]) {
        assert!(*delay >= Duration::from_millis(step / 2), "{delays:?}");
    }
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_failing_ends_at_its_own_expiration_and_not_before() {
    let service = Service::builder()
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "200ms")
        .world(|world| world.content_life = Duration::from_secs(7200))
        .start()
        .await;
    let id = service.publish_lost(0, 1, Fault::Empty(500));
    service.waits_as(&id, "it is tried", |pending| pending.attempts >= 3).await;
    service.clock.advance(Duration::from_secs(7000));
    service.waits_as(&id, "it is still tried", |pending| pending.attempts >= 6).await;
    service.clock.advance(Duration::from_secs(300));
    eventually("it is given up", async || service.given_up(0, "fetch", "server_error").await == 1)
        .await;
    assert_eq!(service.settled_as(0, "expired").await, 1.0);
    let status = service.status().await;
    assert_eq!((status[0].expired, status[0].dead, status[0].content_type), (1, 0, TYPE));
    service.finish_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_json_becomes_a_dead_letter_after_five_attempts() {
    let service = Service::builder()
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "200ms")
        .start()
        .await;
    let id = service.publish_lost(0, 1, Fault::Html(200));
    eventually("it is given up", async || service.given_up(0, "split", "undecodable").await == 1)
        .await;
    assert_eq!(service.fetches(&id), 5);
    assert_eq!(service.failed_attempts(0, "split", "undecodable").await, 4);
    assert_eq!(service.settled_as(0, "dead").await, 1.0);
    service.finish_published().await;
}
