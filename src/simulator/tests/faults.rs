//! Odd answers on demand.

use std::time::Duration;

use hyper::Method;

use super::{client::Client, config, id};
use crate::{
    content::ContentType,
    simulator::{Blob, Config, Fault, Operation, Simulator, microsoft::Publication},
};

const FEED: ContentType = ContentType::General;

async fn world(config: Config) -> (Simulator, Client) {
    let simulator = Simulator::start(config).await.unwrap();
    simulator.microsoft().change_subscription(id(), FEED, |_| {});
    let client = Client::new(&simulator).await;
    (simulator, client)
}

#[tokio::test]
async fn every_odd_answer_has_its_wild_spelling() {
    let (simulator, client) = world(config()).await;
    let microsoft = simulator.microsoft();
    for (fault, status, text) in [
        (Fault::Af(50_000), 500, r#""code":"AF50000""#),
        (Fault::AfSentence(20_022), 400, r#""code":"AF20022: "#),
        (Fault::AfSingleQuoted(20_023), 400, "'code':'AF20023'"),
        (Fault::AuditingOff, 400, "does not exist"),
        (Fault::Code429Text("8m 46s".to_owned()), 403, "Please retry again after 8m 46s"),
        (Fault::Empty(503), 503, ""),
        (Fault::Html(200), 200, "<!DOCTYPE html>"),
        (Fault::Throttled403, 403, r#""code":"AF429""#),
        (Fault::Throttled429 { retry_after: None }, 429, "AF429"),
        (Fault::Unauthorized, 401, r#"{"Message":"Authorization"#),
    ] {
        microsoft.fail(Operation::List, fault.clone(), 1);
        let reply = client.feed(Method::GET, "subscriptions/list?", "").await;
        assert_eq!(reply.status, status, "{fault:?}");
        assert!(reply.text().contains(text), "{fault:?}: {}", reply.text());
    }
    let retry_after = Some(Duration::from_secs(7));
    microsoft.fail(Operation::List, Fault::Throttled429 { retry_after }, 1);
    let reply = client.feed(Method::GET, "subscriptions/list?", "").await;
    assert_eq!(reply.headers["retry-after"], "7");
    client.list().await;
}

#[tokio::test]
async fn a_fault_meets_its_operation_so_many_times() {
    let (simulator, client) = world(config()).await;
    let microsoft = simulator.microsoft();
    microsoft.fail(Operation::Content, Fault::Empty(500), 2);
    client.list().await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.content(FEED, "").await.status);
    }
    assert_eq!(statuses, [500, 500, 200]);

    microsoft.fail(Operation::Content, Fault::Empty(500), u32::MAX);
    assert_eq!(client.content(FEED, "").await.status, 500);
    microsoft.heal();
    assert_eq!(client.content(FEED, "").await.status, 200);

    let other = "22222222-2222-4222-8222-222222222222".parse().unwrap();
    microsoft.fail_tenant(other, Operation::Content, Fault::Empty(500), 1);
    assert_eq!(client.content(FEED, "").await.status, 200);
}

#[tokio::test]
async fn bodies_break_off_drip_or_never_come() {
    let (simulator, client) = world(config()).await;
    let microsoft = simulator.microsoft();
    let publish = |fault| {
        let publication = Publication {
            fault: Some((fault, 1)),
            ..Publication::of(Blob::array(&[b"{\"a\":1}"]))
        };
        let content = microsoft.publish_as(id(), FEED, publication);
        format!("/api/v1.0/{}/activity/feed/audit/{}", id(), content.as_str())
    };
    let fetch = async |path: &str| client.send(Method::GET, path, String::new()).await;

    for fault in [Fault::CutBody { after: 4 }, Fault::Reset] {
        let path = publish(fault.clone());
        assert!(fetch(&path).await.is_err(), "{fault:?}");
        assert_eq!(fetch(&path).await.unwrap().text(), "[{\"a\":1}]");
    }
    let every = Duration::from_millis(1);
    let path = publish(Fault::Drip { bytes: 2, every });
    assert_eq!(fetch(&path).await.unwrap().text(), "[{\"a\":1}]");
    for fault in [Fault::Hang, Fault::StallBody { after: 2 }] {
        let path = publish(fault.clone());
        let waited = tokio::time::timeout(Duration::from_millis(200), fetch(&path)).await;
        assert!(waited.is_err(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_tenant_above_its_rate_is_throttled() {
    let (simulator, client) = world(Config { requests_per_minute: Some(3), ..config() }).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.content(FEED, "").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 403]);
    let most = simulator.microsoft().most_requests_within(id(), Duration::from_secs(60));
    assert_eq!(most, 4, "tokens do not count");
}
