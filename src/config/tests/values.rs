//! What the settings are: the defaults of the contract, and what follows from what is written.

use std::{path::PathBuf, time::Duration};

use url::Url;

use super::{MINIMAL, Site, with};
use crate::{
    backoff::Backoff,
    config::settings::log::Format,
    content::ContentType,
    deliver::{Compression, Confirm, Transport},
    http::ProxyHeader,
    ledger::Location,
};

#[test]
fn the_defaults_are_those_of_the_contract() {
    let site = Site::new();
    let config = site.accept(MINIMAL);
    let seconds = Duration::from_secs;
    let days = |days: u64| seconds(days * 86_400);

    let webhook = config.webhook.as_ref().unwrap();
    assert_eq!(webhook.listen.to_string(), "0.0.0.0:8080");
    assert!(webhook.previous_auth_id.is_none());
    assert_eq!(webhook.max_body, 1024 * 1024);
    assert_eq!(webhook.max_connections, 1024);
    assert_eq!(webhook.header_timeout, seconds(10));
    assert_eq!(webhook.request_timeout, seconds(30));
    assert_eq!(webhook.drain_delay, seconds(5));
    assert_eq!(format!("{:?}", webhook.trusted_proxies), "[10.0.0.0/8]");
    assert!(webhook.allowed_sources.is_empty());
    assert_eq!(webhook.min_auth_id, 16);
    assert_eq!(webhook.max_connections_per_source, 256);
    assert_eq!(webhook.max_header, 32 * 1024);
    assert_eq!((webhook.max_streams, webhook.max_resets), (32, 100));
    assert_eq!(webhook.body_timeout, seconds(15));
    assert_eq!(webhook.idle_timeout, seconds(75));
    assert_eq!(webhook.proxy_header, ProxyHeader::Auto);
    assert_eq!(webhook.allowed_tag, None);
    assert!(webhook.tls.is_none() && webhook.client_certificate.is_none());

    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9464");

    let file = site.path().join("m365-collector.db");
    assert_eq!(config.ledger.location, Location::Sqlite(file));
    assert_eq!(config.ledger.lease, seconds(300));
    assert_eq!(config.ledger.keep_delivered, days(14));
    assert_eq!(config.ledger.keep_dead, days(30));

    let microsoft = &config.microsoft;
    assert_eq!(microsoft.management_url.as_str(), "https://manage.office.com/");
    assert_eq!(microsoft.login_url.as_str(), "https://login.microsoftonline.com/");
    assert_eq!(microsoft.ca, None);
    assert_eq!(microsoft.publisher_id, None);
    assert_eq!(microsoft.requests_per_minute.get(), 2000);
    assert_eq!(microsoft.timeout, seconds(60));

    let subscriptions = &config.subscriptions;
    assert!(subscriptions.manage);
    assert_eq!(subscriptions.check_interval, seconds(300));
    assert_eq!(subscriptions.restart_after, seconds(900));
    assert_eq!(subscriptions.webhook_expiry, None);
    let registered = subscriptions.webhook.as_ref().unwrap();
    assert_eq!(registered.address, webhook.address);

    let pipeline = &config.pipeline;
    assert_eq!(pipeline.concurrency.get(), 32);
    assert_eq!(pipeline.backoff, Backoff::try_new(seconds(2), seconds(900)).unwrap());
    assert_eq!(pipeline.max_record, 16 * 1024 * 1024);
    assert_eq!(pipeline.hostname, gethostname::gethostname().to_string_lossy());

    let sweep = &config.sweep;
    assert_eq!(sweep.interval, seconds(600));
    assert_eq!(sweep.settle, Some(seconds(300)));
    assert_eq!(sweep.startup_lookback, days(1));
    assert_eq!(config.records.remember, days(1));
    assert_eq!(config.records.remember_max.get(), 5_000_000);

    let deliver = &config.deliver;
    assert_eq!(deliver.endpoint.transport, Transport::Tls);
    assert_eq!(deliver.ca, None);
    assert_eq!(deliver.identity, None);
    assert_eq!(deliver.server_name, None);
    assert_eq!(deliver.connections.get(), 1);
    assert_eq!(deliver.compression, Compression::None);
    assert_eq!(deliver.confirm, Confirm::EndOfStream);
    assert_eq!(deliver.confirm_interval, seconds(10));
    assert_eq!(deliver.confirm_bytes, 64 * 1024 * 1024);
    assert_eq!(deliver.confirm_timeout, seconds(30));

    assert_eq!(config.route.prefix, "cloud.office365.management");
    assert_eq!(config.route.fallback, "other");
    let workload: Vec<(&str, &str)> = config
        .route
        .workload
        .iter()
        .map(|(workload, table)| (workload.as_str(), table.as_str()))
        .collect();
    assert_eq!(workload, [("AzureActiveDirectory", "azure_active_directory")]);

    assert_eq!(config.log.format, Format::Text);
    assert_eq!(config.log.filter, "info");

    let tenant = config.tenants.iter().next().unwrap();
    assert_eq!(&*tenant.name, "11111111-1111-1111-1111-111111111111");
    let mut types = tenant.content_types.clone();
    types.sort();
    assert_eq!(types, ContentType::ALL);
}

