//! The command, beside a running service and without one.

use std::process::{Output, Stdio};

use m365_collector::simulator::Fault;
use tokio::process::Command;

use super::*;
use crate::support::books::Doomed;
use crate::support::within;

/// A site that lists nothing by itself for as long as a test takes.
fn quiet() -> Builder {
    Service::builder().with("sweep.startup_lookback", "1m")
}

/// Runs the binary with the service's own file, and says how it ended.
async fn backfill(service: &Service, arguments: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_m365-collector"))
        .arg("--config")
        .arg(&service.config_path)
        .args(["backfill", "--tenant", "tenant-0"])
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    within(MINUTE, "the command", output).await.expect("the binary can be run")
}

/// What a backfill that ended well said, to programs and to people.
async fn ended_well(service: &Service, arguments: &str) -> (String, String) {
    let output = backfill(service, arguments).await;
    let human = text(output.stderr);
    assert!(output.status.success(), "{human}");
    (text(output.stdout), human)
}

async fn said(service: &Service, arguments: &str) -> String {
    ended_well(service, arguments).await.0
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("what is said is text")
}

async fn first_sweep_over(service: &Service) {
    let complete = async || windows(service, "complete").await >= 7.0 * FEEDS;
    eventually("the week is swept", complete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_service_it_announces_what_is_not_known() {
    let mut service = quiet().world(|world| world.page_size = 3).start().await;
    first_sweep_over(&service).await;
    for seed in 0..10 {
        unannounced(&mut service, seed, 2 * DAY + times(MINUTE, seed));
    }
    publish(&mut service, 99, Duration::ZERO, Announcing::default());
    eventually("the live one is known", async || announced(&service, "webhook").await >= 1.0).await;
    let from = ago(&service, 4 * DAY);
    let said = said(&service, &format!("--from {from} --type {KIND}")).await;
    assert!(said.starts_with("tenant-0: 10 contents listed, 10 of them new; "), "{said}");
    service.delivered().await;
    let counted = async || announced(&service, "backfill").await >= 10.0;
    eventually("the service counts it", counted).await;
    assert_eq!(downloads(&service), 11);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_the_content_waits_and_complete_days_are_not_read_again() {
    let mut service = quiet().start().await;
    first_sweep_over(&service).await;
    service.stop().await;
    for seed in 0..4 {
        unannounced(&mut service, seed, times(DAY, seed + 1));
    }
    let from = ago(&service, 5 * DAY).strftime("%F").to_string();
    let arguments = format!("--from {from} --type {KIND}");
    let first = said(&service, &arguments).await;
    assert!(first.contains("4 contents listed, 4 of them new; 6 windows read, 0 were"), "{first}");
    // Only the day that is not over is read again, if a second has passed.
    let second = said(&service, &arguments).await;
    let rest = second.split_once("0 of them new; ").map(|(_, rest)| rest.trim_end());
    let expected =
        ["1 windows read, 5 were complete before", "0 windows read, 6 were complete before"];
    assert!(rest.is_some_and(|rest| expected.contains(&rest)), "{second}");
    let again = said(&service, &format!("{arguments} --again")).await;
    assert!(again.contains("4 contents listed, 0 of them new; 6 windows read, 0 were"), "{again}");
    assert_eq!(service.pending().await.len(), 4);
    service.run().await;
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_microsoft_is_no_silence() {
    let mut service = quiet().start().await;
    first_sweep_over(&service).await;
    unannounced(&mut service, 1, 2 * DAY);
    let throttled = Fault::Throttled429 { retry_after: Some(Duration::from_secs(2)) };
    service.simulator.microsoft().fail(Operation::Content, throttled, 1);
    let from = ago(&service, 3 * DAY);
    let (said, human) = ended_well(&service, &format!("--from {from} --type {KIND}")).await;
    assert!(said.contains("1 contents listed, 1 of them new"), "{said}");
    let told = "tenant-0: Microsoft throttles this tenant; asking again in ";
    assert_eq!(human.matches(told).count(), 1, "{human}");
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_one_goes_on_where_it_was() {
    let mut service = quiet().start().await;
    first_sweep_over(&service).await;
    for days in 1..6 {
        unannounced(&mut service, days, times(DAY, days));
    }
    let from = ago(&service, 6 * DAY).strftime("%F").to_string();
    let arguments = format!("--from {from} --type {KIND}");
    // Two days are read before Microsoft fails for good.
    let microsoft = service.simulator.microsoft();
    let before = listings(&service);
    microsoft.fail(Operation::Content, Fault::Drip { bytes: 400, every: MINUTE / 600 }, 2);
    microsoft.fail(Operation::Content, Fault::Html(200), u32::MAX);
    let output = backfill(&service, &arguments).await;
    let human = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{human}");
    assert!(human.contains("run the same command again to go on"), "{human}");
    assert_eq!(listings(&service), before + 3);
    service.simulator.microsoft().heal();
    let said = said(&service, &arguments).await;
    assert!(said.contains("5 windows read, 2 were complete before"), "{said}");
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_listed_is_said_in_words() {
    let service = quiet().start().await;
    let old = ago(&service, 8 * DAY);
    let future = ago(&service, Duration::ZERO) + SignedDuration::from_hours(5);
    for (arguments, words) in [
        (format!("--from {old}"), "of the last 7 days only: --from must not be before 20"),
        (format!("--from {future}"), "the range is empty"),
        (format!("--from {0} --to {0}", ago(&service, DAY)), "the range is empty"),
    ] {
        let output = backfill(&service, &arguments).await;
        let human = text(output.stderr);
        assert_eq!(output.status.code(), Some(1), "{human}");
        assert!(human.contains(words), "{human}");
    }
    let output = backfill(&service, "--from lately").await;
    assert_eq!(output.status.code(), Some(2));
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}
