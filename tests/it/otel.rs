//! Spans as a receiver of OpenTelemetry gets them, and as Microsoft hears of them.

use m365_collector::{content::ContentType, simulator::Operation};

use crate::support::{collector::Site, eventually, records};

mod receiver;

use receiver::{Receiver, Span};

#[tokio::test(flavor = "multi_thread")]
async fn the_way_of_a_content_is_one_trace_and_microsoft_is_told_which() {
    let receiver = Receiver::start().await;
    let mut site = Site::start(1, None, |_| ()).await;
    site.set("devo.confirm_interval", "300ms");
    // Whatever is logged, spans are exported.
    site.set("log.filter", "off,m365_collector::app=info");
    site.export("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", receiver.address));
    site.export("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test");
    site.export("OTEL_BSP_SCHEDULE_DELAY", "200");
    let collector = site.run().await;
    site.registered(ContentType::ALL.len()).await;
    let (tenant, microsoft) = (site.tenant(0), site.simulator.microsoft());
    let sent = records(1, tenant, ContentType::Exchange, 5);
    let id = microsoft.publish(tenant, ContentType::Exchange, &sent);
    eventually("the records arrive", async || site.simulator.devo().received().distinct == 5).await;

    let mut way = Vec::new();
    eventually("the spans of the content arrive", async || {
        let spans = receiver.spans();
        let content = spans.iter().find(|span| span.has("content.id", id.as_str()));
        let Some(content) = content else { return false };
        let of_trace = |span: &&Span| span.trace == content.trace;
        way = spans.iter().filter(of_trace).cloned().collect();
        true
    })
    .await;
    let named = |name| {
        way.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {way:#?}"))
    };
    let (content, call, confirm) = (named("content"), named("call"), named("confirm"));
    assert!(content.has("tenant", "tenant-0"), "{content:?}");
    assert!(content.has("content.type", "Audit.Exchange"), "{content:?}");
    assert_eq!(content.resource["service.name"], "m365-collector");
    assert_eq!(content.resource["deployment.environment"], "test");
    assert!(content.parent.is_empty(), "nothing was before it");
    assert_eq!((&call.parent, &confirm.parent), (&content.id, &content.id));
    assert!(call.has("http.request.method", "GET"), "{call:?}");

    // Microsoft was asked within that trace, by that span.
    let asked = microsoft.requests();
    let blob = asked.iter().find(|request| matches!(request.operation, Operation::BlobOf(_)));
    let trace = blob.and_then(|request| request.trace.clone()).expect("it says a trace");
    assert_eq!(trace, format!("00-{}-{}-01", call.trace, call.id));
    // So it is for what is asked for no content.
    for operation in [Operation::List, Operation::Start, Operation::Content, Operation::Token] {
        let told = |request: &&_| -> bool {
            let request: &m365_collector::simulator::microsoft::Request = request;
            request.operation == operation
        };
        let request = asked.iter().find(told).expect("it was asked");
        assert!(request.trace.is_some(), "{operation:?}");
    }

    // The end exports what is left, and no span tells a secret.
    let said = collector.stop().await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let spans = receiver.spans();
    for name in ["sweep", "subscriptions"] {
        let span = spans.iter().find(|span| span.name == name).expect("it is done at the start");
        assert!(span.has("tenant", "tenant-0"), "{span:?}");
    }
    let secret = std::fs::read_to_string(site.folder.path().join("tenant-0.secret")).unwrap();
    let auth_id = std::fs::read_to_string(site.folder.path().join("auth-id")).unwrap();
    let told = receiver.told();
    for hidden in [secret.trim(), auth_id.trim(), "Bearer"] {
        assert!(!told.contains(hidden), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_nothing_is_exported_and_nothing_told() {
    let site = Site::start(1, None, |_| ()).await;
    let collector = site.run().await;
    site.registered(ContentType::ALL.len()).await;
    assert!(site.simulator.microsoft().requests().iter().all(|request| request.trace.is_none()));
    assert_eq!(collector.stop().await.code, Some(0));
}

/// A receiver that is away is nobody's concern but its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_delays_neither_records_nor_the_end() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut site = Site::start(1, None, |_| ()).await;
    site.set("devo.confirm_interval", "300ms");
    site.set("webhook.drain_delay", "0s");
    let address = silent.local_addr().unwrap();
    site.export("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("http://{address}/v1/traces"));
    site.export("OTEL_BSP_SCHEDULE_DELAY", "100");
    let collector = site.run().await;
    site.registered(ContentType::ALL.len()).await;
    let tenant = site.tenant(0);
    for seed in 0..20 {
        let sent = records(seed, tenant, ContentType::General, 5);
        site.simulator.microsoft().publish(tenant, ContentType::General, &sent);
    }
    eventually("they arrive", async || site.simulator.devo().received().distinct == 100).await;
    let ending = tokio::time::Instant::now();
    assert_eq!(collector.stop().await.code, Some(0));
    assert!(ending.elapsed().as_secs() < 15, "{:?}", ending.elapsed());
}
