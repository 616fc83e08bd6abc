//! From something that goes wrong to the person who is woken up: the real service in the simulated
//! world, a real Prometheus with the rules, a real Alertmanager. Each failure gives its alert and
//! no other, and the alert is over when the failure is.

use std::{collections::BTreeSet, fs, net::SocketAddr, process::Command, time::Duration};

use m365_collector::{
    clock::Clock,
    content::ContentType,
    simulator::{Blob, DevoMode, Fault, Operation, microsoft::WebhookState},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::{
    expressions, nearly_full, rules,
    shortened::shortened,
    sites::Job,
    stack::{Alert, Stack},
};
use crate::support::{collector::Collector, eventually, get, postgres::Postgres};

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_gives_its_alert_and_no_other_and_it_resolves() {
    let never = [(8, ContentType::SharePoint)];
    let brief = [("devo.confirm_timeout", "1s")];
    let shared = Postgres::shared().database().await;
    let shared = [("ledger.url", &*shared), ("ledger.lease", "31s")];
    let (many, expiry, away, unconfirmed, full, mut killed) = tokio::join!(
        Job::start("tenants", 9, &never, &[], |world| world.token_life = Duration::from_secs(5)),
        Job::start("expiry", 1, &[], &[], |world| world.content_life = HOUR * 10),
        Job::start("away", 1, &[], &[], |_| ()),
        Job::start("unconfirmed", 1, &[], &brief, |_| ()),
        Job::start("full", 1, &[], &[], |_| ()),
        Job::start("killed", 1, &[], &shared, |_| ()),
    );
    let (mut replica, of_replica) = killed.replica().await;
    let jobs = [&many, &expiry, &away, &unconfirmed, &full, &killed];
    futures_util::future::join_all(jobs.map(Job::flows)).await;
    let mut targets = jobs.map(Job::target).to_vec();
    targets.push((killed.name, of_replica));
    let stack = Stack::start(&targets).await;

    let in_tenants = async {
        tokio::join!(
            webhook_disabled(&stack, &many, 0),
            subscription_removed(&stack, &many, 1),
            one_type_silent(&stack, &many, 2),
            throttled(&stack, &many, 3),
            poisoned(&stack, &many, 4),
            stuck(&stack, &many, 5),
            credentials_refused(&stack, &many, 6),
            listing_fails(&stack, &many, 7),
            never_anything(&stack, &many, 8),
        )
    };
    let ((a, b, c, d, e, f, g, h, i), j, k, l, m, n, o) = tokio::join!(
        in_tenants,
        certificate_expires(&stack, &expiry),
        content_expires(&stack, &expiry),
        devo_away(&stack, &away),
        devo_confirms_nothing(&stack, &unconfirmed),
        ledger_full(&stack, &full),
        replica_killed(&stack, &killed, (&mut replica, of_replica)),
    );
    expressions::have_results(&stack).await;
    // Nothing knows of it any more, which after an hour is what was wanted.
    targets.retain(|(_, address)| *address != of_replica);
    let p = killed.alert(None, "M365ReplicaMissing");
    stack.announce(&targets);
    stack.fires(&p).await;
    stack.resolves(&p).await;
    for alert in [&o, &p] {
        assert_eq!(stack.instances(alert), BTreeSet::from([of_replica.to_string()]), "{alert:?}");
    }

    let expected = BTreeSet::from([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
    let caused = expected.iter().map(|alert| alert.name.clone());
    let caused: BTreeSet<_> = caused.chain([nearly_full::NAME.to_owned()]).collect();
    assert_eq!(caused, rules::alerts().into_keys().collect(), "every alert is caused");
    let told = stack.told();
    let wrong: Vec<_> = told.keys().filter(|alert| !expected.contains(alert)).collect();
    assert!(wrong.is_empty(), "nobody should have been woken up by {wrong:#?}");
    let lasting: Vec<_> = told.iter().filter(|(_, fires)| **fires).collect();
    assert!(lasting.is_empty(), "not over: {lasting:#?}");
}

async fn webhook_disabled(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365WebhookDisabled");
    // Or the service would put it right before anybody hears of it.
    job.fail(tenant, Operation::Start, Fault::Af(50_000));
    let id = job.site.tenant(tenant);
    job.microsoft().change_subscription(id, ContentType::Exchange, |subscription| {
        subscription.set_webhook_state(WebhookState::Disabled);
    });
    stack.fires(&alert).await;
    job.heal(tenant, &Operation::Start);
    stack.resolves(&alert).await;
    alert
}

async fn subscription_removed(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365SubscriptionDisabled");
    usual_is_known(stack, job, tenant).await;
    job.fail(tenant, Operation::Start, Fault::Af(50_000));
    let id = job.site.tenant(tenant);
    job.microsoft().change_subscription(id, ContentType::General, |subscription| {
        subscription.enabled = false;
        subscription.webhook = None;
    });
    stack.fires(&alert).await;
    silence_would_be_said(stack, job, tenant).await;
    job.heal(tenant, &Operation::Start);
    stack.resolves(&alert).await;
    alert
}

async fn one_type_silent(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365FeedSilent");
    usual_is_known(stack, job, tenant).await;
    job.mute(tenant, ContentType::SharePoint);
    stack.fires(&alert).await;
    job.unmute(tenant);
    stack.resolves(&alert).await;
    alert
}

async fn throttled(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365Throttled");
    usual_is_known(stack, job, tenant).await;
    let throttled = [Operation::Blob, Operation::Content, Operation::NextPage, Operation::List];
    let wait = Some(Duration::from_secs(1));
    for operation in &throttled {
        job.fail(tenant, operation.clone(), Fault::Throttled429 { retry_after: wait });
    }
    stack.fires(&alert).await;
    silence_would_be_said(stack, job, tenant).await;
    for operation in &throttled {
        job.heal(tenant, operation);
    }
    stack.resolves(&alert).await;
    alert
}

async fn poisoned(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365MessagesUnsuccessfullyProcessed");
    let blob = Blob::Bytes("<html>".into());
    job.microsoft().publish_raw(job.site.tenant(tenant), ContentType::General, blob);
    stack.fires(&alert).await;
    stack.resolves(&alert).await;
    alert
}

async fn stuck(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365OldestPendingGrowing");
    let id = job.publish_old(tenant, Duration::from_secs(6000), STUCK);
    stack.fires(&alert).await;
    job.microsoft().heal_operation(None, &Operation::BlobOf(id));
    stack.resolves(&alert).await;
    alert
}

async fn credentials_refused(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365TenantUnreadable");
    usual_is_known(stack, job, tenant).await;
    job.fail(tenant, Operation::Token, Fault::Entra(7_000_222));
    stack.fires(&alert).await;
    silence_would_be_said(stack, job, tenant).await;
    job.heal(tenant, &Operation::Token);
    stack.resolves(&alert).await;
    alert
}

async fn listing_fails(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365FeedUnreadable");
    job.fail(tenant, Operation::Content, Fault::Af(50_000));
    stack.fires(&alert).await;
    job.heal(tenant, &Operation::Content);
    stack.resolves(&alert).await;
    alert
}

/// From the beginning nothing was published of one type.
async fn never_anything(stack: &Stack, job: &Job, tenant: usize) -> Alert {
    let alert = job.alert(Some(tenant), "M365FeedEmpty");
    stack.fires(&alert).await;
    job.unmute(tenant);
    stack.resolves(&alert).await;
    alert
}

/// Waits for the day after which it is known how long the feeds of a tenant usually pause.
async fn usual_is_known(stack: &Stack, job: &Job, tenant: usize) {
    let name = &job.site.tenants[tenant].0;
    let day = shortened("1d");
    stack
        .holds(&format!(
            "count(m365:feed_usual_gap_seconds{{tenant=\"{name}\"}} > 0
             and m365:feed_last_success_timestamp_seconds{{tenant=\"{name}\"}} offset {day}) == 5"
        ))
        .await;
}

/// Waits until a feed of the tenant is silent for so long that somebody would be woken up by that,
/// were it not known why.
async fn silence_would_be_said(stack: &Stack, job: &Job, tenant: usize) {
    let name = &job.site.tenants[tenant].0;
    let feeds = format!("m365:feed_last_success_timestamp_seconds{{tenant=\"{name}\"}}");
    stack.holds(&format!("max(time() - {feeds}) > 35")).await;
}

async fn certificate_expires(stack: &Stack, job: &Job) -> Alert {
    let alert = job.alert(None, "M365CredentialExpiring");
    let place = |name: &str| job.site.folder.path().join(name);
    let kept = ["domain.cert", "domain.key"].map(|name| fs::read(place(name)).unwrap());
    let simulator = &job.site.simulator;
    let authority = place("other-authority.crt");
    let (authority_pem, cert, key) = certificate_of_a_week();
    fs::write(&authority, authority_pem).unwrap();
    simulator.set_devo_clients(&[simulator.devo_ca_path(), &authority]).unwrap();
    fs::write(place("domain.cert"), cert).unwrap();
    fs::write(place("domain.key"), key).unwrap();
    stack.fires(&alert).await;
    fs::write(place("domain.cert"), &kept[0]).unwrap();
    fs::write(place("domain.key"), &kept[1]).unwrap();
    stack.resolves(&alert).await;
    alert
}

async fn content_expires(stack: &Stack, job: &Job) -> Alert {
    let alert = job.alert(Some(0), "M365ExpiryNear");
    let id = job.publish_old(0, Duration::ZERO, STUCK);
    stack.fires(&alert).await;
    job.microsoft().heal_operation(None, &Operation::BlobOf(id));
    stack.resolves(&alert).await;
    alert
}

async fn devo_away(stack: &Stack, job: &Job) -> Alert {
    let alert = job.alert(None, "M365DevoUnreachable");
    job.site.simulator.devo().behave(DevoMode::Refuse);
    stack.fires(&alert).await;
    // Long enough for its age to be said, were it not known why.
    job.publish_old(0, Duration::from_secs(6000), None);
    stack.holds("m365_oldest_pending_seconds{job=\"m365-collector-away\"} > 6035").await;
    job.site.simulator.devo().behave(DevoMode::Normal);
    stack.resolves(&alert).await;
    alert
}

async fn devo_confirms_nothing(stack: &Stack, job: &Job) -> Alert {
    let alert = job.alert(None, "M365DevoUnconfirmed");
    job.site.simulator.devo().behave(DevoMode::NeverClose);
    stack.fires(&alert).await;
    job.site.simulator.devo().behave(DevoMode::Normal);
    stack.resolves(&alert).await;
    alert
}

async fn ledger_full(stack: &Stack, job: &Job) -> Alert {
    let alert = job.alert(None, "M365LedgerNotWritable");
    limit(&job.collector, "4096");
    eventually("it is not ready", async || get(job.site.admin, "/readyz").await.0 == 503).await;
    stack.fires(&alert).await;
    limit(&job.collector, "unlimited");
    stack.resolves(&alert).await;
    alert
}

/// One of two processes that share a ledger; the other one delivers everything meanwhile.
async fn replica_killed(
    stack: &Stack,
    job: &Job,
    (replica, address): (&mut Collector, SocketAddr),
) -> Alert {
    let alert = job.alert(None, "M365ScrapeMissing");
    replica.process.kill();
    stack.fires(&alert).await;
    let before = job.succeeded().await;
    eventually("every feed goes on", async || {
        let now = job.succeeded().await;
        before.iter().zip(now).all(|(before, now)| *before < now)
    })
    .await;
    *replica = job.replica_again(address).await;
    stack.resolves(&alert).await;
    alert
}

/// How long a file of this process may become: no disk is full that others use.
fn limit(collector: &Collector, bytes: &str) {
    let process = collector.process.id().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &process, &limit]).status();
    assert!(status.expect("util-linux is installed").success(), "the limit can be set");
}

/// An authority, a client certificate of it, and its key, as files.
fn certificate_of_a_week() -> (String, String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut domain = CertificateParams::new(vec!["customer.example".to_owned()]).unwrap();
    domain.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    domain.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let week = Duration::from_secs(7 * 24 * 3600);
    domain.not_after = std::time::SystemTime::from(Clock::system().now() + week).into();
    let key = KeyPair::generate().unwrap();
    let cert = domain.signed_by(&key, &authority).unwrap();
    (authority.pem(), cert.pem(), key.serialize_pem())
}

/// Never served, until it is healed.
const STUCK: Option<(Fault, u32)> = Some((Fault::Af(50_000), u32::MAX));

const HOUR: Duration = Duration::from_secs(3600);
