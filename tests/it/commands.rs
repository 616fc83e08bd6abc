//! The binary from outside: what each command writes where, and how it ends.

use std::{fs, time::Duration};

use m365_collector::{
    content::ContentType,
    simulator::{DevoMode, Operation},
};
use serde::{Deserialize, de::IgnoredAny};
use tokio::time::Instant;

use crate::support::{
    collector::{Said, Site, command},
    eventually, records,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_help_is_a_result_and_a_slip_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |arguments: &[&str]| command(folder.path(), arguments, &[]).await;
    let help = run(&["--help"]).await;
    assert_eq!((help.code, &*help.err), (Some(0), ""));
    for word in ["Usage: m365-collector", "demo", "ledger", "Exit codes"] {
        assert!(help.out.contains(word), "{}", help.out);
    }
    let version = run(&["--version"]).await;
    assert_eq!(version.out, format!("m365-collector {}\n", env!("CARGO_PKG_VERSION")));
    for slip in [&["rnu"][..], &[], &["ledger", "pending", "--limit", "0"]] {
        let said = run(slip).await;
        assert_eq!((said.code, &*said.out), (Some(2), ""), "{slip:?}");
        assert!(said.err.contains("Usage:") || said.err.contains("--help"), "{}", said.err);
        is_plain(&said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_becomes_a_valid_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let run = async |arguments: &[&str], variables: &[(&str, &str)]| {
        let said = command(folder.path(), arguments, variables).await;
        is_plain(&said);
        said
    };
    let sample = run(&["config", "sample"], &[]).await;
    assert_eq!((sample.code, &*sample.err), (Some(0), ""));
    write("m365-collector.toml", &sample.out);
    // Devo's files are not there, nor are the secrets, and the ids are placeholders.
    let said = run(&["check", "--offline"], &[]).await;
    assert_eq!((said.code, &*said.out), (Some(78), ""), "{}", said.err);
    assert!(said.err.ends_with("`m365-collector config sample` explains every key\n"));
    check_problems(
        &said,
        &[
            "webhook.auth_id",
            "tenants[0].id",
            "tenants[0].client_id",
            "tenants[0].client_secret",
            "devo.ca",
            "devo.cert",
            "devo.key",
        ],
    );

    let zeros = "00000000-0000-0000-0000-000000000000";
    let filled = sample
        .out
        .replacen(zeros, "11111111-1111-1111-1111-111111111111", 1)
        .replacen(zeros, "22222222-2222-2222-2222-222222222222", 1)
        .replace("/run/secrets/", "");
    write("m365-collector.toml", &filled);
    write("auth-id", "0123456789abcdef0123456789abcdef\n");
    write("contoso-client-secret", "a client secret\n");
    let material = m365_collector::simulator::certificates::Material::open(Some(folder.path()));
    drop(material.expect("certificates can be made"));
    let said = run(&["check", "--offline"], &[]).await;
    assert_eq!((said.code, &*said.out), (Some(0), ""), "{}", said.err);
    assert!(said.err.starts_with("configuration is valid: 1 tenant, 5 subscriptions"));

    // The environment is checked with the file, and named as what is wrong.
    let variable = "M365_COLLECTOR__WEBHOOK__LISTEN";
    let said = run(&["check", "--offline"], &[(variable, "everywhere")]).await;
    assert_eq!(said.code, Some(78));
    assert!(said.err.contains(variable) && said.err.contains("everywhere"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_a_file_has_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    let text = "[webhook]\nlisten = 5\nadress = \"x\"\n[fetch]\nretry_min = \"soon\"\n[devo]\nendpoint = \"udp://x\"\n";
    fs::write(&file, text).unwrap();
    for arguments in [
        &["run"][..],
        &["ledger", "status"],
        &["ledger", "pending"],
        &["subscriptions", "list"],
        &["simulate"],
        &["check"],
        &["check", "--offline"],
    ] {
        let arguments: Vec<_> =
            arguments.iter().copied().chain(["--config", "wrong.toml"]).collect();
        let said = command(folder.path(), &arguments, &[]).await;
        assert_eq!((said.code, &*said.out), (Some(78), ""), "{arguments:?}: {}", said.err);
        check_problems(
            &said,
            &[
                "webhook.listen",
                "webhook.adress",
                "webhook.address",
                "webhook.auth_id",
                "fetch.retry_min",
                "devo.endpoint",
                "tenants",
            ],
        );
        is_plain(&said);
    }
    let said = command(folder.path(), &["run", "--config", "missing.toml"], &[]).await;
    assert_eq!(said.code, Some(78));
    assert!(said.err.contains("missing.toml"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_json() {
    #[derive(Deserialize)]
    struct Schema {
        properties: std::collections::BTreeMap<String, IgnoredAny>,
    }
    let folder = tempfile::tempdir().unwrap();
    let said = command(folder.path(), &["config", "schema"], &[]).await;
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    let schema: Schema = serde_json::from_str(&said.out).expect("the schema is JSON");
    for section in ["webhook", "admin", "ledger", "tenants", "devo", "fetch", "log"] {
        assert!(schema.properties.contains_key(section), "{section}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_shown_beside_a_running_service() {
    #[derive(Deserialize)]
    struct Row {
        tenant: String,
        content_type: String,
        waiting: u64,
        delivered: u64,
        records: u64,
    }
    #[derive(Deserialize)]
    struct Pending {
        tenant: String,
        content_type: String,
        content_id: String,
    }
    let site = Site::start(2, None, |_| ()).await;
    let said = site.command(&["ledger", "status"]).await;
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    assert!(said.err.starts_with("error: there is no ledger"), "{}", said.err);

    let collector = site.run().await;
    site.registered(10).await;
    let said = site.command(&["ledger", "status"]).await;
    assert_eq!((said.code, &*said.err), (Some(0), "the ledger holds no content yet\n"));
    // Only who is there, once it has shown itself.
    assert!(said.out.is_empty() || said.out.starts_with("replica "), "{}", said.out);

    // Two contents that are delivered, and three that cannot be had.
    let microsoft = site.simulator.microsoft();
    let publish = |tenant: usize, content_type, count| {
        let id = site.tenant(tenant);
        let records = records(count, id, content_type, usize::try_from(count).unwrap());
        microsoft.publish(id, content_type, &records)
    };
    publish(0, ContentType::Exchange, 3);
    publish(0, ContentType::Exchange, 4);
    let status = async |arguments: &[&str]| {
        let said = site.command(&[&["ledger", "status", "--json"], arguments].concat()).await;
        assert_eq!((said.code, &*said.err), (Some(0), ""));
        serde_json::from_str::<Vec<Row>>(&said.out).expect("the rows are JSON")
    };
    eventually("both are delivered", async || {
        status(&[]).await.iter().any(|row| row.delivered == 2)
    })
    .await;
    let fault = m365_collector::simulator::Fault::Empty(500);
    microsoft.fail(Operation::Blob, fault, u32::MAX);
    let waiting = publish(1, ContentType::Dlp, 1);
    publish(1, ContentType::General, 1);
    publish(0, ContentType::General, 1);
    let pending = async |arguments: &[&str]| {
        let said = site.command(&[&["ledger", "pending", "--json"], arguments].concat()).await;
        assert_eq!((said.code, &*said.err), (Some(0), ""));
        serde_json::from_str::<Vec<Pending>>(&said.out).expect("the rows are JSON")
    };
    eventually("three wait", async || pending(&[]).await.len() == 3).await;
    let rows = status(&["--tenant", "tenant-0", "--type", "audit.exchange"]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((&*rows[0].tenant, &*rows[0].content_type), ("tenant-0", "Audit.Exchange"));
    assert_eq!((rows[0].waiting, rows[0].delivered, rows[0].records), (0, 2, 7));
    let id = site.tenant(1).to_string();
    let rows = pending(&["--tenant", &id, "--type", "DLP.All"]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((&*rows[0].tenant, &*rows[0].content_type), ("tenant-1", "DLP.All"));
    assert_eq!(rows[0].content_id, waiting.as_str());
    assert_eq!(pending(&["--limit", "2"]).await.len(), 2);

    let table = site.command(&["ledger", "pending", "--tenant", "tenant-1"]).await;
    assert_eq!((table.code, &*table.err), (Some(0), ""));
    let heads: Vec<_> = table.out.lines().map(|line| line.split_whitespace().next()).collect();
    assert_eq!(heads, [Some("tenant"), Some("tenant-1"), Some("tenant-1")], "{}", table.out);
    assert!(table.out.contains("server_error") && table.out.contains(waiting.as_str()));
    let table = site.command(&["ledger", "status"]).await;
    // Who is there comes after it.
    let rows = table.out.lines().take_while(|line| !line.is_empty());
    assert_eq!((rows.count(), &*table.err), (5, ""), "{}", table.out);
    is_plain(&table);
    let said = site.command(&["ledger", "pending", "--tenant", "nobody"]).await;
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    assert_eq!(said.err, "error: no tenant is configured with the name or id \"nobody\"\n");
    drop(collector);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_listed_beside_what_is_wanted() {
    #[derive(Deserialize)]
    struct Row {
        tenant: String,
        content_type: String,
        status: Option<String>,
        webhook: Option<String>,
        address_is_ours: Option<bool>,
        ok: bool,
        action: String,
    }
    let site = Site::start(2, None, |_| ()).await;
    let list = async |arguments: &[&str]| {
        let said = site.command(&[&["subscriptions", "list", "--json"], arguments].concat()).await;
        assert_eq!((said.code, &*said.err), (Some(0), ""));
        serde_json::from_str::<Vec<Row>>(&said.out).expect("the rows are JSON")
    };
    let rows = list(&[]).await;
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| !row.ok && row.status.is_none() && row.webhook.is_none()));
    assert!(rows.iter().all(|row| row.action.starts_with("start: ")), "{}", rows[0].action);
    assert_eq!(site.simulator.microsoft().count(None, &Operation::Start), 0, "only looked at");

    let collector = site.run().await;
    site.registered(10).await;
    let rows = list(&["--tenant", "tenant-1", "--type", "Audit.General"]).await;
    let [row] = &rows[..] else { panic!("one row") };
    assert_eq!((&*row.tenant, &*row.content_type), ("tenant-1", "Audit.General"));
    assert_eq!((row.status.as_deref(), row.webhook.as_deref()), (Some("enabled"), Some("enabled")));
    assert_eq!((row.ok, row.address_is_ours, &*row.action), (true, Some(true), "keep"));
    let table = site.command(&["subscriptions", "list"]).await;
    assert_eq!((table.code, &*table.err, table.out.lines().count()), (Some(0), "", 11));
    is_plain(&table);

    // One tenant that cannot be asked fails the command, and does not hide the other.
    let tenant = site.tenant(0);
    site.simulator.microsoft().set_secret(tenant, "another");
    let said = site.command(&["subscriptions", "list"]).await;
    assert_eq!((said.code, said.out.lines().count()), (Some(1), 6), "{}", said.out);
    assert!(said.err.starts_with("tenant-0: "), "{}", said.err);
    drop(collector);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_is_under_way() {
    let site = Site::start(1, None, |_| ()).await;
    let collector = site.run().await;
    site.registered(5).await;
    let tenant = site.tenant(0);
    let mut published = Vec::new();
    for seed in 1..=20 {
        let records = records(seed, tenant, ContentType::SharePoint, 20);
        site.simulator.microsoft().publish(tenant, ContentType::SharePoint, &records);
        published.extend(records);
    }
    eventually("records are sent", async || site.simulator.devo().received().lines > 0).await;
    let asked = Instant::now();
    let said = collector.stop().await;
    assert_eq!((said.code, &*said.out), (Some(0), ""), "{}", said.err);
    assert!(asked.elapsed() < Duration::from_secs(30));
    assert!(said.err.contains("draining") && said.err.trim_end().ends_with("drained"));
    is_plain(&said);
    // What was begun was confirmed and settled: the next run sends nothing of it again.
    let settled = async || {
        #[derive(Deserialize)]
        struct Row {
            records: u64,
        }
        let said = site.command(&["ledger", "status", "--json"]).await;
        let rows: Vec<Row> = serde_json::from_str(&said.out).expect("the rows are JSON");
        rows.iter().map(|row| row.records).sum::<u64>()
    };
    assert_eq!(settled().await, site.simulator.devo().received().lines);
    let collector = site.run().await;
    let wanted = u64::try_from(published.len()).unwrap();
    eventually("everything is settled", async || settled().await == wanted).await;
    assert_eq!(collector.stop().await.code, Some(0));
    let received = site.simulator.devo().received();
    assert_eq!((received.distinct, received.repeated), (wanted, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let mut site = Site::start(1, None, |_| ()).await;
    site.set("webhook.drain_delay", "10s");
    let mut collector = site.run().await;
    site.simulator.devo().behave(DevoMode::NeverClose);
    collector.process.terminate();
    eventually("it drains", async || collector.stderr().contains("draining")).await;
    assert!(collector.process.is_running());
    let asked = Instant::now();
    let said = collector.stop().await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("asked twice to stop"), "{}", said.err);
    assert!(asked.elapsed() < Duration::from_secs(5));
}

/// Every line but the last is a problem: place, key, what was found, what is expected.
fn check_problems(said: &Said, keys: &[&str]) {
    let problems: Vec<_> =
        said.err.lines().filter(|line| !line.starts_with("configuration is invalid")).collect();
    assert_eq!(problems.len(), keys.len(), "{}", said.err);
    for key in keys {
        let line = problems.iter().find(|line| line.contains(&format!(": {key}: found ")));
        let line = line.unwrap_or_else(|| panic!("{key} is missing:\n{}", said.err));
        assert!(line.contains(".toml") && line.contains(", expected "), "{line}");
    }
}

/// Nothing but text: neither stream is a terminal.
pub fn is_plain(said: &Said) {
    assert!(!said.out.contains('\x1b') && !said.err.contains('\x1b'), "{said:?}");
}
