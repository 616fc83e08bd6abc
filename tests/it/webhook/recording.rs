//! What 200 means: the content is durably in the ledger (I1), once (I2).

use m365_collector::{
    content::{ContentId, ContentType},
    ledger::Location,
    simulator::{
        Blob, DevoMode, Operation,
        microsoft::{Announcing, IdForm, Publication},
    },
};
use serde_json::json;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{
    Service,
    edge::{Post, Protocol, notification},
    eventually,
    metrics::labelled,
    records,
};

const TYPE: ContentType = ContentType::SharePoint;

fn unannounced(service: &mut Service, seed: u64) -> ContentId {
    let tenant = service.tenant(0);
    let records = records(seed, tenant, TYPE, 3);
    service.expect(&records);
    let announcing = Some(Announcing::LOST);
    let publication = Publication { announcing, ..Publication::of(Blob::array(&records)) };
    service.simulator.microsoft().publish_as(tenant, TYPE, publication)
}

fn announcement(service: &Service, id: &ContentId, form: IdForm) -> Post {
    let microsoft = service.simulator.microsoft();
    let entry = microsoft.entry(service.tenant(0), id, form).expect("the content is published");
    service.post(notification(&[json!(entry)]))
}

/// Keeps the pipeline from moving, so that content stays where the webhook put it.
async fn without_devo() -> Service {
    let mut service = Service::builder().start().await;
    service.stop().await;
    service.simulator.devo().behave(DevoMode::Refuse);
    service.run().await;
    service
}

async fn announced(service: &Service) -> f64 {
    let labels = [("tenant", "tenant-0"), ("content_type", TYPE.as_str()), ("via", "webhook")];
    service.metric(&labelled("m365_content_announced_total", &labels)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_content_is_in_the_ledger_at_once_and_arrives() {
    let mut service = without_devo().await;
    for (seed, protocol) in (1..).zip(Protocol::ALL) {
        let id = unannounced(&mut service, seed);
        let request = announcement(&service, &id, IdForm::Listed);
        assert_eq!(request.ask(service.webhook, protocol).await.status, 200);
        // No waiting here: it must be there when the answer is.
        let pending = service.pending().await;
        let found = pending.iter().find(|pending| pending.announcement.id == id);
        let found = found.expect("200 is sent only after the commit");
        assert_eq!(found.announcement.tenant, service.tenant(0));
        assert_eq!(found.announcement.content_type, TYPE);
        assert_eq!((found.attempts, found.leased), (0, false));
    }
    service.simulator.devo().behave(DevoMode::Normal);
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_content_survives_a_process_that_is_cut_off_right_after_the_answer() {
    let mut service = without_devo().await;
    let id = unannounced(&mut service, 1);
    let request = announcement(&service, &id, IdForm::Listed);
    assert_eq!(request.ask(service.webhook, Protocol::Http1).await.status, 200);
    service.kill().await;
    service.simulator.devo().behave(DevoMode::Normal);
    service.run().await;
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_waits_or_was_delivered_is_accepted_again_and_not_fetched_again() {
    let mut service = without_devo().await;
    let id = unannounced(&mut service, 1);
    let again = async |service: &Service| {
        for (form, protocol) in IdForm::ALL.into_iter().zip(Protocol::ALL.into_iter().cycle()) {
            let request = announcement(service, &id, form);
            assert_eq!(request.ask(service.webhook, protocol).await.status, 200, "{form:?}");
        }
    };
    again(&service).await;
    again(&service).await;
    assert_eq!(service.pending().await.len(), 1, "it waits once");
    service.simulator.devo().behave(DevoMode::Normal);
    service.delivered().await;
    again(&service).await;
    // Twice in one notification, too.
    let microsoft = service.simulator.microsoft();
    let entries: Vec<_> = IdForm::ALL
        .iter()
        .map(|form| json!(microsoft.entry(service.tenant(0), &id, *form).unwrap()))
        .collect();
    let request = service.post(notification(&entries));
    assert_eq!(request.ask(service.webhook, Protocol::Http1).await.status, 200);

    // What comes after it has had every chance to be behind a second fetch.
    let next = unannounced(&mut service, 2);
    let request = announcement(&service, &next, IdForm::Listed);
    assert_eq!(request.ask(service.webhook, Protocol::Http1).await.status, 200);
    service.delivered().await;
    let microsoft = service.simulator.microsoft();
    assert_eq!(microsoft.count(None, &Operation::BlobOf(id)), 1);
    assert_eq!(announced(&service).await, 2.0);
    let status = service.status().await;
    assert_eq!(status.iter().map(|row| row.delivered).sum::<u64>(), 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_right_after_sending_is_not_forgotten() {
    let mut service = Service::builder().start().await;
    for seed in 1..=30 {
        let id = unannounced(&mut service, seed);
        let request = announcement(&service, &id, IdForm::Listed).bytes();
        let mut stream = TcpStream::connect(service.webhook).await.expect("the port is open");
        stream.write_all(&request).await.expect("the request is taken");
        drop(stream);
    }
    eventually("all of it is recorded", async || announced(&service).await == 30.0).await;
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_commit_is_said_and_nothing_is_pretended() {
    let mut service = Service::builder().start().await;
    let id = unannounced(&mut service, 1);
    let request = announcement(&service, &id, IdForm::Listed);
    sql(&service, "ALTER TABLE content RENAME TO elsewhere").await;
    for protocol in Protocol::ALL {
        let answer = request.ask(service.webhook, protocol).await;
        assert_eq!(answer.status, 503, "{protocol:?}");
        let wait: u64 = answer.header("retry-after").expect("says when").parse().unwrap();
        assert!((1..=60).contains(&wait));
    }
    assert_eq!(service.outcome("unavailable").await, 2.0);
    // Neither a validation nor a refusal needs the ledger.
    let validation = service.post(r#"{"validationCode":"1"}"#);
    assert_eq!(validation.ask(service.webhook, Protocol::Http1).await.status, 200);
    assert_eq!(announced(&service).await, 0.0);

    sql(&service, "ALTER TABLE elsewhere RENAME TO content").await;
    assert!(service.status().await.is_empty(), "nothing was recorded behind the refusal");
    assert_eq!(request.ask(service.webhook, Protocol::Http1).await.status, 200);
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_takes_longer_than_a_request_may_is_no_success() {
    let mut service = Service::builder().with("webhook.request_timeout", "500ms").start().await;
    let id = unannounced(&mut service, 1);
    let request = announcement(&service, &id, IdForm::Listed);
    // As an operator's own tool or a backup would hold it.
    let mut holder = connect(&service).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut holder).await.unwrap();
    let answer = request.ask(service.webhook, Protocol::Http1).await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    holder.close().await.unwrap();
    // What was handed over belongs to the ledger: it is recorded though nobody waited.
    eventually("it is counted", async || announced(&service).await == 1.0).await;
    service.delivered().await;
    service.finish().await;
}

async fn connect(service: &Service) -> SqliteConnection {
    let Location::Sqlite(path) = &service.config.ledger.location else { panic!("it is a file") };
    SqliteConnectOptions::new().filename(path).connect().await.expect("the ledger is there")
}

async fn sql(service: &Service, statement: &'static str) {
    let mut connection = connect(service).await;
    sqlx::query(statement).execute(&mut connection).await.expect("nobody is in the way");
    connection.close().await.expect("it was only lent");
}
