//! Subscriptions, their validation, and notifications.

use std::{collections::BTreeMap, time::Duration};

use hyper::{HeaderMap, Method};
use serde_json::json;

use super::{
    DEADLINE, application,
    client::{Client, Webhook},
    config, eventually, id,
};
use crate::{
    content::{ContentId, ContentType},
    simulator::{
        Config, Simulator,
        microsoft::{Announcing, IdForm, ListSpelling, WebhookState},
    },
};

const FEED: ContentType = ContentType::SharePoint;

const ADDRESS: &str = "https://m365.example.com/webhook?x=1";

fn body() -> String {
    json!({"webhook": {"address": ADDRESS, "authId": "0123456789abcdef", "expiration": ""}})
        .to_string()
}

/// A webhook that ends TLS itself and wants to see Microsoft's certificate.
#[tokio::test]
async fn a_webhook_with_tls_sees_the_certificate_of_the_notifier() {
    let simulator = Simulator::start(config()).await.unwrap();
    let webhook = Webhook::secured(&simulator).await;
    simulator.set_tls_edge(webhook.address);
    let client = Client::new(&simulator).await;
    let reply = client.start(FEED, &body()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(webhook.calls().len(), 1);
}

async fn world() -> (Simulator, Client, Webhook) {
    let webhook = Webhook::new().await;
    let simulator = Simulator::start(config()).await.unwrap();
    simulator.set_edge(webhook.address);
    let client = Client::new(&simulator).await;
    (simulator, client, webhook)
}

/// A world with a validated webhook.
async fn subscribed() -> (Simulator, Client, Webhook) {
    let (simulator, client, webhook) = world().await;
    let reply = client.start(FEED, &body()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    (simulator, client, webhook)
}

#[tokio::test]
async fn the_validation_arrives_while_the_start_is_pending() {
    let (_simulator, client, webhook) = world().await;
    let gate = webhook.hold();
    let body = body();
    let start = client.start(FEED, &body);
    let look = async {
        let calls = webhook.wait_for(1).await;
        let pending = client.list().await;
        webhook.release(&gate);
        (calls, pending)
    };
    let (reply, (calls, pending)) = tokio::join!(start, look);

    let code = calls[0].header("webhook-validationcode");
    let asked: serde_json::Value = serde_json::from_slice(&calls[0].body).unwrap();
    assert_eq!(asked, json!({ "validationCode": code }));
    assert_eq!(calls[0].header("webhook-authid"), "0123456789abcdef");
    assert_eq!(calls[0].header("host"), "m365.example.com");
    assert_eq!(calls[0].path, "/webhook?x=1");
    assert_eq!(pending[0]["webhook"], json!(null), "not proven yet");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let listed = client.list().await;
    assert_eq!(
        listed,
        json!([{
            "contentType": "Audit.SharePoint",
            "status": "enabled",
            "webhook": {
                "authId": "0123456789abcdef",
                "address": ADDRESS,
                "expiration": null,
                "status": "enabled",
            },
        }])
    );
}

#[tokio::test]
async fn anything_but_200_fails_the_validation() {
    for status in [202, 204, 401, 500] {
        let (_simulator, client, webhook) = world().await;
        webhook.answer_next(&[status]);
        let reply = client.start(FEED, &body()).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.json()["error"]["code"], "AF20021");
        assert_eq!(client.list().await[0]["webhook"], json!(null));
    }
}

#[tokio::test]
async fn a_second_start_is_too_soon_and_later_changes_nothing() {
    let (simulator, client, _webhook) = subscribed().await;
    let reply = client.start(FEED, &body()).await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.json()["error"]["code"], "429");
    let text = reply.text();
    assert!(text.contains("Please retry again after 1"), "{text}");
    assert!(reply.headers.get("retry-after").is_none());

    // Tokens live for an hour, so the same one still serves.
    simulator.clock().advance(Duration::from_secs(16 * 60));
    let reply = client.start(FEED, &body()).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"]["code"], "AF20024");
}

#[tokio::test]
async fn a_start_must_name_an_https_address_and_a_future_expiration() {
    let (_simulator, client, webhook) = world().await;
    for (webhook, code) in [
        (json!({"address": "http://m365.example.com/"}), "AF20002"),
        (json!({"address": ADDRESS, "expiration": "2020-01-01T00:00:00"}), "AF20003"),
        (json!({"authId": "x"}), "AF20001"),
    ] {
        let reply = client.start(FEED, &json!({ "webhook": webhook }).to_string()).await;
        assert_eq!(reply.json()["error"]["code"], code);
    }
    let unknown =
        client.feed(Method::POST, "subscriptions/start?contentType=Audit.Nothing&", "").await;
    assert_eq!(unknown.json()["error"]["code"], "AF20020");
    assert!(webhook.calls().is_empty());
}

#[tokio::test]
async fn a_webhook_expires_and_a_subscription_stops() {
    let (simulator, client, _webhook) = world().await;
    let expiration = simulator.clock().now().checked_add(Duration::from_secs(60)).unwrap();
    let body = json!({"webhook": {"address": ADDRESS, "expiration": expiration.to_string()}});
    assert_eq!(client.start(FEED, &body.to_string()).await.status, 200);
    assert_eq!(client.list().await[0]["webhook"]["status"], "enabled");
    simulator.clock().advance(Duration::from_secs(120));
    assert_eq!(client.list().await[0]["webhook"]["status"], "expired");

    let stop = format!("subscriptions/stop?contentType={FEED}&");
    assert_eq!(client.feed(Method::POST, &stop, "").await.status, 200);
    assert_eq!(client.list().await[0]["status"], "disabled");
    let reply = client.content(FEED, "").await;
    assert_eq!(reply.json()["error"]["code"], "AF20023");
}

