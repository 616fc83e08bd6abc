//! Every row of the contract's table of answers, over HTTP/1.1 and HTTP/2.

use m365_collector::{
    content::ContentType,
    simulator::{Blob, microsoft::Announcing, microsoft::Publication},
};

use crate::support::{
    Service,
    edge::{Answer, MARKER, Post, Protocol, notification, raw},
    metrics::labelled,
};

async fn both(service: &Service, request: &Post, expected: u16) {
    for protocol in Protocol::ALL {
        let answer = request.ask(service.webhook, protocol).await;
        assert_eq!(answer.status, expected, "{protocol:?} {request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn validations_are_answered_in_either_shape() {
    let service = Service::builder().start().await;
    let before = service.outcome("validated").await;
    let body = format!(r#"{{"validationCode":"{MARKER}"}}"#);
    both(&service, &service.post(body.clone()), 200).await;
    both(&service, &service.post(body).with("webhook-validationcode", MARKER), 200).await;
    both(&service, &service.post("").with("webhook-validationcode", MARKER), 200).await;
    both(&service, &service.post("[]").with("webhook-validationcode", MARKER), 200).await;
    assert_eq!(service.outcome("validated").await, before + 8.0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auth_id_opens_the_door_and_nothing_else_does() {
    let service = Service::builder().start().await;
    let validation = format!(r#"{{"validationCode":"{MARKER}"}}"#);
    let right = service.post(validation.clone());
    let auth_id = service.auth_id();
    let longer = format!("{auth_id}x");
    let shorter = auth_id.strip_suffix('e').expect("that is how it ends");
    for wrong in ["", MARKER, longer.as_str(), shorter, &auth_id.to_uppercase()] {
        both(&service, &Post::new(wrong, validation.clone()), 401).await;
    }
    both(&service, &right.clone().without("webhook-authid"), 401).await;
    // It would be up to a proxy which of the two counts.
    both(&service, &right.clone().with("webhook-authid", auth_id.clone()), 401).await;
    // The body of a stranger is not judged: not even its shape is told.
    both(&service, &Post::new(MARKER, "nonsense"), 401).await;
    both(&service, &right, 200).await;
    assert_eq!(service.outcome("unauthorized").await, 16.0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_neither_a_validation_nor_a_notification_is_malformed() {
    let service = Service::builder().start().await;
    let bodies = [
        "",
        "nonsense",
        "[",
        r#"{"validationCode""#,
        "17",
        "null",
        r#""echo-me-7f3a""#,
        r#"{"other":"echo-me-7f3a"}"#,
        r#"["echo-me-7f3a"]"#,
        "[{},1]",
        "\u{feff}nonsense",
    ];
    for body in bodies {
        both(&service, &service.post(body), 400).await;
    }
    assert_eq!(service.outcome("malformed").await, 2.0 * bodies.len() as f64);
    assert!(service.status().await.is_empty(), "nothing of it is recorded");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_of_nothing_is_accepted() {
    let service = Service::builder().start().await;
    both(&service, &service.post("[]"), 200).await;
    both(&service, &service.post("\u{feff} [ ] "), 200).await;
    assert_eq!(service.outcome("accepted").await, 4.0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_other_paths_are_turned_away() {
    let service = Service::builder().start().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"] {
        let request = service.post("[]").method(method);
        both(&service, &request, 405).await;
        let answer = request.ask(service.webhook, Protocol::Http1).await;
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    let paths = ["/", "/webhook/", "/Webhook", "/webhook/../webhook", "//webhook", "/metrics"];
    for path in paths.into_iter().chain(["/echo-me-7f3a"]) {
        both(&service, &service.post("[]").path(path), 404).await;
    }
    // The path is what counts; a query is nobody's business.
    both(&service, &service.post("[]").path("/webhook?echo-me-7f3a"), 200).await;
    assert_eq!(service.outcome("method_not_allowed").await, 18.0);
    assert_eq!(service.outcome("not_found").await, 14.0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_up_to_the_limit() {
    let service = Service::builder().with("webhook.max_body", 1024).start().await;
    let padded = |length: usize| format!("[{}]", " ".repeat(length - 2));
    both(&service, &service.post(padded(1024)), 200).await;
    both(&service, &service.post(padded(1025)), 413).await;
    both(&service, &service.post(padded(1024 * 1024)), 413).await;
    let port = service.webhook;
    assert_eq!(raw(port, &service.post(padded(1024)).chunked()).await.status, 200);
    assert_eq!(raw(port, &service.post(padded(1025)).chunked()).await.status, 413);
    // Nothing is read for the declared length alone.
    let head = service.post("[]").with("content-length", "99999999999");
    assert_eq!(raw(port, &head.bytes()).await.status, 400, "two lengths");
    let declared = String::from_utf8(service.post("[]").bytes()).unwrap();
    let declared = declared.replace("content-length: 2\r\n", "content-length: 99999999999\r\n");
    assert_eq!(raw(port, declared.as_bytes()).await.status, 413);
    assert_eq!(service.outcome("too_large").await, 6.0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_recorded_over_either_protocol_and_whatever_its_media_type() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let types = ["application/json; utf-8", "text/plain", "", "application/octet-stream"];
    for (index, media_type) in types.into_iter().enumerate() {
        for protocol in Protocol::ALL {
            let record = format!(r#"{{"Id":"{index}-{protocol:?}","Workload":"Exchange"}}"#);
            service.expect(&[&record]);
            let lost = Publication {
                announcing: Some(Announcing::LOST),
                ..Publication::of(Blob::array(&[record]))
            };
            let microsoft = service.simulator.microsoft();
            let id = microsoft.publish_as(tenant, ContentType::Exchange, lost);
            let entry = service.entry(tenant, &id);
            let request = service
                .post(notification(&[entry]))
                .without("content-type")
                .with("content-type", media_type);
            let answer: Answer = request.ask(service.webhook, protocol).await;
            assert_eq!(answer.status, 200, "{protocol:?} {media_type:?}");
        }
    }
    service.delivered().await;
    let announced = [
        ("tenant", "tenant-0"),
        ("content_type", ContentType::Exchange.as_str()),
        ("via", "webhook"),
    ];
    let announced = labelled("m365_content_announced_total", &announced);
    assert_eq!(service.metric(&announced).await, 8.0);
    service.finish().await;
}
