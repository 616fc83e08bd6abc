//! Documented command lines, the help, and the commands that need no service.

use clap::{CommandFactory as _, Parser as _};
use expect_test::expect;

use super::{
    offline::{auth_id, check, sample, schema},
    *,
};

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn clap_finds_no_fault() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_takes_the_configuration_file() {
    for command in [
        "run",
        "backfill --tenant contoso --from 2026-01-31",
        "backfill --tenant contoso --type dlp.all --from 2026-01-31 --to 2026-01-31T12:00:00Z --again",
        "check --offline",
        "config auth-id",
        "config sample",
        "config schema",
        "health",
        "ledger status",
        "ledger status --tenant contoso --type Audit.Exchange --json",
        "ledger pending",
        "ledger pending --tenant contoso --type dlp.all --json --limit 5",
        "subscriptions list",
        "subscriptions list --tenant contoso --type DLP.All --json",
    ] {
        let default = parse(&format!("m365-collector {command}")).config;
        assert_eq!(default, PathBuf::from("m365-collector.toml"));
        for line in [
            format!("m365-collector --config x.toml {command}"),
            format!("m365-collector {command} --config x.toml"),
        ] {
            assert_eq!(parse(&line).config, PathBuf::from("x.toml"), "{line}");
        }
    }
}

#[cfg(feature = "demo")]
#[test]
fn the_demonstration_takes_its_size_and_a_receiver() {
    parse("m365-collector simulate --config x.toml");
    parse("m365-collector simulate --prepare --config x.toml");
    let Command::Demo(demo) =
        parse("m365-collector demo --tenants 3 --rate 50 --for 1m30s --devo 127.0.0.1:5140")
            .command
    else {
        panic!("not demo");
    };
    assert_eq!(demo.tenants.get(), 3);
    assert_eq!(demo.rate.get(), 50);
    assert_eq!(demo.duration.0, std::time::Duration::from_secs(90));
    assert_eq!(demo.devo.unwrap().to_string(), "tcp://127.0.0.1:5140");
    let Command::Demo(demo) = parse("m365-collector demo --devo tls://[::1]:6514").command else {
        panic!("not demo");
    };
    assert_eq!(demo.devo.unwrap().to_string(), "tls://[::1]:6514");
}

#[test]
fn a_type_is_read_in_any_case_and_an_unknown_one_lists_the_known() {
    let Command::Ledger(LedgerCommand::Pending { select, limit }) =
        parse("m365-collector ledger pending --type audit.sharepoint").command
    else {
        panic!("not pending");
    };
    assert_eq!(select.content_type, Some(ContentType::SharePoint));
    assert_eq!(limit.get(), 100);
    let line = ["m365-collector", "ledger", "status", "--type", "x"];
    let error = Cli::try_parse_from(line).unwrap_err().to_string();
    assert!(error.contains("Audit.AzureActiveDirectory"), "{error}");
}

