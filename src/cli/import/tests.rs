use serde_json::json;

use super::*;
use crate::config::{Config, Loaded};

const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const B: &str = "bbbbbbbb-0000-4000-8000-000000000002";

const NO_OUTPUT: &str = "outputs: none; set devo.endpoint and the files from Devo's console";

fn converted(value: &Value) -> (String, Vec<String>) {
    let Converted { text, left, .. } = convert(value.as_object().unwrap());
    (text, left)
}

/// What our own reader makes of it, with every file there that it may name.
fn accepted(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    for name in ["chain.crt", "domain.crt", "domain.key"] {
        std::fs::write(folder.path().join(name), "PEM").unwrap();
    }
    match Config::from_text(&folder.path().join("c.toml"), text, []) {
        Ok(Loaded { config, .. }) => config,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

fn input(tenant: &str, services: &[&str]) -> Value {
    let services: Map<_, _> = services.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    json!({
        "id": "1",
        "enabled": true,
        "credentials": { "tenant_id": tenant, "client_id": B, "client_secret": "s\"e\\c" },
        "services": services,
    })
}

#[test]
fn a_cloud_collector_becomes_a_tenant_for_each_input() {
    let file = json!({
        "global_overrides": { "debug": true, "id": "1", "name": "collector" },
        "inputs": {
            "contoso": input(A, &["azure_active_directory", "dlp", "uri_retry"]),
            "fabrikam & sons": input(B, &["exchange", "general_audit", "sharepoint"]),
        },
    });
    let (text, left) = converted(&file);
    let config = accepted(&text);
    let mut tenants: Vec<_> = config.tenants.iter().collect();
    tenants.sort_by_key(|tenant| tenant.id);
    let [a, b] = &tenants[..] else { panic!("{tenants:?}") };
    assert_eq!((a.id.to_string(), &*a.name), (A.to_owned(), "contoso"));
    assert_eq!(a.content_types, [ContentType::AzureActiveDirectory, ContentType::Dlp]);
    assert_eq!(&*b.name, "fabrikam___sons");
    assert_eq!(b.content_types.len(), 3);
    assert!(text.contains("filter = \"debug\""), "{text}");
    assert_eq!(
        left,
        [
            NO_OUTPUT,
            "inputs.contoso.services.uri_retry: nothing is needed: failed content is always tried \
             again"
        ]
    );
}

#[test]
fn everything_that_has_no_effect_is_named() {
    let mut one = input(A, &["exchange", "reports"]);
    one["environment"] = json!("prod");
    one["requests_per_second"] = json!(5);
    one["services"]["exchange"] = json!({
        "request_period_in_seconds": 300,
        "requests_limits": [{ "period": "1m", "number_of_requests": 1 }],
        "obfuscation_data": [{ "name": ["UserId"], "value": "***" }],
        "colour": "red",
    });
    let mut off = input(B, &["exchange"]);
    off["enabled"] = json!(false);
    let broken = json!({ "credentials": { "tenant_id": "contoso" }, "services": {} });
    let file = json!({ "inputs": { "one": one, "off": off, "broken": broken }, "extra": 1 });
    let (text, left) = converted(&file);
    assert_eq!(accepted(&text).tenants.len(), 1);
    for key in [
        "extra",
        "inputs.one.environment",
        "inputs.one.requests_per_second",
        "inputs.one.services.reports",
        "inputs.one.services.exchange.request_period_in_seconds",
        "inputs.one.services.exchange.requests_limits",
        "inputs.one.services.exchange.obfuscation_data",
        "inputs.one.services.exchange.colour",
        "inputs.off",
        "outputs",
        "inputs.broken.credentials",
    ] {
        assert!(left.iter().any(|note| note.starts_with(&format!("{key}: "))), "{key}\n{left:#?}");
    }
    assert_eq!(left.len(), 11, "{left:#?}");
    assert!(left.iter().any(|note| note.contains("WARNING")), "masking ends: {left:#?}");
    assert!(!left.iter().any(|note| note.contains("s\"e")), "a secret is not said again");
}

#[test]
fn an_output_on_premise_becomes_the_receiver() {
    let outputs = json!({
        "console": { "type": "console" },
        "devo": { "type": "devo_platform", "config": {
            "type": "x", "address": "collector-us.devo.io", "port": 443, "chain": "chain.crt",
            "cert": "domain.crt", "key": "domain.key", "concurrent_connections": 3,
            "compression_level": 6,
        }},
        "relay": { "type": "syslog", "config": { "address": "10.0.0.1", "port": "13000" } },
    });
    let (text, left) =
        converted(&json!({ "inputs": { "a": input(A, &["dlp"]) }, "outputs": outputs }));
    let config = accepted(&text);
    assert_eq!(config.deliver.endpoint.to_string(), "tls://collector-us.devo.io:443");
    assert_eq!(config.deliver.connections.get(), 3);
    assert!(text.contains("compression = \"gzip\""), "{text}");
    assert_eq!(left.len(), 2, "{left:?}");

    let relay = json!({ "r": { "type": "syslog", "config": { "address": "::1", "port": 13000 } } });
    let (text, _) = converted(&json!({ "inputs": { "a": input(A, &["dlp"]) }, "outputs": relay }));
    assert_eq!(accepted(&text).deliver.endpoint.to_string(), "tcp://[::1]:13000");
}

#[test]
fn inputs_of_one_tenant_become_one() {
    let file =
        json!({ "inputs": { "a": input(A, &["dlp"]), "b": input(A, &["exchange", "dlp"]) } });
    let (text, left) = converted(&file);
    let config = accepted(&text);
    let tenant = config.tenants.iter().next().unwrap();
    assert_eq!(tenant.content_types, [ContentType::Dlp, ContentType::Exchange]);
    assert_eq!((config.tenants.len(), &left[..]), (1, &[NO_OUTPUT.to_owned()][..]));
}

#[test]
fn an_endpoint_that_is_an_example_is_said_to_be_one() {
    let refused = json!({ "d": { "type": "devo_platform", "config": { "address": "x" } } });
    let given =
        json!({ "d": { "type": "devo_platform", "config": { "address": "x", "port": 1 } } });
    for (outputs, is_example) in [(None, true), (Some(refused), true), (Some(given), false)] {
        let mut file = json!({ "inputs": { "a": input(A, &["dlp"]) } });
        if let Some(outputs) = outputs {
            file["outputs"] = outputs;
        }
        let (text, left) = converted(&file);
        assert_eq!(text.contains("[devo]\n# An example: "), is_example, "{text}");
        assert_eq!(left.iter().any(|note| note == NO_OUTPUT), is_example, "{left:?}");
        accepted(&text);
    }
}

#[test]
fn a_tenant_that_is_named_by_a_domain_is_kept_with_its_id_to_be_put_in() {
    let file = json!({ "inputs": { "a": input("Contoso.onmicrosoft.com", &["dlp"]) } });
    let Converted { text, left, tenants } = convert(file.as_object().unwrap());
    assert_eq!(tenants, 1);
    assert!(text.contains("\nid = \"the tenant id of contoso.onmicrosoft.com\"\n"), "{text}");
    let note =
        "inputs.a.credentials.tenant_id: put the tenant id (a GUID) of contoso.onmicrosoft.com";
    assert!(left.iter().any(|line| line.starts_with(note)), "{left:?}");
    let refused = Config::from_text(Path::new("c.toml"), &text, []);
    assert!(refused.is_err(), "it cannot be overlooked");
    accepted(&text.replace("the tenant id of contoso.onmicrosoft.com", A));
}
