use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use prometheus::Registry;
use tokio::{task::JoinSet, time::timeout};
use tracing::Dispatch;

use super::*;
use crate::{
    microsoft::world::{A, Asked, B, Reply, World, tenant, tenants},
    reason::Reason,
};

mod memory;
mod noticed;

const DEADLINE: Duration = Duration::from_secs(20);

/// Microsoft's memory of subscriptions: what a start asked for is what the next list says.
#[derive(Clone, Default)]
struct Feeds(Arc<Mutex<BTreeMap<(String, String), String>>>);

impl Feeds {
    fn answer(&self, asked: &Asked) -> Reply {
        let mut feeds = self.0.lock().unwrap();
        let tenant = asked.path.split('/').nth(3).unwrap().to_owned();
        if asked.path.ends_with("/list") {
            let listed: Vec<_> = feeds
                .iter()
                .filter(|((of, _), _)| *of == tenant)
                .map(|((_, kind), webhook)| {
                    format!(r#"{{"contentType":"{kind}","status":"enabled","webhook":{webhook}}}"#)
                })
                .collect();
            return Reply::new(200, format!("[{}]", listed.join(",")));
        }
        let query = asked.query.strip_prefix("contentType=").unwrap();
        let kind = query.split('&').next().unwrap().to_owned();
        let webhook = asked.body.strip_prefix(r#"{"webhook":"#);
        let webhook = webhook.map_or("null", |body| body.strip_suffix('}').unwrap());
        feeds.insert((tenant, kind), webhook.to_owned());
        Reply::new(200, "{}")
    }
}

fn keeper(world: &World, change: impl FnOnce(&mut Config)) -> (Subscriptions, Clock, Metrics) {
    keeper_at(world, None, change)
}

fn keeper_at(
    world: &World,
    edge: Option<Edge>,
    change: impl FnOnce(&mut Config),
) -> (Subscriptions, Clock, Metrics) {
    keeper_with(world, edge, None, change)
}

fn keeper_with(
    world: &World,
    edge: Option<Edge>,
    ledger: Option<Ledger>,
    change: impl FnOnce(&mut Config),
) -> (Subscriptions, Clock, Metrics) {
    let mut config = Config {
        manage: true,
        check_interval: Duration::from_secs(300),
        restart_after: Duration::from_secs(900),
        webhook_expiry: None,
        noticed_within: Duration::ZERO,
        webhook: Some(Webhook {
            address: "https://x.example/w".parse().unwrap(),
            auth_id: Secret::fixed("an auth id of ours"),
        }),
    };
    change(&mut config);
    let clock = Clock::system();
    let metrics = Metrics::register(&Registry::new(), &tenants()).unwrap();
    let (client, tenants) = (world.client(), tenants());
    let (of, counts) = (clock.clone(), metrics.clone());
    let keeper = Subscriptions::new(config, client, tenants, of, counts, edge, ledger);
    (keeper, clock, metrics)
}

/// What the last refused start of each feed of tenant a said.
fn refused(keeper: &Subscriptions) -> Vec<Option<Calls>> {
    let status = keeper.observed().status().swap_remove(0);
    status.subscriptions.into_iter().map(|seen| seen.refused).collect()
}

/// What was logged by this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        // While there is but one listener, an event that another thread meets first is off for it.
        static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
        ANOTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
        let log = self.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false);
        tracing::subscriber::set_default(lines.with_writer(move || log.clone()).finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The starts of a tenant so far.
fn starts(world: &World, id: &str) -> usize {
    let asked = world.asked();
    let starts = asked.iter().filter(|asked| asked.path.ends_with("/start"));
    starts.filter(|asked| asked.path.contains(id)).count()
}

fn gauges(metrics: &Metrics) -> (i64, i64) {
    let labels = ["a", ContentType::General.as_str()];
    (
        metrics.subscription_enabled.with_label_values(&labels).get(),
        metrics.webhook_enabled.with_label_values(&labels).get(),
    )
}

#[tokio::test]
async fn missing_subscriptions_are_started_once_and_listed_again() {
    let feeds = Feeds::default();
    let world = World::api(move |asked| feeds.answer(asked)).await;
    let (keeper, _, metrics) = keeper(&world, |_| ());
    assert_eq!(gauges(&metrics), (0, 0));
    assert_eq!(keeper.check(tenant(A)).await, Duration::from_secs(300));
    assert_eq!(starts(&world, A), 2);
    assert_eq!(gauges(&metrics), (1, 1));
    keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 2);

    let status = keeper.observed().status();
    assert_eq!(status.iter().map(|status| &*status.name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(status[0].checked.is_some() && status[1].checked.is_none());
    for seen in &status[0].subscriptions {
        assert_eq!(seen.step.why(), None);
        assert_eq!(seen.webhook.as_ref().unwrap().is_ours, Some(true));
    }
}

#[tokio::test]
async fn a_webhook_taken_by_another_system_is_taken_back_when_the_rule_allows() {
    let feeds = Feeds::default();
    let microsoft = feeds.clone();
    let world = World::api(move |asked| microsoft.answer(asked)).await;
    let (keeper, clock, _) = keeper(&world, |_| ());
    keeper.check(tenant(A)).await;
    let other = r#"{"status":"enabled","address":"https://other.example/"}"#;
    for webhook in feeds.0.lock().unwrap().values_mut() {
        other.clone_into(webhook);
    }
    clock.advance(Duration::from_secs(800));
    let next = keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 2, "one start in 15 minutes");
    assert!(next <= Duration::from_secs(100), "looked at again as soon as allowed: {next:?}");
    clock.advance(Duration::from_secs(101));
    keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 4);
    let asked = world.asked();
    assert!(asked.iter().all(|asked| !asked.path.ends_with("/stop")), "never stopped");
}

#[tokio::test]
async fn the_wait_microsoft_names_is_remembered_for_its_subscription() {
    let world = World::api(|asked| match asked.path.ends_with("/list") {
        true => Reply::new(200, "[]"),
        false if asked.query.contains("General") => {
            Reply::new(403, r#"{"error":{"code":"429","message":"retry again after 8m 46s"}}"#)
        }
        false => Reply::new(400, r#"{"error":{"code":"AF20021"}}"#),
    })
    .await;
    let (keeper, clock, _) = keeper(&world, |_| ());
    keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 2);
    clock.advance(Duration::from_secs(500));
    keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 2);
    clock.advance(Duration::from_secs(30));
    keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 3, "the one that was told a time");
    clock.advance(Duration::from_secs(900));
    keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 5, "the refused webhook follows the rule");
}