#[tokio::test]
async fn the_list_can_be_spelled_as_in_the_wild() {
    let (simulator, client, _webhook) = subscribed().await;
    simulator.microsoft().spell_list(ListSpelling {
        without_status: true,
        empty_expiration: true,
        capitals: true,
    });
    let listed = client.list().await;
    assert_eq!(listed[0].get("status"), None);
    assert_eq!(listed[0]["contentType"], "AUDIT.SHAREPOINT");
    assert_eq!(listed[0]["webhook"]["expiration"], "");
    assert_eq!(listed[0]["webhook"]["status"], "ENABLED");
}

#[tokio::test]
async fn what_is_published_is_notified_and_can_be_fetched() {
    let (simulator, client, webhook) = subscribed().await;
    let records = [br#"{"Id":"1"}"#, br#"{"Id":"2"}"#];
    let content = simulator.microsoft().publish(id(), FEED, &records);
    let calls = webhook.wait_for(2).await;
    assert_eq!(calls[1].header("content-type"), "application/json; utf-8");
    assert_eq!(calls[1].header("webhook-authid"), "0123456789abcdef");
    assert!(calls[1].headers.get("webhook-validationcode").is_none());
    let entry = &calls[1].entries()[0];
    assert_eq!(entry.content_id, content.as_str());
    assert_eq!(entry.tenant_id, id().to_string());
    assert_eq!(entry.client_id, application().to_string());
    assert!(entry.content_uri.ends_with(&format!("/audit/{}", content.as_str())));

    let reply = client.blob(&entry.content_id).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), r#"[{"Id":"1"},{"Id":"2"}]"#);
    let sent = client
        .feed(Method::GET, "subscriptions/notifications?contentType=audit.sharepoint&", "")
        .await;
    assert_eq!(sent.json()[0]["notificationStatus"], "success");
}

#[tokio::test]
async fn a_failed_notification_comes_again_until_the_webhook_is_disabled() {
    let (simulator, client, webhook) = subscribed().await;
    let microsoft = simulator.microsoft();
    webhook.answer_next(&[503]);
    microsoft.publish(id(), FEED, &[b"{}"]);
    let calls = webhook.wait_for(3).await;
    assert_eq!(calls[1].body, calls[2].body, "the same notification again");
    assert_eq!(client.list().await[0]["webhook"]["status"], "enabled");
    eventually("both attempts are noted", || (microsoft.attempts().len() == 2).then_some(())).await;

    webhook.answer_next(&[500, 202, 204]);
    microsoft.publish(id(), FEED, &[b"{}"]);
    eventually("disabled", || {
        let webhook = microsoft.subscription(id(), FEED)?.webhook?;
        (webhook.state == WebhookState::Disabled).then_some(())
    })
    .await;
    assert_eq!(client.list().await[0]["webhook"]["status"], "disabled");
    let statuses: Vec<_> = microsoft.attempts().iter().map(|a| a.status).collect();
    let expected = [503, 200, 500, 202, 204].map(Some);
    assert_eq!(statuses, expected);

    microsoft.publish(id(), FEED, &[b"{}"]);
    assert_eq!(webhook.calls().len(), 6, "nobody is called any more");
}

#[tokio::test]
async fn notifications_can_be_lost_repeated_and_spelled_otherwise() {
    let (simulator, _client, webhook) = subscribed().await;
    let microsoft = simulator.microsoft();
    microsoft.announce(Announcing::LOST);
    let lost = microsoft.publish(id(), FEED, &[b"{}"]);
    for form in IdForm::ALL {
        microsoft.announce(Announcing { copies: 2, form, first: false });
        microsoft.publish(id(), FEED, &[b"{}"]);
    }
    let notified = || -> Vec<_> { webhook.calls()[1..].iter().flat_map(|c| c.entries()).collect() };
    let entries =
        eventually("every entry", || Some(notified()).filter(|entries| entries.len() == 8)).await;
    // Notifications overtake each other, so only their number tells.
    let mut copies = BTreeMap::new();
    for entry in &entries {
        *copies.entry(entry.content_id.as_str()).or_insert(0) += 1;
        let canonical = ContentId::parse(&entry.content_id).unwrap().canonical();
        assert_ne!(canonical, lost.canonical());
    }
    assert_eq!(copies.values().collect::<Vec<_>>(), [&2; 4]);
    let repeated_region = "$na0017$na0017";
    for end in
        ["SharePoint$na0017", "$IsFromNotification", "$IsFromNotification$6", repeated_region]
    {
        let spelled = copies.keys().filter(|id| id.ends_with(end));
        assert_eq!(spelled.count(), 1, "{end}");
    }
}

#[tokio::test]
async fn anything_can_be_posted_to_the_webhook() {
    let (simulator, _client, webhook) = world().await;
    webhook.answer_next(&[401]);
    let address = ADDRESS.parse().unwrap();
    let answer =
        simulator.microsoft().notify_raw(&address, HeaderMap::new(), "not JSON").await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(webhook.calls()[0].body, "not JSON");
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_in_time_has_failed() {
    let webhook = Webhook::new().await;
    let simulator = Simulator::start(Config {
        edge: Some(webhook.address),
        webhook_timeout: Duration::from_millis(50),
        ..config()
    })
    .await
    .unwrap();
    let client = Client::new(&simulator).await;
    let _gate = webhook.hold();
    let reply = tokio::time::timeout(DEADLINE, client.start(FEED, &body())).await.unwrap();
    assert_eq!(reply.json()["error"]["code"], "AF20021");
}
