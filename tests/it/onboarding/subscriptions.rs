//! `subscriptions list|start|stop` against every state a subscription can be in.

use std::time::Duration;

use jiff::Timestamp;
use m365_collector::{
    clock::Clock,
    content::ContentType::{self, AzureActiveDirectory, Dlp, Exchange, General, SharePoint},
    simulator::{
        Fault, Operation,
        microsoft::{Subscription, Webhook, WebhookState},
    },
};
use serde::Deserialize;

use crate::support::{collector::Site, eventually, records};

#[derive(Deserialize)]
struct Row {
    content_type: String,
    wanted: bool,
    status: Option<String>,
    ok: bool,
    reason: Option<String>,
    last_content: Option<Timestamp>,
    last_delivered: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Change {
    tenant: String,
    content_type: String,
    outcome: String,
    reason: Option<String>,
    allowed_at: Option<Timestamp>,
    error: Option<String>,
}

async fn list(site: &Site) -> Vec<Row> {
    let said = site.command(&["subscriptions", "list", "--json"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).expect("the rows are JSON")
}

async fn change(site: &Site, arguments: &[&str]) -> (Option<i32>, Vec<Change>, String) {
    let said = site.command(&[&["subscriptions"], arguments, &["--json"]].concat()).await;
    let rows = serde_json::from_str(&said.out);
    (said.code, rows.unwrap_or_else(|error| panic!("{error}: {}", said.err)), said.err)
}

fn of(rows: &[Row], kind: ContentType) -> &Row {
    rows.iter().find(|row| row.content_type == kind.as_str()).expect("every type has a row")
}

fn webhook(subscription: &mut Subscription) -> &mut Webhook {
    subscription.webhook.as_mut().expect("it was registered")
}

type Break = fn(&mut Subscription);

/// What happens to a subscription, and what is said about it.
const BROKEN: [(ContentType, Break, &str); 7] = [
    (AzureActiveDirectory, |s| s.enabled = false, "disabled"),
    (Dlp, |s| s.webhook = None, "webhook_missing"),
    (Exchange, |s| webhook(s).address = "https://other.example/".into(), "other_address"),
    (General, |s| webhook(s).auth_id = Some("another-auth-id-of-old".into()), "other_auth_id"),
    (SharePoint, |s| s.set_webhook_state(WebhookState::Disabled), "webhook_disabled"),
    (Exchange, |s| webhook(s).expiration = Some("2026-01-01T00:00:00Z".into()), "webhook_expired"),
    (General, |s| s.set_webhook_state(WebhookState::Expired), "webhook_expired"),
];

/// A service that leaves subscriptions to the operator.
async fn unmanaged(start_interval: Duration) -> Site {
    let mut site = Site::start(1, None, |world| world.start_interval = start_interval).await;
    site.set("subscriptions.manage", "false");
    if start_interval.is_zero() {
        site.set("subscriptions.restart_after", "1ms");
    }
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_named_and_a_start_puts_it_right() {
    let site = unmanaged(Duration::ZERO).await;
    let _collector = site.run().await;
    assert!(list(&site).await.iter().all(|row| row.reason.as_deref() == Some("missing")));
    let (code, rows, said) = change(&site, &["start"]).await;
    assert_eq!((code, rows.len()), (Some(0), 5), "{said}");
    assert!(rows.iter().all(|row| row.outcome == "started"));
    assert!(list(&site).await.iter().all(|row| row.ok && row.last_content.is_none()));

    let microsoft = site.simulator.microsoft();
    let tenant = site.tenant(0);
    for (kind, breaks, reason) in BROKEN {
        microsoft.change_subscription(tenant, kind, breaks);
        let rows = list(&site).await;
        let row = of(&rows, kind);
        assert_eq!((row.ok, row.reason.as_deref()), (false, Some(reason)), "{kind}");
        let others = rows.iter().filter(|row| row.content_type != kind.as_str());
        assert!(others.clone().all(|row| row.ok), "only {kind} was broken");
        let (code, rows, said) = change(&site, &["start"]).await;
        assert_eq!(code, Some(0), "{said}");
        for row in &rows {
            let broken = row.content_type == kind.as_str();
            let expected = if broken { ("started", Some(reason)) } else { ("kept", None) };
            assert_eq!((&*row.outcome, row.reason.as_deref()), expected, "{}", row.content_type);
        }
        assert!(of(&list(&site).await, kind).ok, "{kind} is as wanted again");
    }

    // The ages are those of the ledger.
    microsoft.publish(tenant, Exchange, &records(1, tenant, Exchange, 2));
    eventually("the ages are shown", async || {
        let rows = list(&site).await;
        let row = of(&rows, Exchange);
        row.last_content.is_some() && row.last_delivered.is_some()
    })
    .await;
    let table = site.command(&["subscriptions", "list", "--type", "Audit.Exchange"]).await;
    assert!(table.out.contains("last content") && table.out.contains("keep"), "{}", table.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_within_the_quarter_of_an_hour_says_when_it_will_be_allowed() {
    let site = unmanaged(Duration::from_secs(15 * 60)).await;
    let _collector = site.run().await;
    let (code, ..) = change(&site, &["start", "--type", "DLP.All"]).await;
    assert_eq!(code, Some(0));
    let before = Clock::system().now();
    let (code, rows, _) = change(&site, &["start", "--type", "DLP.All", "--again"]).await;
    let [row] = &rows[..] else { panic!("one row") };
    assert_eq!((code, &*row.outcome), (Some(1), "too_early"), "{:?}", row.error);
    let allowed = row.allowed_at.expect("it says when");
    assert_eq!(allowed.subsec_nanosecond(), 0, "in whole seconds");
    let wait = allowed.duration_since(before).as_secs();
    assert!((13 * 60..=15 * 60 + 5).contains(&wait), "{wait} s");
    let starts = || site.simulator.microsoft().count(None, &Operation::Start);
    assert_eq!(starts(), 1, "Microsoft is not asked what is known");
    let table = site.command(&["subscriptions", "start", "--type", "DLP.All", "--again"]).await;
    assert!(table.out.contains("Microsoft allows the next start at 20"), "{}", table.out);
    // Without --again nothing is asked of Microsoft that is not needed.
    let (code, rows, _) = change(&site, &["start", "--type", "DLP.All"]).await;
    assert_eq!((code, &*rows[0].outcome), (Some(0), "kept"));
    assert_eq!(starts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_refused_is_not_repeated_within_the_quarter_of_an_hour() {
    // Nobody listens at the public port, and Microsoft itself would take the start at once.
    let site = Site::start(1, None, |world| world.start_interval = Duration::ZERO).await;
    let start = ["start", "--type", "Audit.General"];
    let (code, rows, _) = change(&site, &start).await;
    assert_eq!((code, &*rows[0].outcome), (Some(1), "webhook_refused"));
    for arguments in [&start[..], &[&start[..], &["--again"]].concat()] {
        let (code, rows, _) = change(&site, arguments).await;
        assert_eq!((code, &*rows[0].outcome), (Some(1), "too_early"));
    }
    let microsoft = site.simulator.microsoft().clone();
    assert_eq!(microsoft.count(None, &Operation::Start), 1);
    let table = site.command(&["subscriptions", "list", "--type", "Audit.General"]).await;
    assert!(table.out.contains("start at 20"), "{}", table.out);

    // The service obeys what the command noted, and starts the others.
    let _collector = site.run().await;
    eventually("the others are started", async || {
        let others = [AzureActiveDirectory, Dlp, Exchange, SharePoint];
        let webhook = |kind| microsoft.subscription(site.tenant(0), kind)?.webhook;
        others.into_iter().all(|kind| webhook(kind).is_some())
    })
    .await;
    assert_eq!(microsoft.count(None, &Operation::Start), 5);
    let general = microsoft.subscription(site.tenant(0), General);
    assert!(general.is_some_and(|general| general.webhook.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_is_said_once_and_in_words() {
    let site = unmanaged(Duration::ZERO).await;
    let _collector = site.run().await;
    let microsoft = site.simulator.microsoft();
    microsoft.fail(Operation::Start, Fault::AuditingOff, 5);
    let said = site.command(&["subscriptions", "start"]).await;
    assert_eq!(said.code, Some(1));
    assert_eq!(said.out.matches("failed").count(), 5, "{}", said.out);
    assert_eq!(said.err.matches("turn auditing on").count(), 1, "{}", said.err);
    assert!(said.err.contains("tenant-0, Audit.AzureActiveDirectory and 4 more: "), "{}", said.err);
    assert!(!format!("{}{}", said.out, said.err).contains("AuditingOff"), "{}", said.err);

    microsoft.fail(Operation::Start, Fault::Af(20_024), 1);
    let (code, rows, said) = change(&site, &["start", "--type", "DLP.All"]).await;
    assert_eq!((code, &*rows[0].outcome), (Some(0), "already_enabled"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_be_reached_is_said_in_words() {
    // Nobody listens at the public port.
    let site = unmanaged(Duration::ZERO).await;
    let (code, rows, _) = change(&site, &["start", "--type", "Audit.General"]).await;
    assert_eq!((code, &*rows[0].outcome), (Some(1), "webhook_refused"));
    assert!(rows[0].error.as_deref().unwrap().contains("must run and be reachable"));
    let tenant = site.tenant(0);
    site.simulator.microsoft().set_secret(tenant, "another");
    let said = site.command(&["subscriptions", "start"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.lines().any(|line| line.starts_with("tenant-0: ")), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_stops_what_is_on_and_says_what_is_not() {
    let mut site = unmanaged(Duration::ZERO).await;
    let collector = site.run().await;
    assert_eq!(change(&site, &["start"]).await.0, Some(0));
    let stop = ["stop", "--tenant", "tenant-0"];
    let one = [&stop[..], &["--type", "DLP.All"]].concat();
    let (code, rows, said) = change(&site, &one).await;
    assert_eq!((code, rows.len(), &*rows[0].outcome), (Some(0), 1, "stopped"), "{said}");
    assert!(!said.contains("starts what is configured"), "it manages nothing: {said}");
    let (code, rows, _) = change(&site, &one).await;
    assert_eq!((code, &*rows[0].outcome), (Some(0), "not_started"));
    assert_ne!(of(&list(&site).await, Dlp).status.as_deref(), Some("enabled"));
    drop(collector);

    // What is on and not wanted is shown, and can be stopped too.
    site.set("tenants.0.content_types", "[\"Audit.Exchange\"]");
    let rows = list(&site).await;
    let unwanted: Vec<_> =
        rows.iter().filter(|row| !row.wanted).map(|row| &*row.content_type).collect();
    assert_eq!(unwanted, ["Audit.AzureActiveDirectory", "Audit.General", "Audit.SharePoint"]);
    let (code, rows, _) = change(&site, &stop).await;
    assert_eq!((code, rows.len()), (Some(0), 4));
    assert!(rows.iter().all(|row| row.outcome == "stopped"));
    assert_eq!(site.simulator.microsoft().count(None, &Operation::Stop), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_without_a_tenant_stops_those_of_all() {
    let mut site = Site::start(2, None, |world| world.start_interval = Duration::ZERO).await;
    site.set("subscriptions.manage", "false");
    site.set("subscriptions.restart_after", "1ms");
    let _collector = site.run().await;
    let (code, rows, said) = change(&site, &["start", "--type", "Audit.General"]).await;
    assert_eq!((code, rows.len()), (Some(0), 2), "{said}");
    let (code, rows, said) = change(&site, &["stop"]).await;
    assert_eq!(code, Some(0), "{said}");
    let stopped: Vec<_> = rows.iter().map(|row| (&*row.tenant, &*row.outcome)).collect();
    assert_eq!(stopped, [("tenant-0", "stopped"), ("tenant-1", "stopped")]);
    assert_eq!(site.simulator.microsoft().count(None, &Operation::Stop), 2);

    // A tenant that cannot be asked keeps the others from nothing.
    assert_eq!(change(&site, &["start", "--type", "DLP.All"]).await.0, Some(0));
    site.simulator.microsoft().set_secret(site.tenant(0), "another");
    let (code, rows, said) = change(&site, &["stop"]).await;
    assert_eq!((code, rows.len(), &*rows[0].tenant), (Some(1), 1, "tenant-1"), "{said}");
    assert!(said.contains("tenant-0: "), "{said}");
}
