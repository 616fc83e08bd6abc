//! Overrides from the environment.

use expect_test::expect;
use secrecy::ExposeSecret as _;

use super::{MINIMAL, Site, with};

#[test]
fn every_kind_of_key_can_be_overridden() {
    let site = Site::new();
    let environment = [
        ("M365_COLLECTOR__WEBHOOK__LISTEN", "127.0.0.1:1"),
        ("M365_COLLECTOR__webhook__max_body", "2 MiB"),
        ("M365_COLLECTOR__WEBHOOK__MAX_CONNECTIONS", "7"),
        ("M365_COLLECTOR__WEBHOOK__ALLOWED_SOURCES", "[\"10.0.0.0/8\"]"),
        ("M365_COLLECTOR__TENANTS__0__CLIENT_SECRET", "12345"),
        ("M365_COLLECTOR__TENANTS__0__CONTENT_TYPES__0", "DLP.All"),
        ("M365_COLLECTOR__TENANTS__0__NAME", "2024"),
        ("M365_COLLECTOR__TENANTS__1__ID", "33333333-3333-3333-3333-333333333333"),
        ("M365_COLLECTOR__TENANTS__1__CLIENT_ID", "22222222-2222-2222-2222-222222222222"),
        ("M365_COLLECTOR__TENANTS__1__CLIENT_SECRET", "{ env = \"OTHER\" }"),
        ("M365_COLLECTOR__SUBSCRIPTIONS__MANAGE", "false"),
        ("M365_COLLECTOR__DEVO__TABLES__PREFIX", "my.own"),
        ("M365_COLLECTOR__DEVO__TABLES__WORKLOAD__Exchange", "mail"),
        ("OTHER", "the other secret"),
        ("M365_COLLECTOR_UNRELATED", "x"),
        ("PATH", "x"),
    ];
    let loaded = site.load(MINIMAL, &environment).unwrap();
    assert_eq!(loaded.warnings.len(), 0, "the environment is no file: {:?}", loaded.warnings);
    let config = loaded.config;
    let webhook = config.webhook.unwrap();
    assert_eq!(webhook.listen.to_string(), "127.0.0.1:1");
    assert_eq!(webhook.max_body, 2 << 20);
    assert_eq!(webhook.max_connections, 7);
    assert_eq!(webhook.allowed_sources.len(), 1);
    assert!(!config.subscriptions.manage);
    assert_eq!(config.route.prefix, "my.own");
    assert_eq!(config.route.workload["Exchange"], "mail");
    let secret = |id: &str| {
        let id = id.parse().unwrap();
        let secret = config.microsoft.credentials[&id].secret().unwrap().current().unwrap();
        secret.expose_secret().to_owned()
    };
    assert_eq!(secret("11111111-1111-1111-1111-111111111111"), "12345");
    assert_eq!(secret("33333333-3333-3333-3333-333333333333"), "the other secret");
    let first =
        config.tenants.find("11111111-1111-1111-1111-111111111111".parse().unwrap()).unwrap();
    assert_eq!(&*first.name, "2024");
    assert_eq!(first.content_types, [crate::content::ContentType::Dlp]);
}

#[test]
fn a_whole_configuration_can_come_from_the_environment() {
    let site = Site::new();
    let environment = [
        (
            "M365_COLLECTOR__WEBHOOK",
            "{ address = \"https://a.example/w\", auth_id = { file = \"auth-id\" } }",
        ),
        ("M365_COLLECTOR__TENANTS", "[{ id = \"11111111-1111-1111-1111-111111111111\" }]"),
        ("M365_COLLECTOR__TENANTS__0__CLIENT_ID", "22222222-2222-2222-2222-222222222222"),
        ("M365_COLLECTOR__TENANTS__0__CLIENT_SECRET__FILE", "client-secret"),
        ("M365_COLLECTOR__DEVO__ENDPOINT", "tcp://[::1]:1"),
    ];
    let config = site.load("", &environment).unwrap().config;
    assert_eq!(config.deliver.endpoint.to_string(), "tcp://[::1]:1");
    assert_eq!(config.microsoft.credentials.len(), 1);
}

#[test]
fn an_override_may_take_the_place_of_a_bad_value() {
    let site = Site::new();
    let text = with("webhook", "listen = 5");
    let environment = [("M365_COLLECTOR__WEBHOOK__LISTEN", "127.0.0.1:1")];
    assert_eq!(site.said(&text, &environment), "");
}

#[test]
fn bad_overrides_are_problems_that_name_the_variable() {
    let site = Site::new();
    let environment = [
        ("M365_COLLECTOR__WEBHOOK__LISTEN", "nowhere"),
        ("M365_COLLECTOR__WEBHOOK__LISTN", "127.0.0.1:1"),
        ("M365_COLLECTOR__WEBHOOK__ADDRESS__HOST", "x"),
        ("M365_COLLECTOR__WEBHOOK__max_body", "1 MiB"),
        ("M365_COLLECTOR__WEBHOOK__MAX_BODY", "1 MiB"),
        ("M365_COLLECTOR__TENANTS__ID", "x"),
        ("M365_COLLECTOR__TENANTS__0__CLIENT_SECRET__FIL", "x"),
        ("M365_COLLECTOR__TENANTS__3__ID", "x"),
        ("M365_COLLECTOR__SWEEP", "{ interval = \"0s\" }"),
        ("M365_COLLECTOR__FETCH", "all"),
        ("M365_COLLECTOR__LOG____FILTER", "x"),
        ("M365_COLLECTOR__", "x"),
        ("M365_COLLECTOR__LOG__FORMAT\n", "text"),
    ];
    expect![[r#"
        c.toml:8: tenants[0].client_secret: found a table, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
        environment variable M365_COLLECTOR__: found an empty step between `__`, expected M365_COLLECTOR__SECTION__KEY
        environment variable M365_COLLECTOR__FETCH: fetch: found "all", expected a table
        environment variable M365_COLLECTOR__LOG__FORMAT\n: log."format\n": found an unknown key (did you mean log.format?), expected one of filter, format
        environment variable M365_COLLECTOR__LOG____FILTER: found an empty step between `__`, expected M365_COLLECTOR__SECTION__KEY
        environment variable M365_COLLECTOR__SWEEP: sweep.interval: found "0s", expected 1ms to 24h
        environment variable M365_COLLECTOR__TENANTS__3__ID: found index 3 in tenants, which has 1, expected the index of an element, or the next one
        environment variable M365_COLLECTOR__TENANTS__ID: found a key below tenants, which is an array, expected the name of a key
        environment variable M365_COLLECTOR__WEBHOOK__ADDRESS__HOST: found a key below webhook.address, which is a string, expected the name of a key
        environment variable M365_COLLECTOR__WEBHOOK__LISTEN: webhook.listen: found "nowhere", expected an address and port such as "0.0.0.0:8080" or "[::]:8080"
        environment variable M365_COLLECTOR__WEBHOOK__LISTN: webhook.listn: found an unknown key (did you mean webhook.listen?), expected one of address, allow_short_auth_id, allowed_sources, allowed_sources_file, allowed_sources_tag, auth_id, body_timeout, client_certificate, consent_callback, drain_delay, header_timeout, idle_timeout, listen, max_body, max_connections, max_connections_per_source, max_header, max_resets, max_streams, previous_auth_id, proxy_protocol, request_timeout, tls, trusted_proxies
        environment variable M365_COLLECTOR__WEBHOOK__max_body: found a second variable for webhook.max_body, expected one variable for each key"#]].assert_eq(&site.said(MINIMAL, &environment));
}
