//! Problems of the file as a whole: its syntax, its sections, unknown keys, and their order.

use expect_test::expect;

use super::{MINIMAL, Site};

#[test]
fn text_that_is_no_toml_is_shown_by_line_and_column_and_never_quoted() {
    let site = Site::new();
    let cases = [
        "[webhook\n",
        "[webhook]\nauth_id = \"hidden\n",
        "[webhook]\nauth_id = hidden\n",
        "[webhook]\nauth_id = \"hidden\" \"hidden\"\n",
        "[webhook]\nauth_id = \"a\"\nauth_id = \"b\"\n",
        "[webhook]\nlisten = \"a\"\n[webhook]\n",
        "a = 1\n[a]\n",
        "x = [1,\n",
        "ä ö\n= 1\n",
        "auth_id = \"\\q\"\n",
        "\u{0}",
    ];
    let cases = cases.map(|text| (format!("{text:?}"), text.to_owned()));
    let said = site.said_of_each(&cases);
    expect![[r#"
        "[webhook\n"
          c.toml:1:9: found text that is no TOML (unclosed table), expected `]`
        "[webhook]\nauth_id = \"hidden\n"
          c.toml:2:18: found text that is no TOML (invalid basic string), expected `"`
        "[webhook]\nauth_id = hidden\n"
          c.toml:2:11: found text that is no TOML (string values must be quoted), expected literal string
        "[webhook]\nauth_id = \"hidden\" \"hidden\"\n"
          c.toml:2:20: found text that is no TOML (unexpected key or value), expected newline, `#`
        "[webhook]\nauth_id = \"a\"\nauth_id = \"b\"\n"
          c.toml:3:1: found text that is no TOML (duplicate key), expected valid TOML
        "[webhook]\nlisten = \"a\"\n[webhook]\n"
          c.toml:3:2: found text that is no TOML (duplicate key), expected valid TOML
        "a = 1\n[a]\n"
          c.toml:2:2: found text that is no TOML (duplicate key), expected valid TOML
        "x = [1,\n"
          c.toml:1:8: found text that is no TOML (unclosed array), expected `]`
        "ä ö\n= 1\n"
          c.toml:1:1: found text that is no TOML (invalid unquoted key), expected letters, numbers, `-`, `_`
          c.toml:1:3: found text that is no TOML (key with no value), expected `=`
        "auth_id = \"\\q\"\n"
          c.toml:1:13: found text that is no TOML (missing escaped value), expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`
        "\0"
          c.toml:1:1: found text that is no TOML (invalid unquoted key), expected letters, numbers, `-`, `_`
          c.toml:1:2: found text that is no TOML (key with no value), expected `=`
    "#]].assert_eq(&said);
}

#[test]
fn sections_of_the_wrong_kind_are_one_problem_each() {
    let site = Site::new();
    expect![[r#"
        c.toml:1: webhook: found 5, expected a table
        c.toml:2: tenants: found a table, expected an array
        c.toml:3: devo: found an array, expected a table
        c.toml:4: fetch: found 1979-05-27, expected a table"#]]
    .assert_eq(
        &site.said(
            "webhook = 5\ntenants = {}\ndevo = [\"tls://host:1\"]\nfetch = 1979-05-27\n",
            &[],
        ),
    );
    expect![[r#"
        c.toml:1: tenants[0]: found 5, expected a table
        c.toml:1: tenants[1].client_id: found nothing, expected the application (client) id, a GUID
        c.toml:1: tenants[1].client_secret: found nothing, expected exactly one of client_secret, certificate, federated_token
        c.toml:1: tenants[1].id: found 5, expected a GUID such as "11111111-2222-3333-4444-555555555555"
        c.toml:1: tenants[2]: found "x", expected a table
        c.toml:1: tenants[3].client_id: found nothing, expected the application (client) id, a GUID
        c.toml:1: tenants[3].client_secret: found nothing, expected exactly one of client_secret, certificate, federated_token
        c.toml:1: tenants[3].id: found "x", expected a GUID such as "11111111-2222-3333-4444-555555555555"
        c.toml:2: webhook: found an array, expected a table
        c.toml: devo.endpoint: found nothing, expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443""#]].assert_eq(&site.said(
        "tenants = [5, { id = 5 }, \"x\", { id = \"x\" }]\nwebhook = []\n",
        &[],
    ));
    expect![[r#"
        c.toml: tenants: found no tenant, expected at least one [[tenants]]
        c.toml: devo.endpoint: found nothing, expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443""#]].assert_eq(&site.said("", &[]));
}

#[test]
fn unknown_keys_are_errors_with_a_guess_at_what_was_meant() {
    let site = Site::new();
    let text = format!(
        "{MINIMAL}\ncomfirm = \"tcp\"\nretry_max = \"1m\"\nquux = 1\n[devo.tables]\nprefx = \"x\"\n[webook]\nlisten = 5\n[admin]\n\"a.b\" = 1\n"
    );
    expect![[r#"
        c.toml:12: devo.comfirm: found an unknown key (did you mean devo.confirm?), expected one of ca, cert, compression, confirm, confirm_bytes, confirm_interval, confirm_timeout, connections, endpoint, hostname, key, log, server_name, stats, tables
        c.toml:13: devo.retry_max: found an unknown key (did you mean fetch.retry_max?), expected one of ca, cert, compression, confirm, confirm_bytes, confirm_interval, confirm_timeout, connections, endpoint, hostname, key, log, server_name, stats, tables
        c.toml:14: devo.quux: found an unknown key, expected one of ca, cert, compression, confirm, confirm_bytes, confirm_interval, confirm_timeout, connections, endpoint, hostname, key, log, server_name, stats, tables
        c.toml:16: devo.tables.prefx: found an unknown key (did you mean devo.tables.prefix?), expected one of fallback, prefix, workload
        c.toml:17: webook: found an unknown key (did you mean webhook?), expected one of admin, devo, fetch, ledger, log, microsoft, records, subscriptions, sweep, tenants, webhook
        c.toml:20: admin."a.b": found an unknown key, expected one of listen"#]].assert_eq(&site.said(&text, &[]));
}

#[test]
fn everything_is_said_at_once_in_the_order_of_the_file() {
    let site = Site::new();
    let text = r#"
[log]
format = "xml"

[fetch]
concurrency = "all"
retry_min = "1h"

[[tenants]]
id = "11111111-1111-1111-1111-111111111111"
name = "contoso"
client_secret = { file = "client-secret" }

[[tenants]]
id = "11111111-1111-1111-1111-111111111111"
name = "contoso"
client_id = 5
content_types = ["Audit.Exchange", "x", "DLP.All", "y"]

[devo]
endpoint = "devo"
cert = "missing"
colour = "red"

[webhook]
auth_id = "short"

[sweep]
interval = "0s"
"#;
    expect![[r#"
        c.toml:3: log.format: found "xml", expected "text" or "json"
        c.toml:6: fetch.concurrency: found "all", expected a whole number
        c.toml:7: fetch.retry_min: found "1h", expected at most fetch.retry_max (15m)
        c.toml:9: tenants[0].client_id: found nothing, expected the application (client) id, a GUID
        c.toml:14: tenants[1].client_secret: found nothing, expected exactly one of client_secret, certificate, federated_token
        c.toml:15: tenants[1].id: found 11111111-1111-1111-1111-111111111111, expected another id than tenants[0].id
        c.toml:16: tenants[1].name: found "contoso", expected another name than tenants[0].name
        c.toml:17: tenants[1].client_id: found 5, expected a GUID such as "11111111-2222-3333-4444-555555555555"
        c.toml:18: tenants[1].content_types[1]: found "x", expected one of "Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"
        c.toml:18: tenants[1].content_types[3]: found "y", expected one of "Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"
        c.toml:20: devo.key: found nothing, expected both devo.cert and devo.key, or neither
        c.toml:21: devo.endpoint: found "devo", expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443"
        c.toml:22: devo.cert: found "missing" (No such file or directory (os error 2)), expected a readable file
        c.toml:23: devo.colour: found an unknown key, expected one of ca, cert, compression, confirm, confirm_bytes, confirm_interval, confirm_timeout, connections, endpoint, hostname, key, log, server_name, stats, tables
        c.toml:25: webhook.address: found nothing, expected an https address with a path and nothing after it, such as "https://m365.example.com/webhook"
        c.toml:26: webhook.auth_id: found a value that does not fit (not shown), expected 16 to 1024 visible ASCII characters
        c.toml:29: sweep.interval: found "0s", expected 1ms to 24h
        environment variable M365_COLLECTOR__ADMIN__LISTEN: admin.listen: found "nowhere", expected an address and port such as "0.0.0.0:8080" or "[::]:8080""#]].assert_eq(&site.said(text, &[("M365_COLLECTOR__ADMIN__LISTEN", "nowhere")]));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let site = Site::new();
    let load = |name: &str| {
        let error = super::Config::load(&site.path().join(name), []).unwrap_err();
        error.to_string().replace(&format!("{}/", site.path().display()), "")
    };
    std::fs::write(site.path().join("latin1.toml"), b"name = \"\xe4\"").unwrap();
    expect!["missing.toml: found no such file, expected a readable TOML file (`m365-collector config sample` writes one to start from)"].assert_eq(&load("missing.toml"));
    expect!["latin1.toml: found an unreadable file (stream did not contain valid UTF-8), expected a readable TOML file (`m365-collector config sample` writes one to start from)"].assert_eq(&load("latin1.toml"));
    std::fs::create_dir(site.path().join("directory.toml")).unwrap();
    assert!(load("directory.toml").contains("unreadable"));
}