#[tokio::test]
async fn a_start_that_failed_because_of_the_webhook_says_what_reached_it() {
    let seen = Arc::new(Mutex::new(Calls { requests: 40, ..Calls::default() }));
    let list = Arc::new(Mutex::new("[]"));
    let (door, listed) = (seen.clone(), list.clone());
    let world = World::api(move |asked| {
        let mut seen = door.lock().unwrap();
        if asked.path.ends_with("/start") {
            *seen = Calls { requests: 45, validations: 1, told: Some("forbidden") };
        }
        match asked.path.ends_with("/start") {
            true => Reply::new(400, r#"{"error":{"code":"AF20021"}}"#),
            false => Reply::new(200, *listed.lock().unwrap()),
        }
    })
    .await;
    let door = seen.clone();
    let edge = Edge::new(move || *door.lock().unwrap());
    let (keeper, clock, _) = keeper_at(&world, Some(edge), |_| ());
    let log = Log::default();
    let listening = log.listen();
    keeper.check(tenant(A)).await;
    drop(listening);
    // Two starts were pending at once, and the validation was for one of them.
    let calls = Calls { requests: 5, validations: 1, told: None };
    let text = log.text();
    assert_eq!(text.matches(&calls.to_string()).count(), 2, "each start says it: {text}");
    assert!(text.contains("requests=5 validations=1") && !text.contains("forbidden"), "{text}");
    assert_eq!(refused(&keeper), [Some(calls); 2]);

    // The only start that is needed may say more.
    *list.lock().unwrap() = r#"[{"contentType":"Audit.Exchange","status":"enabled","webhook":{
        "status":"enabled","address":"https://x.example/w","authId":"an auth id of ours"}}]"#;
    seen.lock().unwrap().requests = 40;
    seen.lock().unwrap().validations = 0;
    clock.advance(Duration::from_secs(901));
    keeper.check(tenant(A)).await;
    let told = Calls { told: Some("forbidden"), ..calls };
    assert_eq!(refused(&keeper), [Some(told), None]);
}

#[tokio::test]
async fn a_refused_webhook_is_forgotten_once_it_is_as_wanted_or_its_start_granted() {
    let refusing = Arc::new(AtomicBool::new(true));
    let granting = Arc::new(AtomicBool::new(false));
    let feeds = Feeds::default();
    let (microsoft, refuses, grants) = (feeds.clone(), refusing.clone(), granting.clone());
    let world = World::api(move |asked| match asked.path.ends_with("/start") {
        true if refuses.load(Ordering::Relaxed) => Reply::new(400, "AF20021"),
        // Granted, and listed later.
        true if grants.load(Ordering::Relaxed) => Reply::new(200, "{}"),
        _ => microsoft.answer(asked),
    })
    .await;
    let (keeper, clock, _) = keeper(&world, |_| ());
    keeper.check(tenant(A)).await;
    assert_eq!(refused(&keeper), [Some(Calls::default()); 2]);
    // Another replica's start is granted.
    refusing.store(false, Ordering::Relaxed);
    keeper_at(&world, None, |_| ()).0.check(tenant(A)).await;
    keeper.check(tenant(A)).await;
    assert_eq!(refused(&keeper), [None; 2]);

    feeds.0.lock().unwrap().clear();
    refusing.store(true, Ordering::Relaxed);
    clock.advance(Duration::from_secs(901));
    keeper.check(tenant(A)).await;
    assert_eq!(refused(&keeper), [Some(Calls::default()); 2]);
    refusing.store(false, Ordering::Relaxed);
    granting.store(true, Ordering::Relaxed);
    clock.advance(Duration::from_secs(901));
    keeper.check(tenant(A)).await;
    assert_eq!(refused(&keeper), [None; 2], "it says nothing about this start");
}

