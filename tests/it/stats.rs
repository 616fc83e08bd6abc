//! Our own counters as Devo sees them: the right numbers, whatever happens on the way.

use std::{collections::BTreeMap, time::Duration};

use m365_collector::{content::ContentType, frame::Frame, simulator::DevoMode};
use serde_json::Value;

use crate::support::{
    Service, eventually, records,
    rsyslog::{Driver, Rsyslog},
};

const TABLE: &str = "my.app.m365_collector.stats";

#[tokio::test(flavor = "multi_thread")]
async fn rsyslogd_gets_what_was_delivered_and_what_was_given_up_on() {
    let rsyslog = Rsyslog::start(Driver::Gtls).await;
    let mut builder = Service::builder()
        .tenants(2)
        .devo(rsyslog.endpoint())
        .world(|world| world.devo = None)
        .with("devo.stats.table", TABLE)
        .with("devo.stats.interval", "1s")
        .with("fetch.max_record", "64 KiB");
    for (key, value) in rsyslog.keys() {
        builder = builder.with(key, value);
    }
    let mut service = builder.start().await;
    let publish = |tenant: usize, count: usize, seed| {
        let id = service.tenant(tenant);
        let mut all = records(seed, id, ContentType::Exchange, count);
        all.push(format!(r#"{{"Id":"{seed}","large":"{}"}}"#, "x".repeat(70_000)).into_bytes());
        service.simulator.microsoft().publish(id, ContentType::Exchange, &all);
    };
    publish(0, 20, 1);
    publish(1, 5, 2);
    eventually("the counters of the first contents arrive", async || {
        told(&events(&rsyslog.lines())).get("tenant-1") == Some(&(5, 1))
    })
    .await;
    publish(0, 10, 3);
    let expected =
        BTreeMap::from([("tenant-0".to_owned(), (30, 2)), ("tenant-1".to_owned(), (5, 1))]);
    eventually("and of a later one", async || told(&events(&rsyslog.lines())) == expected).await;
    assert!(service.metric(r#"m365_stats_events_total{outcome="confirmed"}"#).await > 1.0);
    service.stop().await;
    let is_last = |event: &Value| event["draining"] == true;
    eventually("rsyslogd writes what it has confirmed", async || {
        events(&rsyslog.lines()).last().is_some_and(is_last)
    })
    .await;

    let events = events(&rsyslog.lines());
    assert_eq!(told(&events), expected, "an event for each window, and none twice");
    let last = events.last().unwrap();
    assert_eq!(last["draining"], true, "{last}");
    assert_eq!(last["version"], env!("CARGO_PKG_VERSION"));
    assert_adjoining(&events);
    assert!(events.iter().rev().skip(1).all(|event| event["draining"] == false), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_tells_what_was_confirmed_until_then() {
    let mut service = Service::builder()
        .world(|world| world.keep_lines = true)
        .with("devo.stats.table", TABLE)
        .with("devo.stats.interval", "1h")
        .start()
        .await;
    let all = records(1, service.tenant(0), ContentType::General, 7);
    service.publish(0, ContentType::General, &all);
    // Written, and perhaps not confirmed when the drain begins.
    eventually("the records arrive", async || service.simulator.devo().received().lines == 7).await;
    service.stop().await;
    let events = events(&service.simulator.devo().lines());
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(told(&events)["tenant-0"], (7, 0));
    assert_eq!(events[0]["messages_successfully_processed"], 7);
    assert_eq!(events[0]["draining"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_under_way_is_not_told_again_by_the_drain() {
    let mut service = Service::builder()
        .world(|world| world.keep_lines = true)
        .with("devo.stats.table", TABLE)
        .with("devo.stats.interval", "1s")
        .start()
        .await;
    service.simulator.devo().behave(DevoMode::NeverClose);
    let devo = service.simulator.devo().clone();
    let events = || events(&devo.lines());
    let known = events().len();
    eventually("an event waits for its confirmation", async || events().len() > known).await;
    let confirm = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        devo.behave(DevoMode::Normal);
    };
    tokio::join!(service.stop(), confirm);
    let events = events();
    assert_eq!(events.last().unwrap()["draining"], true);
    assert_adjoining(&events);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_is_told_later() {
    let mut service = Service::builder()
        .world(|world| world.keep_lines = true)
        .with("devo.stats.table", TABLE)
        .with("devo.stats.interval", "1s")
        .start()
        .await;
    let all = records(1, service.tenant(0), ContentType::General, 7);
    service.publish(0, ContentType::General, &all);
    service.delivered().await;
    service.simulator.devo().behave(DevoMode::Refuse);
    let lost = r#"m365_stats_events_total{outcome="unconfirmed"}"#;
    let before = service.metric(lost).await;
    eventually("an event is lost and counted", async || service.metric(lost).await > before).await;
    service.simulator.devo().behave(DevoMode::Normal);
    let events = || events(&service.simulator.devo().lines());
    let known = events().len();
    eventually("the next event comes", async || events().len() > known).await;
    let events = events();
    assert_eq!(told(&events)["tenant-0"], (7, 0));
    assert_adjoining(&events);
    service.finish().await;
}

/// The events among the lines, in order.
fn events(lines: &[impl AsRef<[u8]>]) -> Vec<Value> {
    let frames = lines.iter().filter_map(|line| Frame::parse(line.as_ref()));
    let own = frames.filter(|frame| frame.tag == TABLE);
    own.map(|frame| serde_json::from_slice(frame.record).expect("an event is JSON")).collect()
}

/// Each window begins where the one before it ended.
fn assert_adjoining(events: &[Value]) {
    for pair in events.windows(2) {
        assert_eq!(pair[0]["window_end"], pair[1]["window_start"], "no gap and no overlap");
    }
}

/// The sums by tenant: successfully, unsuccessfully.
fn told(events: &[Value]) -> BTreeMap<String, (u64, u64)> {
    let mut sums = BTreeMap::<_, (u64, u64)>::new();
    for event in events {
        let mut of_all = (0, 0);
        for tenant in event["tenants"].as_array().unwrap() {
            let number = |name: &str| tenant[name].as_u64().unwrap();
            let counts = (
                number("messages_successfully_processed"),
                number("messages_unsuccessfully_processed"),
            );
            let sum = sums.entry(tenant["tenant"].as_str().unwrap().to_owned()).or_default();
            *sum = (sum.0 + counts.0, sum.1 + counts.1);
            of_all = (of_all.0 + counts.0, of_all.1 + counts.1);
        }
        assert_eq!(event["messages_successfully_processed"], of_all.0);
        assert_eq!(event["messages_unsuccessfully_processed"], of_all.1);
    }
    sums
}
