//! The first minute: Microsoft validates the webhook while our own start call is pending.

use m365_collector::{
    content::ContentType,
    simulator::{Fault, Operation},
};

use crate::support::{Service, edge::Protocol, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_registered_because_its_validation_was_answered() {
    let service = Service::builder().start().await;
    assert_eq!(service.outcome("validated").await, 5.0);
    let starts: Vec<_> = service
        .simulator
        .microsoft()
        .requests()
        .into_iter()
        .filter(|request| request.operation == Operation::Start)
        .map(|request| request.status)
        .collect();
    assert_eq!(starts, [Some(200); 5]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_validation_is_refused_registers_no_webhook() {
    let service = Service::builder()
        .with("webhook.allowed_sources", r#"["192.0.2.0/24"]"#)
        .start_unregistered()
        .await;
    let microsoft = service.simulator.microsoft();
    eventually("Microsoft was told to go away", async || {
        let requests = microsoft.requests();
        let starts = requests.iter().filter(|request| request.operation == Operation::Start);
        starts.filter(|request| request.status == Some(400)).count() == 5
    })
    .await;
    assert_eq!(service.outcome("validated").await, 0.0);
    assert_eq!(service.outcome("forbidden").await, 5.0);
    assert_eq!(microsoft.subscriptions().len(), 5);
    assert!(microsoft.subscriptions().iter().all(|(_, state)| state.webhook.is_none()));
    // Microsoft says no more than AF20021; an operator is told what happened here.
    eventually("it is said what Microsoft was told", async || {
        // All five start at once, so which answer was whose is not known.
        service.said_of_subscriptions("AF20021").await == 5
            && service.said_of_subscriptions("a validation was among them").await == 5
    })
    .await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_is_ready_before_the_first_start_call() {
    let mut service = Service::builder().start().await;
    service.stop().await;
    let microsoft = service.simulator.microsoft().clone();
    let before = microsoft.count(None, &Operation::Start);
    microsoft.change_subscription(service.tenant(0), ContentType::Dlp, |subscription| {
        subscription.webhook = None;
        subscription.started = None;
    });
    // Without a token there is neither a list nor a start.
    microsoft.fail(Operation::Token, Fault::Hang, u32::MAX);
    service.run().await;
    assert_eq!(service.post("[]").ask(service.webhook, Protocol::Http1).await.status, 200);
    let validation = service.post(r#"{"validationCode":"1"}"#);
    assert_eq!(validation.ask(service.webhook, Protocol::Http2).await.status, 200);
    assert_eq!(service.admin("/readyz").await.0, 200);
    assert_eq!(microsoft.count(None, &Operation::Start), before);
    service.finish().await;
}
