//! Listings of many pages, and pages that go wrong.

use m365_collector::simulator::Fault;

use super::*;
use crate::support::books::Doomed;

fn paged() -> Builder {
    sweeping().without_webhook().world(|world| world.page_size = 3)
}

fn publish_some(service: &mut Service, contents: u64) {
    for seed in 0..contents {
        unannounced(service, seed, MINUTE);
    }
}

fn next_pages(service: &Service) -> u64 {
    service.simulator.microsoft().count(None, &Operation::NextPage)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_read() {
    let mut service = paged().start().await;
    publish_some(&mut service, 31);
    service.delivered().await;
    assert!(next_pages(&service) >= 10);
    assert_eq!(downloads(&service), 31);
    assert_eq!(service.simulator.microsoft().without_publisher(), 0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_page_begins_its_window_anew() {
    let mut service = paged().start().await;
    swept_again(&service).await;
    let microsoft = service.simulator.microsoft();
    microsoft.fail(Operation::NextPage, Fault::Af(20_031), 2);
    publish_some(&mut service, 10);
    service.delivered().await;
    assert_eq!(windows(&service, "failed").await, 0.0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_always_stale_fail_their_window_until_they_are_not() {
    let mut service = paged().start().await;
    swept_again(&service).await;
    service.simulator.microsoft().fail(Operation::NextPage, Fault::Af(20_031), u32::MAX);
    publish_some(&mut service, 10);
    eventually("a window fails", async || windows(&service, "failed").await >= 1.0).await;
    // What the first page said is announced all the same.
    eventually("the first page counts", async || announced(&service, "sweep").await >= 3.0).await;
    service.simulator.microsoft().heal();
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_pages_is_left_and_tried_again_later() {
    let mut service = paged().start().await;
    swept_again(&service).await;
    let circle = format!(
        "{}api/v1.0/{}/activity/feed/subscriptions/content?contenttype={KIND}&nextpage=x",
        service.simulator.management_url(),
        service.tenant(0),
    );
    let fault = Fault::Status {
        status: 200,
        headers: vec![("NextPageUri".to_owned(), circle)],
        body: b"[]".to_vec(),
    };
    let (before, microsoft) = (next_pages(&service), service.simulator.microsoft());
    microsoft.fail(Operation::Content, fault.clone(), u32::MAX);
    microsoft.fail(Operation::NextPage, fault, u32::MAX);
    eventually("a window fails", async || windows(&service, "failed").await >= 1.0).await;
    service.simulator.microsoft().heal();
    let failed = windows(&service, "failed").await;
    let asked = next_pages(&service) - before;
    assert!((asked as f64) <= 2.0 * failed + 4.0, "{asked} pages for {failed} windows");
    publish_some(&mut service, 4);
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_elsewhere_is_not_followed() {
    let mut service = paged().start().await;
    swept_again(&service).await;
    let fault = Fault::Status {
        status: 200,
        headers: vec![("NextPageUri".to_owned(), "https://192.0.2.1/x".to_owned())],
        body: b"[]".to_vec(),
    };
    service.simulator.microsoft().fail(Operation::Content, fault, 1);
    eventually("a window fails", async || windows(&service, "failed").await >= 1.0).await;
    publish_some(&mut service, 4);
    service.delivered().await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_asked_for_again_after_throttling_and_passing_failures() {
    let mut service = paged().start().await;
    swept_again(&service).await;
    let microsoft = service.simulator.microsoft();
    let throttled = Fault::Throttled429 { retry_after: Some(Duration::from_secs(1)) };
    microsoft.fail(Operation::Content, throttled.clone(), 1);
    microsoft.fail(Operation::NextPage, Fault::Html(503), 1);
    microsoft.fail(Operation::NextPage, throttled, 1);
    microsoft.fail(Operation::NextPage, Fault::CutBody { after: 20 }, 1);
    microsoft.fail(Operation::NextPage, Fault::Af(50_000), 1);
    publish_some(&mut service, 20);
    service.delivered().await;
    assert_eq!(windows(&service, "failed").await, 0.0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}
