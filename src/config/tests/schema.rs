//! The JSON Schema.

use boon::{Compiler, Draft, Schemas};
use expect_test::expect;
use serde_json::{Value, json};

use super::sample::whole;
use crate::config::{json_schema, schema::paths};

#[test]
fn it_has_every_key_of_the_contract() {
    expect![[r#"
        admin.listen
        devo.ca
        devo.cert
        devo.compression
        devo.confirm
        devo.confirm_bytes
        devo.confirm_interval
        devo.confirm_timeout
        devo.connections
        devo.endpoint
        devo.hostname
        devo.key
        devo.log.level
        devo.log.table
        devo.server_name
        devo.stats.interval
        devo.stats.table
        devo.tables.fallback
        devo.tables.prefix
        devo.tables.workload
        fetch.concurrency
        fetch.max_record
        fetch.requests_per_minute
        fetch.retry_max
        fetch.retry_min
        fetch.timeout
        ledger.keep_dead
        ledger.keep_delivered
        ledger.lease
        ledger.password
        ledger.url
        log.filter
        log.format
        microsoft.ca
        microsoft.cloud
        microsoft.login_url
        microsoft.management_url
        microsoft.publisher_id
        microsoft.resource
        records.remember
        records.remember_max
        subscriptions.check_interval
        subscriptions.manage
        subscriptions.restart_after
        subscriptions.webhook_expiry
        sweep.interval
        sweep.settle
        sweep.startup_lookback
        tenants[].certificate.cert
        tenants[].certificate.key
        tenants[].client_id
        tenants[].client_secret
        tenants[].content_types
        tenants[].federated_token
        tenants[].id
        tenants[].name
        webhook.address
        webhook.allow_short_auth_id
        webhook.allowed_sources
        webhook.allowed_sources_file
        webhook.allowed_sources_tag
        webhook.auth_id
        webhook.body_timeout
        webhook.client_certificate.ca
        webhook.client_certificate.header
        webhook.client_certificate.names
        webhook.consent_callback
        webhook.drain_delay
        webhook.header_timeout
        webhook.idle_timeout
        webhook.listen
        webhook.max_body
        webhook.max_connections
        webhook.max_connections_per_source
        webhook.max_header
        webhook.max_resets
        webhook.max_streams
        webhook.previous_auth_id
        webhook.proxy_protocol
        webhook.request_timeout
        webhook.tls.cert
        webhook.tls.client_ca
        webhook.tls.client_names
        webhook.tls.handshake_timeout
        webhook.tls.key
        webhook.trusted_proxies"#]]
    .assert_eq(&paths().join("\n"));
}

#[test]
fn every_key_is_described_and_no_other_is_allowed() {
    fn walk(at: &str, schema: &Value) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            assert_eq!(schema["additionalProperties"], false, "{at}");
            for (name, schema) in properties {
                let at = format!("{at}.{name}");
                let description = schema["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{at} has no description");
                walk(&at, schema);
            }
        }
        if let Some(items) = schema.get("items") {
            walk(&format!("{at}[]"), items);
        }
    }
    let schema: Value = serde_json::from_str(&json_schema()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    walk("", &schema);
}

#[test]
fn it_shows_defaults_and_knows_no_null() {
    let text = json_schema();
    assert!(!text.contains("null"), "TOML has none");
    let schema: Value = serde_json::from_str(&text).unwrap();
    let default = |pointer: &str| &schema.pointer(pointer).unwrap()["default"];
    assert_eq!(default("/properties/webhook/properties/max_body"), "1 MiB");
    assert_eq!(default("/properties/fetch/properties/concurrency"), 32);
    assert_eq!(default("/properties/sweep/properties/startup_lookback"), "24h");
    assert_eq!(
        default("/properties/devo/properties/tables/properties/workload")["AzureActiveDirectory"],
        "azure_active_directory"
    );
    assert_eq!(schema["required"], serde_json::json!(["tenants", "devo"]));
    assert_eq!(schema.pointer("/properties/webhook/properties/listen/type").unwrap(), "string");
}

#[test]
fn an_independent_validator_takes_it_and_accepts_the_sample_by_it() {
    let schema: Value = serde_json::from_str(&json_schema()).unwrap();
    // It validates the schema itself against the metaschema of its draft.
    let compiled = |schema: Value| {
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.add_resource("schema.json", schema).unwrap();
        let mut schemas = Schemas::new();
        let compiled = compiler.compile("schema.json", &mut schemas);
        compiled.map(|index| (schemas, index)).map_err(Box::new)
    };
    let mut broken = schema.clone();
    broken["properties"]["webhook"]["type"] = json!(5);
    assert!(compiled(broken).is_err(), "the metaschema is looked at");
    let (schemas, index) = compiled(schema).unwrap_or_else(|error| panic!("{error:#}"));

    // With every line uncommented it has every key.
    let sample: toml::Table = whole().parse().unwrap();
    let sample = serde_json::to_value(sample).unwrap();
    if let Err(error) = schemas.validate(&sample, index) {
        panic!("{error:#}");
    }
    for (pointer, wrong) in [
        ("/webhook/listen", json!(8080)),
        ("/webhook/consent_callback", json!("yes")),
        ("/devo/confirm", json!("maybe")),
        ("/tenants/0/client_secret", json!({ "path": "x" })),
        ("/tenants/0/content_types", json!(["Audit.Nothing"])),
        ("/fetch", json!({ "concurency": 1 })),
    ] {
        let mut document = sample.clone();
        *document.pointer_mut(pointer).expect(pointer) = wrong;
        assert!(schemas.validate(&document, index).is_err(), "{pointer}");
    }
}