#[tokio::test]
async fn an_expiry_is_registered_and_renewed() {
    let feeds = Feeds::default();
    let world = World::api(move |asked| feeds.answer(asked)).await;
    let day = Duration::from_secs(24 * 3600);
    let (keeper, clock, _) = keeper(&world, |config| config.webhook_expiry = Some(day));
    keeper.check(tenant(A)).await;
    assert!(world.asked()[1].body.contains(r#""expiration":"#));
    clock.advance(day / 3);
    keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 2);
    clock.advance(day / 3);
    keeper.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 4);
}

#[tokio::test]
async fn who_may_not_manage_only_observes() {
    let feeds = Feeds::default();
    let world = World::api(move |asked| feeds.answer(asked)).await;
    let (observer, _, metrics) = keeper(&world, |config| config.manage = false);
    observer.check(tenant(A)).await;
    assert_eq!(starts(&world, A), 0);
    let status = observer.observed().status();
    assert!(
        status[0].subscriptions.iter().all(|seen| seen.step.why() == Some(Why::Missing)),
        "says what would be done"
    );
    assert_eq!(gauges(&metrics), (0, 0));

    let (manager, _, _) = keeper(&world, |config| config.webhook = None);
    let surveys = manager.survey().await;
    assert_eq!(surveys.iter().map(|survey| &*survey.name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(surveys.iter().all(|survey| survey.result.as_ref().unwrap().len() == 2));
    assert_eq!(starts(&world, A), 0, "a survey starts nothing");
    manager.check(tenant(A)).await;
    let status = manager.observed().status();
    assert!(status[0].subscriptions.iter().all(|seen| seen.step.why().is_none()));
    assert!(status[0].subscriptions.iter().all(|seen| seen.webhook.is_none()));
}

#[tokio::test]
async fn one_tenants_trouble_delays_no_other_and_is_kept_beside_the_last_sight() {
    let feeds = Feeds::default();
    let world = World::api(move |asked| {
        // Tenant a's lists never answer within the deadline.
        if asked.path.contains(A) && asked.path.ends_with("/list") {
            return Reply::new(200, "[]").after(DEADLINE * 10);
        }
        feeds.answer(asked)
    })
    .await;
    let (keeper, _, _) = keeper(&world, |_| ());
    let shutdown = Shutdown::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.clone().run(shutdown.clone()));
    let settled = async {
        loop {
            let b = keeper.observed().status().pop().unwrap();
            if b.checked.is_some() {
                break assert!(b.subscriptions.iter().all(Observation::is_enabled));
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, settled).await.expect("tenant b is kept");
    assert_eq!(starts(&world, B), 2);
    shutdown.request();
    timeout(DEADLINE, tasks.join_next()).await.expect("run ends at once");
}

#[tokio::test]
async fn a_failed_look_is_told_and_looked_at_again_when_the_pause_is_over() {
    let world = World::api(|_| Reply::new(429, "").header("Retry-After", "7")).await;
    let (keeper, _, _) = keeper(&world, |_| ());
    let next = keeper.check(tenant(A)).await;
    assert!(next > Duration::from_secs(5) && next <= Duration::from_secs(7), "{next:?}");
    let status = keeper.observed().status();
    assert_eq!(status[0].problem, Some(Reason::Throttled));
    assert_eq!(status[0].checked, None);
}

#[tokio::test]
async fn a_tenant_without_auditing_is_reported_in_words() {
    let body = r#"{"error":{"code":"","message":"Tenant a does not exist."}}"#;
    let world = World::api(move |_| Reply::new(400, body)).await;
    let (keeper, _, _) = keeper(&world, |_| ());
    let log = Log::default();
    let listening = log.listen();
    keeper.check(tenant(A)).await;
    drop(listening);
    assert_eq!(keeper.observed().status()[0].problem, Some(Reason::AuditingOff));
    assert!(log.text().contains("auditing is not turned on"), "{}", log.text());
}

#[tokio::test]
async fn a_start_that_never_left_may_be_tried_at_the_next_look() {
    let world = World::api(|_| Reply::new(200, "[]")).await;
    let (keeper, _, _) = keeper(&world, |config| {
        config.webhook.as_mut().unwrap().auth_id = Secret::file("/nonexistent/auth-id".into());
    });
    let log = Log::default();
    let listening = log.listen();
    assert_eq!(keeper.check(tenant(A)).await, Duration::from_secs(15));
    drop(listening);
    assert!(world.asked().is_empty());
    assert_eq!(keeper.observed().status()[0].problem, Some(Reason::AuthIdUnreadable));
    assert!(log.text().contains("webhook.auth_id cannot be read"), "{}", log.text());
    let survey = keeper.survey().await;
    assert!(matches!(survey[0].result, Err(CheckError::AuthId(_))));
}
