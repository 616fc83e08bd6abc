//! Answers that asking again does not change.

use m365_collector::{
    content::ContentId,
    simulator::{
        Fault,
        microsoft::{Entry, IdForm},
    },
};

use crate::support::{
    Service,
    edge::{Protocol, notification},
    eventually,
};

#[tokio::test(flavor = "multi_thread")]
async fn gone_expired_and_invalid_content_is_given_up_at_once_in_every_spelling() {
    let mut service = Service::builder().with("fetch.retry_min", "50ms").start().await;
    let mut asked = Vec::new();
    for (seed, number) in (1..).zip([20_050, 20_051, 20_052]) {
        let spellings =
            [Fault::Af(number), Fault::AfSentence(number), Fault::AfSingleQuoted(number)];
        for (variant, fault) in (0..).zip(spellings) {
            asked.push(service.publish_lost(0, 10 * seed + variant, fault));
        }
    }
    // What is poisoned hinders nothing beside it.
    asked.push(service.publish_faulty(0, 99, Fault::Empty(500), 0));
    service.delivered().await;
    eventually("all are given up", async || {
        service.settled_as(0, "dead").await + service.settled_as(0, "expired").await == 9.0
    })
    .await;
    assert_eq!(service.given_up(0, "fetch", "content_gone").await, 3);
    assert_eq!(service.given_up(0, "fetch", "content_expired").await, 3);
    assert_eq!(service.given_up(0, "fetch", "content_id_invalid").await, 3);
    assert_eq!(service.settled_as(0, "expired").await, 3.0);
    assert_eq!(service.settled_as(0, "delivered").await, 1.0);
    for id in &asked {
        assert_eq!(service.fetches(id), 1, "{id}");
    }
    let status = &service.status().await[0];
    assert_eq!((status.delivered, status.dead, status.expired), (1, 6, 3));
    service.finish_published().await;
}

/// As [`gone_expired_and_invalid_content_is_given_up_at_once_in_every_spelling`], with what
/// Microsoft itself says to such ids, none of it planned.
#[tokio::test(flavor = "multi_thread")]
async fn ids_that_lead_nowhere_end_with_their_reason() {
    let service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let microsoft = service.simulator.microsoft();
    let lost = service.publish_lost(0, 1, Fault::Empty(500));
    let real = microsoft.entry(tenant, &lost, IdForm::Listed).expect("it is published");
    let renamed = |id: &str| Entry {
        content_id: id.to_owned(),
        content_uri: real.content_uri.replace(lost.as_str(), id),
        ..real.clone()
    };
    let nowhere = "20260101000000000$20260101000000001$audit_exchange$Audit_Exchange$na0017";
    let entries = [renamed(nowhere), renamed("x$y")].map(|entry| serde_json::json!(entry));
    let request = service.post(notification(&entries));
    assert_eq!(request.ask(service.webhook, Protocol::Http1).await.status, 200);
    microsoft.expire(tenant, &lost);
    microsoft.heal();
    eventually("all are given up", async || {
        service.given_up(0, "fetch", "content_gone").await == 1
            && service.given_up(0, "fetch", "content_id_invalid").await == 1
            && service.given_up(0, "fetch", "content_expired").await == 1
    })
    .await;
    assert_eq!(service.fetches(&ContentId::parse(nowhere).unwrap()), 1);
    service.finish_published().await;
}
