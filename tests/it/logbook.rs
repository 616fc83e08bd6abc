//! Our own log as Devo sees it: what is said is told once, and the telling is never told of.

use m365_collector::{
    content::ContentType,
    frame::Frame,
    simulator::{Blob, DevoMode},
};
use serde_json::Value;

use crate::support::{
    collector::{Collector, Site},
    eventually, get, records,
    series::Scrape,
};

const TABLE: &str = "my.app.m365_collector.log";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_worth_a_warning_is_told_once_and_the_telling_is_not() {
    let mut site = Site::start(1, None, |world| world.keep_lines = true).await;
    for (key, value) in [
        ("devo.log.table", TABLE),
        ("devo.hostname", "collector-1"),
        ("devo.confirm_timeout", "1s"),
        ("devo.confirm_interval", "300ms"),
        ("fetch.retry_max", "1s"),
        ("log.format", "json"),
        ("log.filter", "trace"),
    ] {
        site.set(key, value);
    }
    let collector = site.run().await;
    site.registered(ContentType::ALL.len()).await;
    let (microsoft, devo, tenant) =
        (site.simulator.microsoft(), site.simulator.devo(), site.tenant(0));
    let publish = |seed| {
        microsoft.publish(
            tenant,
            ContentType::Exchange,
            &records(seed, tenant, ContentType::Exchange, 3),
        );
    };

    microsoft.publish_raw(tenant, ContentType::General, Blob::Bytes("<html>secret".into()));
    told_of(&site, "content given up").await;

    // There is no connection, which is known once there is one.
    devo.behave(DevoMode::Refuse);
    publish(1);
    publish(2);
    said(&collector, "cannot connect to Devo").await;
    said(&collector, "the log waits for a connection to Devo").await;
    devo.behave(DevoMode::Normal);
    told_of(&site, "cannot connect to Devo").await;

    // Nothing is confirmed: what arrives is not sent again.
    eventually("the records arrive", async || devo.received().distinct >= 6).await;
    devo.behave(DevoMode::NeverClose);
    publish(3);
    said(&collector, "the receiver never ends its stream").await;
    eventually("lines are lost", async || lines(&site, "lost").await > 0.0).await;
    told_of(&site, "the receiver never ends its stream").await;
    devo.behave(DevoMode::Normal);
    microsoft.publish_raw(tenant, ContentType::General, Blob::Bytes("<html>again".into()));
    let given_up = async || of(&site, "content given up").len() == 2;
    eventually("what is said later arrives", given_up).await;

    let said = collector.stop().await;
    let lines = all(&site);
    let mut warnings: Vec<Value> = said.err.lines().filter_map(warning).collect();
    let mut arrived: Vec<Value> = lines.iter().filter_map(|line| warning(line)).collect();
    assert_eq!(lines.len(), arrived.len(), "nothing less severe: {lines:#?}");
    for events in [&mut warnings, &mut arrived] {
        events.sort_by_key(Value::to_string);
    }
    assert_eq!(arrived, warnings, "all of it, and each once");
    let whole = lines.concat();
    assert!(!whole.contains("<html>"), "no bodies: {whole}");
    let of_content = of(&site, "content given up: undecodable");
    assert_eq!(of_content[0]["tenant"], "tenant-0");
    assert_eq!(of_content[0]["level"], "WARN");
}

/// A warning or something worse that the program itself said, without its time.
fn warning(line: &str) -> Option<Value> {
    let mut event: Value = serde_json::from_str(line).expect("a line is JSON");
    let own = event["target"].as_str()?.starts_with("m365_collector");
    let severe = ["WARN", "ERROR"].contains(&event["level"].as_str()?);
    event.as_object_mut()?.remove("timestamp").expect("it has a time");
    // Depends on who else wants to know of the spans.
    event.as_object_mut()?.remove("spans");
    event.as_object_mut()?.remove("span");
    (own && severe).then_some(event)
}

/// The lines of the log that arrived, in order.
fn all(site: &Site) -> Vec<String> {
    let lines = site.simulator.devo().lines();
    let frames = lines.iter().filter_map(|line| Frame::parse(line));
    let own = frames.filter(|frame| frame.tag == TABLE);
    own.map(|frame| {
        assert_eq!(frame.host, "collector-1");
        String::from_utf8(frame.record.to_vec()).expect("the log is text")
    })
    .collect()
}

/// Those with this in their message.
fn of(site: &Site, message: &str) -> Vec<Value> {
    let events = all(site).into_iter().map(|line| serde_json::from_str(&line).unwrap());
    events.filter(|event: &Value| event["message"].as_str().unwrap().contains(message)).collect()
}

async fn told_of(site: &Site, message: &str) {
    eventually(&format!("Devo is told: {message}"), async || !of(site, message).is_empty()).await;
}

async fn said(collector: &Collector, message: &str) {
    eventually(&format!("it says: {message}"), async || collector.stderr().contains(message)).await;
}

async fn lines(site: &Site, outcome: &str) -> f64 {
    let (_, text) = get(site.admin, "/metrics").await;
    Scrape::parse(&text).sum("m365_log_lines_total", &[("outcome", outcome)])
}
