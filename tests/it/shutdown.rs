//! The end of the process, asked for or not, at any moment: what was acknowledged is delivered,
//! now or after the next start.

use std::time::Duration;

use m365_collector::{
    content::{ContentId, ContentType},
    simulator::{
        Blob, DevoMode, Fault, Operation,
        microsoft::{Announcing, IdForm, Publication},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::support::{Service, books::Ends, eventually, patience, records, within};

const TYPE: ContentType = ContentType::Exchange;

/// What service managers commonly grant before they kill.
const GRACE: Duration = Duration::from_secs(30);

/// Publishes records whose content is fetched in so many tenths of a second.
fn publish_dripping(service: &mut Service, records: &[Vec<u8>], tenths: usize) -> ContentId {
    service.expect(records);
    let blob = Blob::array(records);
    let Blob::Bytes(body) = &blob else { unreachable!("an array is bytes") };
    let every = Duration::from_millis(100);
    let bytes = body.len().div_ceil(tenths);
    let publication =
        Publication { fault: Some((Fault::Drip { bytes, every }, 1)), ..Publication::of(blob) };
    service.simulator.microsoft().publish_as(service.tenant(0), TYPE, publication)
}

async fn fetched(service: &Service, id: &ContentId) {
    let operation = Operation::BlobOf(id.clone());
    eventually("the fetch is under way", async || {
        service.simulator.microsoft().count(None, &operation) > 0
    })
    .await;
}

/// A notification of content nobody announced yet, as bytes on the wire.
fn notification(service: &mut Service, records: &[Vec<u8>]) -> Vec<u8> {
    service.expect(records);
    let microsoft = service.simulator.microsoft();
    let tenant = service.tenant(0);
    let announcing = Some(Announcing::LOST);
    let publication = Publication { announcing, ..Publication::of(Blob::array(records)) };
    let id = microsoft.publish_as(tenant, TYPE, publication);
    let entry = microsoft.entry(tenant, &id, IdForm::Listed).expect("it was published");
    let body = serde_json::to_vec(&[entry]).expect("entries are text");
    let auth_id = std::fs::read_to_string(service.folder.path().join("auth-id"));
    let auth_id = auth_id.expect("the set-up wrote it");
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: test\r\nWebhook-AuthID: {auth_id}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

async fn status(mut connection: TcpStream) -> String {
    let mut answer = String::new();
    let read = connection.read_to_string(&mut answer);
    within(Duration::from_secs(10), "an answer", read).await.expect("the answer is text");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_what_was_begun() {
    let mut service = Service::builder()
        .with("webhook.drain_delay", "10s")
        // A request that was begun outlives the delay.
        .with("webhook.header_timeout", "60s")
        .with("webhook.body_timeout", "60s")
        .start()
        .await;
    let tenant = service.tenant(0);
    // A write, a fetch and a notification are under way when the request to stop comes.
    let written = records(1, tenant, TYPE, 20);
    service.publish(0, TYPE, &written);
    service.simulator.devo().wait_for(20, patience()).await.unwrap();
    let dripping = publish_dripping(&mut service, &records(2, tenant, TYPE, 20), 30);
    fetched(&service, &dripping).await;
    let early = notification(&mut service, &records(3, tenant, TYPE, 5));
    let mut begun = TcpStream::connect(service.webhook).await.unwrap();
    begun.write_all(&early[..early.len() / 2]).await.unwrap();

    let asked = Instant::now();
    service.request_stop();
    eventually("not ready", async || service.admin("/readyz").await.0 == 503).await;
    assert_eq!(service.admin("/livez").await.0, 200);
    // The balancer has not noticed yet and still sends requests, until the delay is over.
    let late = notification(&mut service, &records(4, tenant, TYPE, 5));
    let mut fresh = TcpStream::connect(service.webhook).await.unwrap();
    fresh.write_all(&late).await.unwrap();
    assert_eq!(status(fresh).await, "HTTP/1.1 200 OK");
    // The request that was begun ends after the port is closed.
    eventually("the port is closed", async || TcpStream::connect(service.webhook).await.is_err())
        .await;
    assert!(asked.elapsed() >= Duration::from_secs(10));
    begun.write_all(&early[early.len() / 2..]).await.unwrap();
    assert_eq!(status(begun).await, "HTTP/1.1 200 OK");
    service.stopped().await;
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
    // Only what was announced when the pipeline had ended may wait for the next start.
    let pending = service.pending().await;
    assert!(pending.len() <= 1 && pending.iter().all(|content| content.attempts == 0));

    service.run().await;
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_the_drain_is_delivered_after_the_next_start() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let endless = records(1, tenant, TYPE, 20);
    let endless = publish_dripping(&mut service, &endless, 6000);
    fetched(&service, &endless).await;
    let asked = Instant::now();
    service.request_stop();
    service.stopped().await;
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
    assert_eq!(service.pending().await.len(), 1, "it is still in the ledger");
    // Less than a batch of it had come, so nothing was sent, and now it arrives once.
    service.run().await;
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_confirm_does_not_hold_up_the_end() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let confirmed = records(1, tenant, TYPE, 10);
    service.publish(0, TYPE, &confirmed);
    service.delivered().await;
    service.simulator.devo().behave(DevoMode::NeverClose);
    let held = records(2, tenant, TYPE, 10);
    service.publish(0, TYPE, &held);
    service.simulator.devo().wait_for(20, patience()).await.unwrap();
    let asked = Instant::now();
    service.request_stop();
    service.stopped().await;
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
    assert_eq!(service.pending().await.len(), 1, "unconfirmed is not delivered");
    service.simulator.devo().behave(DevoMode::Normal);
    service.run().await;
    service.ended(Ends { delivered: 2, ..Ends::default() }).await;
    assert_eq!((service.times(&confirmed), service.times(&held)), ((1, 1), (2, 2)));
    service.finish_with_repeats(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_confirms_at_once_what_was_sent() {
    let mut service = Service::builder().with("devo.confirm_interval", "10m").start().await;
    let records = records(1, service.tenant(0), TYPE, 20);
    service.publish(0, TYPE, &records);
    service.simulator.devo().wait_for(20, patience()).await.unwrap();
    service.stop().await;
    assert_eq!(service.ends().await, Ends { delivered: 1, ..Ends::default() });
    service.run().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_loses_nothing() {
    // From before the first claim, over fetches, writes and the idle second, to the settlement.
    const MOMENTS_MS: [u64; 14] = [0, 2, 5, 10, 20, 40, 80, 150, 300, 600, 1000, 1050, 1100, 1300];
    // Microsoft must not give up on a webhook that is away so often.
    let retries = vec![Duration::from_millis(200); 300];
    let builder = Service::builder().world(|world| world.notification_retries = retries);
    let mut service = builder.start().await;
    let tenant = service.tenant(0);
    let settled = records(0, tenant, TYPE, 20);
    service.publish(0, TYPE, &settled);
    service.delivered().await;
    for (seed, moment) in (1..).zip(MOMENTS_MS) {
        for content_type in [ContentType::Exchange, ContentType::General] {
            let records = records(seed, tenant, content_type, 40);
            service.publish(0, content_type, &records);
        }
        let slow = records(100 + seed, tenant, TYPE, 20);
        publish_dripping(&mut service, &slow, 5);
        sleep(Duration::from_millis(moment)).await;
        service.kill().await;
        service.run().await;
    }
    // Every notification that was not answered is posted again.
    let kills = u32::try_from(MOMENTS_MS.len()).unwrap();
    service.ended(Ends { delivered: 1 + 3 * u64::from(kills), ..Ends::default() }).await;
    assert_eq!(service.times(&settled), (1, 1), "what is settled never comes again");
    service.finish_with_repeats(1 + kills).await;
}