#[test]
fn a_cloud_decides_both_addresses_and_each_can_be_overridden() {
    let site = Site::new();
    for (cloud, management, login) in [
        ("commercial", "https://manage.office.com/", "https://login.microsoftonline.com/"),
        ("gcc", "https://manage-gcc.office.com/", "https://login.microsoftonline.com/"),
        ("gcc-high", "https://manage.office365.us/", "https://login.microsoftonline.us/"),
        ("dod", "https://manage.protection.apps.mil/", "https://login.microsoftonline.us/"),
    ] {
        let config = site.accept(&with("microsoft", &format!("cloud = \"{cloud}\"")));
        assert_eq!(config.microsoft.management_url.as_str(), management);
        assert_eq!(config.microsoft.cloud.as_str(), cloud);
        assert_eq!(config.microsoft.login_url.as_str(), login);
    }
    let lines = "cloud = \"dod\"\nlogin_url = \"https://login.example.com:444\"";
    let config = site.accept(&with("microsoft", lines));
    assert_eq!(config.microsoft.management_url.as_str(), "https://manage.protection.apps.mil/");
    assert_eq!(config.microsoft.login_url.as_str(), "https://login.example.com:444/");
    let lines = "cloud = \"gcc\"\nmanagement_url = \"https://proxy.example.com\"";
    let roots = site.accept(&with("microsoft", lines)).microsoft.management_roots();
    let roots: Vec<&str> = roots.iter().map(Url::as_str).collect();
    assert_eq!(roots, ["https://proxy.example.com/", "https://manage-gcc.office.com/"]);
}

#[test]
fn paths_start_from_the_directory_of_the_file() {
    let site = Site::new();
    let lines = "ca = \"chain.crt\"\ncert = \"domain.crt\"\nkey = \"domain.key\"";
    let config = site.accept(&with("devo", lines));
    let there = |name: &str| site.path().join(name);
    assert_eq!(config.deliver.ca, Some(there("chain.crt")));
    assert_eq!(config.deliver.identity, Some((there("domain.crt"), there("domain.key"))));
    let config = site.accept(&with("ledger", "url = \"sqlite:///tmp/x.db\""));
    assert_eq!(config.ledger.location, Location::Sqlite(PathBuf::from("/tmp/x.db")));
}

#[test]
fn a_workload_is_added_to_the_default_or_takes_its_place() {
    let site = Site::new();
    let workload = |line: &str| site.accept(&with("devo.tables.workload", line)).route.workload;
    let both = workload("Exchange = \"mail\"");
    assert_eq!(both["Exchange"], "mail");
    assert_eq!(both["AzureActiveDirectory"], "azure_active_directory");
    let one = workload("azureactivedirectory = \"azureactivedirectory\"");
    assert_eq!(one.len(), 1);
    assert_eq!(one["azureactivedirectory"], "azureactivedirectory");
}

#[test]
fn content_types_and_ports_are_taken_as_meant() {
    let site = Site::new();
    let config = site.accept(&with("tenants", "content_types = [\"audit.exchange\"]"));
    assert_eq!(config.tenants.iter().next().unwrap().content_types, [ContentType::Exchange]);
    let config = site.accept(&format!(
        "{}\n[admin]\nlisten = \"127.0.0.1:0\"\n",
        with("webhook", "listen = \"127.0.0.1:0\"")
    ));
    assert_eq!(config.admin.listen.port(), 0, "two free ports do not clash");
    let config = site.accept(&with("subscriptions", "webhook_expiry = \"24h\""));
    assert_eq!(config.subscriptions.webhook_expiry, Some(Duration::from_secs(86_400)));
    let config = site.accept(&with("webhook", "drain_delay = \"0s\""));
    assert_eq!(config.webhook.unwrap().drain_delay, Duration::ZERO);
}

#[test]
fn without_a_webhook_nothing_is_left_to_it_nor_registered() {
    let without_webhook = MINIMAL
        .lines()
        .filter(|line| !["[webhook]", "address", "auth_id"].iter().any(|key| line.starts_with(key)))
        .collect::<Vec<_>>()
        .join("\n");
    let config = Site::new().accept(&format!("{without_webhook}\n[sweep]\nsettle = \"1m\"\n"));
    assert!(config.webhook.is_none());
    assert!(config.subscriptions.webhook.is_none());
    assert_eq!(config.sweep.settle, None);
}