#[cfg(feature = "demo")]
#[test]
fn the_help_is_worth_reading() {
    // A snapshot cannot hold the blanks clap puts into empty lines.
    let help = Cli::command().term_width(100).render_long_help().to_string();
    let help: String = help
        .lines()
        .map(|line| {
            format!(
                "{}
",
                line.trim_end()
            )
        })
        .collect();
    expect![[r#"
        Microsoft 365 audit records, delivered to Devo

        Receives what Microsoft announces about audit records, fetches the records and delivers every one of
        them to Devo at least once: through crashes, restarts, throttling and outages of either side.

        Try it without an account with `m365-collector demo`; start with `m365-collector config sample`.

        Usage: m365-collector [OPTIONS] <COMMAND>

        Commands:
          run            Run the service
          demo           Show the whole path on this machine, with no account and no file
          simulate       Simulate only the Microsoft side and the Devo side
          backfill       Collect what Microsoft lists for a range of time
          check          Say in plain words what is wrong, and who has to do what
          config         Help with the configuration file
          consent        Have another organisation's administrator consent, and collect its records from
                         then on
          health         Ask the running service whether it is ready, for a container's health check
          ledger         Look into the ledger: what arrived, what waits, what is dead; replay what is dead
          subscriptions  Look at the subscriptions Microsoft keeps for us; start and stop them
          tenants        Look at the tenants that are collected; remove one that was added by `consent`
          help           Print this message or the help of the given subcommand(s)

        Options:
              --config <FILE>
                  The configuration file

                  Every key of it can be overridden by the environment, such as
                  `M365_COLLECTOR__WEBHOOK__LISTEN`.

                  [default: m365-collector.toml]

          -h, --help
                  Print help (see a summary with '-h')

          -V, --version
                  Print version

        Examples:
          m365-collector demo --tenants 5 --rate 50 --for 1m
          m365-collector config sample > m365-collector.toml
          m365-collector config auth-id > /run/secrets/auth-id
          m365-collector check
          m365-collector run --config /etc/m365-collector.toml
          m365-collector backfill --tenant contoso --from 2026-01-31
          m365-collector ledger pending --tenant contoso --type Audit.Exchange --json
          m365-collector ledger completeness --from 2026-01-26 --to 2026-01-31

        Results are written to standard output, everything else to standard error.

        Exit codes:
           0  success
           1  a run or a check failed
           2  the command line is wrong
          78  the configuration is invalid; each problem is on its own line
    "#]].assert_eq(&help);
}

#[test]
fn check_says_what_is_wrong_or_that_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let said = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let mut human = Vec::new();
        let exit = check(&path, [], &mut human).unwrap();
        let said = String::from_utf8(human).unwrap();
        (exit, said.replace(&format!("{}/", dir.path().display()), ""))
    };
    let (exit, text) = said("[webhook]\nlisten = 5\n");
    assert_eq!(exit.code(), 78);
    expect![[r#"
        c.toml:1: webhook.address: found nothing, expected an https address with a path and nothing after it, such as "https://m365.example.com/webhook"
        c.toml:1: webhook.auth_id: found nothing, expected { file = "…" } or { env = "…" }, holding at least 16 visible ASCII characters
        c.toml:2: webhook.listen: found 5, expected an address and port such as "0.0.0.0:8080" or "[::]:8080"
        c.toml: tenants: found no tenant, expected at least one [[tenants]]
        c.toml: devo.endpoint: found nothing, expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443"
        configuration is invalid: 5 problems; `m365-collector config sample` explains every key
    "#]].assert_eq(&text);
    let (exit, text) = said(
        r#"
        webhook = { address = "https://m365.example.com/w", auth_id = "0123456789abcdef" }
        devo.endpoint = "tcp://127.0.0.1:13000"
        [[tenants]]
        id = "11111111-1111-1111-1111-111111111111"
        client_id = "22222222-2222-2222-2222-222222222222"
        client_secret = "a secret"
        "#,
    );
    assert_eq!(exit.code(), 0);
    expect![[r#"
        warning: c.toml:2: webhook.auth_id: the secret itself is in the file; use { file = "…" } or { env = "…" }
        warning: c.toml:7: tenants[0].client_secret: the secret itself is in the file; use { file = "…" } or { env = "…" }
        configuration is valid: 1 tenant, 5 subscriptions, 1 connection to tcp://127.0.0.1:13000
    "#]].assert_eq(&text);
}

#[test]
fn sample_and_schema_are_written_whole() {
    let mut output = Vec::new();
    sample(&mut output).unwrap();
    assert!(output.ends_with(b"\n"));
    let mut output = Vec::new();
    schema(&mut output).unwrap();
    let schema: std::collections::BTreeMap<String, serde::de::IgnoredAny> =
        serde_json::from_slice(&output).unwrap();
    assert!(schema.contains_key("properties"));
}

#[test]
fn an_auth_id_is_long_random_and_alone_on_its_line() {
    let ids: Vec<_> = (0..2)
        .map(|_| {
            let mut written = Vec::new();
            auth_id(&mut written).unwrap();
            String::from_utf8(written).unwrap()
        })
        .collect();
    for id in &ids {
        let id = id.strip_suffix('\n').unwrap();
        assert_eq!(id.len(), 64);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
    assert_ne!(ids[0], ids[1]);
}
