//! `check`, the doctor: for each of many misconfigurations it names exactly that cause first, and
//! the remedy is right; with nothing wrong it is silent about problems.

mod authority;
mod balancer;
mod rows;
mod world;

use std::{fs, time::Duration};

use futures_util::{StreamExt as _, stream};
use m365_collector::{
    content::{ContentType, TenantId},
    ledger::{self, Onboarding, StoredTenant},
    simulator::{Fault, Operation, SimulatedTenant, microsoft::IdForm},
};
use tokio::net::TcpStream;
use uuid::Uuid;

use authority::{Authority, Leaf};
use balancer::Manner;
use rows::{Row, rows};
use world::{Found, World, address};

use crate::support::{
    collector::{Said, command},
    edge::{Post, Protocol, notification},
    eventually, get,
};

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_wrong_it_is_silent_about_problems() {
    let mut world = World::new(|_| ()).await;
    // Before the first start, and beside a running service.
    for _ in 0..2 {
        let (said, found) = world.check().await;
        assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
        assert_eq!(said.err, "Everything is well.\n");
        for finding in &found {
            assert_eq!(finding.outcome, "ok", "{finding:#?}");
            assert_eq!(finding.remedy, "", "{finding:#?}");
        }
        assert!(found.len() > 30, "{found:#?}");
        if world.kept.is_empty() {
            world.kept.push(Box::new(world.site.run().await));
            let admin = world.site.admin;
            let is_ready = async || get(admin, "/readyz").await.1.contains(r#""status": "ready""#);
            eventually("it is ready", is_ready).await;
        }
    }
    world.arguments = vec!["check"];
    let said = world.spawn().said().await;
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    for word in ["failed", "warning", "skipped", "to do"] {
        assert!(!said.out.contains(word), "{}", said.out);
    }
    assert!(said.out.contains("Everything is well."), "{}", said.out);
    assert!(said.out.contains("served by the running m365-collector"), "{}", said.out);
    assert!(!said.out.contains('\x1b'), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_a_webhook_has_no_public_address_to_look_at() {
    let world = World::new(|_| ()).await;
    world.edit(|text| format!("[admin]{}", text.split_once("[admin]").unwrap().1));
    let (said, found) = {
        let variables = [("SSL_CERT_FILE", world.folder().join("public.pem"))];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.to_str().unwrap()));
        let said = command(world.folder(), &world.arguments, &variables).await;
        let found: Vec<Found> = serde_json::from_str(&said.out).unwrap();
        (said, found)
    };
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    assert!(found.iter().all(|found| found.outcome == "ok"), "{found:#?}");
    let called = ["webhook", "address", "notifications"];
    let of_calls = |found: &Found| called.iter().any(|part| found.check.contains(part));
    assert!(!found.iter().any(of_calls), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_only_microsoft_gets_through_is_well() {
    let mut world = World::new(|_| ()).await;
    let folder = world.folder().to_owned();
    let (cert, key) = world.authority.issue(&folder, "ours", &Leaf::default());
    world.set("webhook.tls.cert", cert.display());
    world.set("webhook.tls.key", key.display());
    let ca = world.site.simulator.ca_path().display().to_string();
    world.set("webhook.tls.client_ca", ca);
    let port = world.site.webhook.port();
    world.set_address(port);
    world.change_each(|subscription, mut webhook| {
        webhook.address = address(port);
        subscription.webhook = Some(webhook);
    });
    let (said, found) = world.check().await;
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    assert!(found.iter().all(|found| found.outcome == "ok"), "{found:#?}");
    let answer = found.iter().find(|found| found.check == "address_answer").unwrap();
    assert!(answer.cause.contains("only Microsoft has"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_may_have_the_public_address_under_its_own_authority() {
    let mut world = World::new(|_| ()).await;
    let folder = world.folder().to_owned();
    let house = Authority::new("In the house");
    let both = fs::read_to_string(world.site.simulator.ca_path()).unwrap() + &house.pem();
    fs::write(folder.join("both.pem"), both).unwrap();
    world.set("microsoft.ca", folder.join("both.pem").display());
    let files = house.issue(&folder, "p", &Leaf::default());
    world.at_the_edge(Some(files)).await;
    let (said, found) = world.check().await;
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    assert!(found.iter().all(|found| found.outcome == "ok"), "{found:#?}");
    let tls = found.iter().find(|found| found.check == "address_tls").unwrap();
    assert!(tls.cause.contains("signed by the authority in microsoft.ca"), "{tls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_host_that_only_grants_tokens_is_well() {
    let world = World::new(|_| ()).await;
    world.microsoft().fail(Operation::Directory, Fault::Html(404), u32::MAX);
    let (said, found) = world.check().await;
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    assert!(found.iter().all(|found| found.outcome == "ok"), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_tenants_are_looked_at_as_well() {
    let id = TenantId::from(Uuid::new_v4());
    let world = World::new(|config| {
        let own = config.tenants[0].clone();
        config.tenants.push(SimulatedTenant { id, ..own });
    })
    .await;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let ledger = ledger::Config {
        location: ledger::Location::Sqlite(world.folder().join("ledger.db")),
        lease: Duration::from_secs(300),
        keep_delivered: days(14),
        keep_dead: days(30),
    };
    let customer = StoredTenant {
        id,
        name: "customer".to_owned(),
        client_id: world.site.tenants[0].1.client_id,
        content_types: vec![ContentType::Exchange],
        added: world.site.simulator.clock().now(),
    };
    Onboarding::open(&ledger).await.unwrap().store(customer).await.unwrap();
    let (said, found) = world.check().await;
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    let of_it: Vec<_> = found.iter().filter(|found| found.subject == "customer").collect();
    let outcomes: Vec<_> = of_it.iter().map(|found| (&*found.check, &*found.outcome)).collect();
    let expected = [
        ("tenant", "ok"),
        ("token", "ok"),
        ("roles", "ok"),
        ("subscription", "warning"),
        ("content", "skipped"),
        ("notifications", "skipped"),
    ];
    assert_eq!(outcomes, expected, "{of_it:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_alone_is_json_as_well() {
    let mut world = World::new(|_| ()).await;
    world.arguments = vec!["check", "--offline", "--json"];
    let (said, found) = world.check().await;
    assert_eq!((said.code, found.len()), (Some(0), 1), "{}\n{}", said.out, said.err);
    assert_eq!((&*found[0].check, &*found[0].outcome), ("configuration", "ok"));
    assert!(said.err.starts_with("configuration is valid"), "{}", said.err);
    world.edit(|text| text.replace("tls://", "udp://"));
    let (said, found) = world.check().await;
    assert_eq!((said.code, found.len()), (Some(78), 1), "{}\n{}", said.out, said.err);
    assert_eq!((&*found[0].check, &*found[0].outcome), ("configuration", "failed"));
    assert!(said.err.contains(&found[0].cause), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_of_the_file_are_findings_too() {
    let world = World::new(|_| ()).await;
    world
        .edit(|text| text.replace("[fetch]", "[fetch]\nretries = 3\n").replace("tls://", "udp://"));
    let (said, found) = world.check().await;
    assert_eq!((said.code, found.len()), (Some(78), 2), "{}\n{}", said.out, said.err);
    for finding in &found {
        assert_eq!((&*finding.check, &*finding.outcome), ("configuration", "failed"));
        assert!(said.err.contains(&finding.cause), "{finding:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_in_trouble_hides_nothing_of_the_others() {
    let world = World::of(3, |_| ()).await;
    let fault = Fault::Entra(7_000_222);
    world.microsoft().fail_tenant(world.site.tenant(1), Operation::Token, fault, u32::MAX);
    let (said, found) = world.check().await;
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.err.starts_with("Mend this first: token (tenant-1): "), "{}", said.err);
    let (of_it, others): (Vec<_>, Vec<_>) =
        found.iter().partition(|found| found.subject == "tenant-1");
    assert!(others.iter().all(|found| found.outcome == "ok"), "{others:#?}");
    let outcomes: Vec<_> = of_it.iter().map(|found| (&*found.check, &*found.outcome)).collect();
    let skipped = ["roles", "subscription", "content", "notifications"];
    let expected = [("tenant", "ok"), ("token", "failed")];
    let expected = expected.into_iter().chain(skipped.map(|check| (check, "skipped")));
    assert_eq!(outcomes, expected.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_record_arrives_in_the_table_of_choice() {
    let mut world = World::new(|config| config.keep_lines = true).await;
    world.arguments = vec!["check", "--json", "--record", "test.keep.free"];
    let (said, found) = world.check().await;
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    let confirmation = found.iter().find(|found| found.check == "devo_confirmation").unwrap();
    assert!(confirmation.evidence.contains("test.keep.free"), "{confirmation:?}");
    let received = world.site.simulator.devo().received();
    assert_eq!((received.lines, received.malformed), (1, 0));
    assert_eq!(received.tags.keys().collect::<Vec<_>>(), ["test.keep.free"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_acknowledges_nothing_that_it_cannot_keep() {
    let world = World::new(|_| ()).await;
    world.balancer.behave(Manner::Waits(Duration::from_secs(3)));
    let mut check = world.spawn();
    let port = world.site.webhook;
    eventually("the stand-in serves", async || TcpStream::connect(port).await.is_ok()).await;
    let contents = world.microsoft().contents();
    let form = IdForm::Listed;
    let entry = world.microsoft().entry(world.tenant(), &contents[0].id, form).unwrap();
    let auth_id = fs::read_to_string(world.folder().join("auth-id")).unwrap();
    let body = notification(&[serde_json::json!(entry)]);
    let answer = Post::new(&*auth_id, body).ask(port, Protocol::Http1).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")), "I1");
    let validation = Post::new(&*auth_id, r#"{"validationCode":"x"}"#);
    assert_eq!(validation.ask(port, Protocol::Http1).await.status, 200);
    assert!(check.process.is_running(), "all of that was the stand-in");
    let said = check.said().await;
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert!(!world.folder().join("ledger.db").exists(), "no ledger is made by a check");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_colours_and_progress_unless_unwanted() {
    let mut world = World::new(|_| ()).await;
    world.arguments = vec!["check"];
    let on_terminal = "export TERM=xterm-256color SHELL=/bin/sh PATH=/usr/bin:/bin; \
                       exec script -qec \"$0 $*\" /dev/null";
    world.script = on_terminal.to_owned();
    let said = world.spawn().said().await;
    for expected in ["\x1b[32m", "\x1b[1mThe way to Devo", "trying Devo", "Everything is well."] {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }
    world.script = format!("export NO_COLOR=1; {on_terminal}");
    let said = world.spawn().said().await;
    assert!(said.out.contains("Everything is well."), "{}", said.out);
    for style in 1..48 {
        assert!(!said.out.contains(&format!("\x1b[{style}m")), "{}", said.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_misconfiguration_is_named_first_with_its_remedy() {
    let rows = rows();
    assert!(rows.len() >= 40, "{}", rows.len());
    let tries = stream::iter(rows).map(Row::examine).buffer_unordered(AT_ONCE);
    let results: Vec<_> = tries.collect().await;
    let wrong: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

impl Row {
    async fn examine(self) -> Result<(), String> {
        let mut world = World::new(self.world).await;
        (self.harm)(&mut world).await;
        let (said, found) = world.check().await;
        let secrets = [
            world.site.tenants[0].1.client_secret.clone(),
            fs::read_to_string(world.folder().join("auth-id")).unwrap(),
        ];
        for secret in secrets {
            assert!(!said.out.contains(&secret) && !said.err.contains(&secret), "{}", self.name);
        }
        self.judge(&said, &found).map_err(|why| {
            let first: Vec<_> =
                found.iter().filter(|found| found.outcome != "ok").take(4).collect();
            format!("{}: {why}\n{}{first:#?}\n", self.name, said.err)
        })
    }

    fn judge(&self, said: &Said, found: &[Found]) -> Result<(), String> {
        let first = |outcome: &str| found.iter().find(|found| found.outcome == outcome);
        let (first, code) = match first("failed") {
            Some(failed) => (Some(failed), 1),
            None => (first("warning"), 0),
        };
        let Some(first) = first else {
            return Err("nothing was found".to_owned());
        };
        let is_named = self.check.split(" or ").any(|check| check == first.check);
        if first.outcome != self.outcome || !is_named {
            let Self { outcome, check, .. } = self;
            return Err(format!("{} {} first, not {outcome} {check}", first.outcome, first.check));
        }
        if said.code != Some(code) {
            return Err(format!("ended with {:?}", said.code));
        }
        let lower = |text: &str| text.to_lowercase();
        for (text, words) in [(&first.cause, self.cause), (&first.remedy, self.remedy)] {
            if let Some(word) = words.iter().find(|word| !lower(text).contains(&lower(word))) {
                return Err(format!("{word:?} is not in {text:?}"));
            }
        }
        if first.remedy.is_empty() || !said.err.contains(&*first.cause) {
            return Err("no remedy, or another cause in the headline".to_owned());
        }
        let is_bare =
            |found: &&Found| found.outcome == "skipped" && !found.cause.contains("because");
        match found.iter().find(is_bare) {
            Some(skipped) => Err(format!("skipped without a reason: {skipped:?}")),
            None => Ok(()),
        }
    }
}

/// Each is a process and a world of its own, and the doctor has no more patience for the steps of
/// one when the machine is busy with others.
const AT_ONCE: usize = 2;
