//! `demo` and `simulate`: the whole path shown by the binary itself.

use std::{fs, path::Path, process::Command};

use jiff::Timestamp;
use m365_collector::{
    content::{ContentType, TenantId},
    simulator::certificates::Material,
};
use uuid::Uuid;

use crate::{
    commands::is_plain,
    support::{
        collector::{self, Collector, Said, command},
        eventually, ports, records,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_that_every_record_arrives_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let said = command(folder.path(), &["demo", "--for", "2s", "--rate", "5"], &[]).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert!(said.out.ends_with("\nevery record arrived exactly once\n"), "{}", said.out);
    assert!(said.err.contains("m365-collector demo") && !said.err.contains("exactly once"));
    is_plain(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_come_with_a_terminal_unless_unwanted() {
    let demo = "demo --for 1s --rate 5 --tenants 1";
    let (with, without) =
        tokio::join!(on_terminal(demo, &[]), on_terminal(demo, &[("NO_COLOR", "1")]));
    check_colours(&with, &without);
    for Said { code, out, .. } in [with, without] {
        assert_eq!(code, Some(0), "{out}");
        assert!(out.contains("arrived"), "progress is shown: {out:?}");
        assert!(out.contains("every record arrived exactly once"), "{out:?}");
    }

    // The service's log, until it finds that an address is not this machine's.
    let nowhere = ("M365_COLLECTOR__ADMIN__LISTEN", "192.0.2.1:9464");
    let with = on_terminal("run", &[nowhere]).await;
    let without = on_terminal("run", &[nowhere, ("NO_COLOR", "1")]).await;
    check_colours(&with, &without);
    for said in [with, without] {
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("m365-collector starts"), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_serves_simulate_and_run() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path());
    // One of the files is named where it is made.
    let file = folder.path().join("m365-collector.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"domain.key\"", "\"simulated/domain.key\"")).unwrap();
    let tenant: TenantId = TENANT.parse().unwrap();
    let mut lines = Vec::new();
    for record in records(1, tenant, ContentType::Exchange, 250) {
        lines.extend(record);
        lines.push(b'\n');
    }
    fs::write(folder.path().join("records.jsonl"), lines).unwrap();

    let simulate = collector::spawn(
        folder.path(),
        &["simulate", "--count", "500", "--rate", "100", "--records", "records.jsonl"],
    );
    eventually("the simulation serves", async || simulate.stderr().contains("waiting for")).await;
    let run = collector::spawn(folder.path(), &["run"]);
    // 250 of the file and 500 generated ones.
    let all_arrived = |simulate: &Collector| {
        let said = simulate.stderr();
        said.contains("published 750 records") && said.contains("; arrived 750, again 0")
    };
    eventually("all arrived", async || all_arrived(&simulate)).await;
    let said = run.stop().await;
    assert_eq!((said.code, &*said.out), (Some(0), ""), "{}", said.err);
    is_plain(&said);
    let status = command(folder.path(), &["ledger", "status", "--json"], &[]).await;
    assert_eq!(status.code, Some(0), "{}", status.err);
    let delivered: u64 = status
        .out
        .lines()
        .filter_map(|line| {
            line.trim().strip_prefix("\"records\": ")?.trim_end_matches(',').parse::<u64>().ok()
        })
        .sum();
    assert_eq!(delivered, 750, "{}", status.out);
    let said = simulate.stop().await;
    assert_eq!((said.code, &*said.out), (Some(0), ""), "{}", said.err);
    assert!(said.err.contains("registered 5 subscriptions"), "{}", said.err);
    is_plain(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_applications_prove_themselves_with_is_made_and_accepted() {
    for credential in [
        "certificate = { cert = \"app.crt\", key = \"app.key\" }",
        "federated_token = { file = \"token\" }",
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_config(folder.path());
        let file = folder.path().join("m365-collector.toml");
        let text = fs::read_to_string(&file).unwrap();
        let secret = "client_secret = { file = \"client-secret\" }";
        assert!(text.contains(secret));
        fs::write(&file, text.replace(secret, credential)).unwrap();
        let simulate =
            collector::spawn(folder.path(), &["simulate", "--count", "20", "--rate", "50"]);
        eventually("the simulation serves", async || simulate.stderr().contains("waiting for"))
            .await;
        let run = collector::spawn(folder.path(), &["run"]);
        eventually("all arrived", async || {
            simulate.stderr().contains("published 20 records")
                && simulate.stderr().contains("; arrived 20, again 0")
        })
        .await;
        let said = run.stop().await;
        assert_eq!(said.code, Some(0), "{}", said.err);
        let said = simulate.stop().await;
        assert_eq!(said.code, Some(0), "{}", said.err);

        // At the next start a certificate is the same, and a token one that has not ended.
        let material = Material::open(Some(&folder.path().join("simulated"))).unwrap();
        if folder.path().join("token").exists() {
            let ended = material.token_for("anybody", Timestamp::UNIX_EPOCH, 1).unwrap();
            fs::write(folder.path().join("token"), ended).unwrap();
        }
        let made = |name: &str| fs::read(folder.path().join(name)).ok();
        let before = [made("app.crt"), made("app.key"), made("token")];
        let simulate = collector::spawn(folder.path(), &["simulate"]);
        eventually("the simulation serves", async || simulate.stderr().contains("waiting for"))
            .await;
        simulate.stop().await;
        let after = [made("app.crt"), made("app.key"), made("token")];
        assert_eq!(before[..2], after[..2]);
        assert_eq!(before[2] == after[2], after[2].is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simulate_serves_no_address_but_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path());
    let elsewhere = ("M365_COLLECTOR__MICROSOFT__MANAGEMENT_URL", "https://manage.example.com");
    let said = command(folder.path(), &["simulate"], &[elsewhere]).await;
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    assert!(
        said.err.contains("microsoft.management_url is https://manage.example.com/"),
        "{}",
        said.err
    );
}

#[track_caller]
fn check_colours(with: &Said, without: &Said) {
    assert!(with.out.contains("\x1b[32m"), "{with:?}");
    for style in 1..48 {
        assert!(!without.out.contains(&format!("\x1b[{style}m")), "{without:?}");
    }
}

/// The binary on a terminal, as `script` records it.
async fn on_terminal(arguments: &str, variables: &[(&str, &str)]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path());
    drop(Material::open(Some(folder.path())).expect("certificates can be made"));
    let line = format!("{} {arguments}", collector::BINARY);
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(folder.path());
    script.env_clear().env("TERM", "xterm-256color").env("PATH", "/usr/bin:/bin");
    script.env("SHELL", "/bin/sh").envs(variables.iter().copied());
    Collector::start(script, folder.path()).said().await
}

/// What somebody who tries an installation writes.
fn write_config(folder: &Path) {
    let [webhook, admin, microsoft, devo] = [0; 4].map(|_| ports::free());
    let text = format!(
        r#"[webhook]
listen = "{webhook}"
address = "https://m365.example.com/hook"
auth_id = {{ file = "auth-id" }}
drain_delay = "0s"
[admin]
listen = "{admin}"
[microsoft]
management_url = "https://{microsoft}"
login_url = "https://{microsoft}"
ca = "microsoft-ca.pem"
[devo]
endpoint = "tls://{devo}"
ca = "chain.crt"
cert = "domain.crt"
key = "domain.key"
[[tenants]]
id = "{TENANT}"
client_id = "{}"
client_secret = {{ file = "client-secret" }}
"#,
        Uuid::new_v4()
    );
    fs::write(folder.join("m365-collector.toml"), text).unwrap();
    fs::write(folder.join("auth-id"), "0123456789abcdef").unwrap();
    fs::write(folder.join("client-secret"), "a client secret").unwrap();
}

const TENANT: &str = "11111111-2222-4333-8444-555555555555";
