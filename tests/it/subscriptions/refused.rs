//! Starts that Microsoft does not simply grant.

use m365_collector::{
    app,
    content::ContentType,
    microsoft::{self, Client, client::WebhookSpec},
    simulator::{Fault, Operation},
};
use prometheus::Registry;

use super::MINUTE;
use crate::support::{Service, any_port, eventually, metrics::labelled, records};

async fn checked_every_second() -> Service {
    Service::builder().with("subscriptions.check_interval", "1s").start().await
}

/// Every webhook is gone, and may be registered again.
fn lose_webhooks(service: &Service) {
    for feed in ContentType::ALL {
        service.change(0, feed, |subscription| subscription.webhook = None);
    }
}

fn all_as_wanted(service: &Service) -> bool {
    ContentType::ALL.into_iter().all(|feed| service.is_as_wanted(0, feed))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_could_not_be_validated_is_reported_and_tried_again_by_the_rule() {
    let service = checked_every_second().await;
    // The load balancer is down: Microsoft reaches nobody.
    service.simulator.set_edge(any_port());
    lose_webhooks(&service);
    service.clock.advance(16 * MINUTE);
    eventually("the starts failed", async || service.start_answers().len() == 10).await;
    service.checked(0).await;
    assert_eq!(service.starts(0), 10, "refused ones wait for the rule too");
    assert_eq!(service.start_answers().split_off(5), [Some(400); 5], "AF20021");
    let (_, status) = service.admin("/api/status").await;
    assert!(status.contains("webhook_missing"), "an operator sees it: {status}");
    let unreached = "since the start call no request for any subscription reached this process";
    assert_eq!(service.said_of_subscriptions(unreached).await, 5, "{status}");
    assert_eq!(service.gauges(0, ContentType::General).await, (1.0, 0.0));

    service.simulator.set_edge(service.webhook);
    service.clock.advance(14 * MINUTE);
    service.checked(0).await;
    assert_eq!(service.starts(0), 10);
    service.clock.advance(2 * MINUTE);
    eventually("every webhook is back", async || all_as_wanted(&service)).await;
    service.checked(0).await;
    assert_eq!(service.starts(0), 15);
    assert_eq!(service.gauges(0, ContentType::General).await, (1.0, 1.0));
    let (_, status) = service.admin("/api/status").await;
    assert!(!status.contains("webhook_missing") && !status.contains("start call"), "{status}");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_microsoft_names_is_kept_for_that_start_and_hinders_nothing_else() {
    let mut service = checked_every_second().await;
    let microsoft = service.simulator.microsoft().clone();
    let wait = Fault::Code429Text("8m 46s".into());
    microsoft.fail(Operation::Start, wait, 5);
    lose_webhooks(&service);
    service.clock.advance(16 * MINUTE);
    eventually("Microsoft says when", async || service.starts(0) == 10).await;
    assert_eq!(service.start_answers().split_off(5), [Some(403); 5]);
    let throttled = labelled("m365_throttled_total", &[("tenant", "tenant-0")]);
    eventually("it is counted", async || service.metric(&throttled).await == 5.0).await;

    // The tenant itself is not paused: what is announced otherwise is fetched at once.
    let records = records(1, service.tenant(0), ContentType::Exchange, 3);
    let id = service.publish(0, ContentType::Exchange, &records);
    let entry = service.entry(service.tenant(0), &id);
    let request = service.post(crate::support::edge::notification(&[entry]));
    let answer = request.ask(service.webhook, crate::support::edge::Protocol::Http1).await;
    assert_eq!(answer.status, 200);
    service.delivered().await;

    service.clock.advance(8 * MINUTE);
    service.checked(0).await;
    assert_eq!(service.starts(0), 10, "not before 8m 46s are over");
    service.clock.advance(MINUTE);
    eventually("every webhook is back", async || all_as_wanted(&service)).await;
    assert_eq!(service.starts(0), 15, "not the whole rule again");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_of_what_already_is_as_wanted_is_a_success() {
    let mut service = checked_every_second().await;
    let microsoft = service.simulator.microsoft().clone();
    let nothing = Fault::Status { status: 200, headers: Vec::new(), body: b"[]".to_vec() };
    service.clock.advance(16 * MINUTE);
    microsoft.fail(Operation::List, nothing, 1);
    eventually("all are started", async || service.starts(0) == 10).await;
    service.checked(0).await;
    assert_eq!(service.start_answers().split_off(5), [Some(400); 5], "AF20024");
    assert_eq!(service.starts(0), 10);
    for feed in ContentType::ALL {
        assert_eq!(service.gauges(0, feed).await, (1.0, 1.0), "{feed}");
    }

    // And to whoever asks for it.
    service.stop().await;
    service.clock.advance(16 * MINUTE);
    let app: app::Config = service.config.clone().into();
    let metrics = microsoft::Metrics::register(&Registry::new(), &app.tenants).unwrap();
    let client = Client::new(app.microsoft, app.tenants, service.clock.clone(), metrics).unwrap();
    let webhook = WebhookSpec {
        address: "https://m365-collector.example.com/webhook".into(),
        expiration: None,
        auth_id: service.auth_id().into(),
    };
    let feed = ContentType::General;
    client.start(service.tenant(0), feed, Some(&webhook)).await.expect("AF20024 is success");
    assert_eq!(service.start_answers().last(), Some(&Some(400)), "AF20024");
    service.run().await;
    service.finish().await;
}
