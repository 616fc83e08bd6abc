//! `/metrics`: every series, from the start.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use expect_test::expect;
use m365_collector::{
    content::{ContentType, Via},
    reason::{Reason, Stage},
    webhook::Outcome,
};

use crate::support::{
    Service, ports, records,
    series::{Scrape, outline},
};

/// The metrics of the contract's table that exist so far, with the values of their labels. Those
/// of tables and histograms' buckets are left out.
fn expected_at_start(tenants: &[&str]) -> BTreeMap<String, f64> {
    let mut expected = BTreeMap::new();
    let mut zero = |name: &str, labels: &[(&str, &str)]| {
        expected.insert(spell(name, labels.iter().copied()), 0.0);
    };
    for tenant in tenants.iter().copied().chain([""]) {
        for reason in Reason::ALL {
            let labels = [
                ("tenant", tenant),
                ("stage", reason.stage().as_str()),
                ("reason", reason.as_str()),
            ];
            // Only what is refused at the door may belong to nobody, and that is final.
            let at_the_door = reason.stage() == Stage::Notification;
            if at_the_door || !tenant.is_empty() {
                zero("m365_messages_unsuccessfully_processed_total", &labels);
            }
            if !at_the_door && !tenant.is_empty() {
                zero("m365_attempts_failed_total", &labels);
            }
        }
    }
    for tenant in tenants {
        let tenant = ("tenant", *tenant);
        for name in [
            "m365_records_duplicate_total",
            "m365_records_unremembered_total",
            "m365_content_pending",
            "m365_oldest_pending_seconds",
            "m365_pending_expiry_seconds",
            "m365_delivery_lag_seconds_sum",
            "m365_delivery_lag_seconds_count",
            "m365_throttled_total",
            "m365_subscriptions_checked_timestamp_seconds",
        ] {
            zero(name, &[tenant]);
        }
        for outcome in ["complete", "failed", "refused"] {
            zero("m365_sweep_windows_total", &[tenant, ("outcome", outcome)]);
        }
        for content_type in ContentType::ALL {
            let content_type = ("content_type", content_type.as_str());
            for name in [
                "m365_messages_successfully_processed_total",
                "m365_subscription_enabled",
                "m365_webhook_enabled",
                "m365_last_success_timestamp_seconds",
                "m365_sweep_last_complete_timestamp_seconds",
            ] {
                zero(name, &[tenant, content_type]);
            }
            for via in Via::ALL {
                let via = ("via", via.as_str());
                zero("m365_content_announced_total", &[tenant, content_type, via]);
            }
            for outcome in ["delivered", "dead", "expired"] {
                let outcome = ("outcome", outcome);
                zero("m365_content_settled_total", &[tenant, content_type, outcome]);
            }
        }
    }
    for outcome in Outcome::ALL {
        zero("m365_webhook_requests_total", &[("outcome", outcome.as_str())]);
    }
    let endings = "displaced failed full proxy_header resets served timed_out tls_failed";
    for outcome in endings.split(' ') {
        zero("m365_webhook_connections_total", &[("outcome", outcome)]);
    }
    zero("m365_webhook_to_confirm_seconds_sum", &[]);
    zero("m365_webhook_to_confirm_seconds_count", &[]);
    zero("m365_devo_connected", &[]);
    zero("m365_ledger_disk_free_bytes", &[]);
    zero("m365_ledger_disk_size_bytes", &[]);
    let build = [("revision", "unknown"), ("version", env!("CARGO_PKG_VERSION"))];
    expected.insert(spell("m365_build_info", build), 1.0);
    expected.insert(spell("m365_ledger_writable", []), 1.0);
    expected.insert(spell("m365_webhook_configured", []), 1.0);
    expected
}

/// Families whose values depend on the moment or the machine.
const EARLY: [&str; 3] =
    ["m365_sweep_windows_total", "m365_subscriptions_checked_", "m365_ledger_disk_"];

/// A time that there is none of without a certificate, and zero would be one.
const NO_CERTIFICATE: &str = "m365_credential_expiry_timestamp_seconds";

#[tokio::test(flavor = "multi_thread")]
async fn every_series_is_there_from_the_start_with_zero() {
    let service = Service::builder()
        .tenants(2)
        .with("subscriptions.manage", false)
        .devo(format!("tcp://{}", ports::free()))
        .start_unregistered()
        .await;
    let (status, text) = service.admin("/metrics").await;
    assert_eq!(status, 200);
    let found: BTreeMap<_, _> = Scrape::parse(&text)
        .0
        .into_iter()
        .filter(|series| series.name.starts_with("m365_") && !series.name.ends_with("_bucket"))
        .map(|series| {
            let labels = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            // Nobody subscribes, and the first look and the first sweep may have been told so
            // already. A disk has the size it has.
            let early = EARLY.iter().any(|early| series.name.starts_with(early));
            (spell(&series.name, labels), if early { 0.0 } else { series.value })
        })
        .collect();
    let expected = expected_at_start(&["tenant-0", "tenant-1"]);
    let missing: Vec<_> = expected.keys().filter(|series| !found.contains_key(*series)).collect();
    let extra: Vec<_> = found.keys().filter(|series| !expected.contains_key(*series)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nextra: {extra:#?}");
    assert_eq!(found, expected);
    assert!(!text.contains(NO_CERTIFICATE), "{text}");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_have_these_names_and_labels_and_please_promtool() {
    let mut service = Service::builder().start().await;
    let records = records(1, service.tenant(0), ContentType::Exchange, 5);
    service.publish(0, ContentType::Exchange, &records);
    service.delivered().await;
    let (_, text) = service.admin("/metrics").await;
    expect![[r#"
        m365_attempts_failed_total counter {reason, stage, tenant}
        m365_build_info gauge {revision, version}
        m365_content_announced_total counter {content_type, tenant, via}
        m365_content_pending gauge {tenant}
        m365_content_settled_total counter {content_type, outcome, tenant}
        m365_credential_expiry_timestamp_seconds gauge {kind, tenant}
        m365_delivery_lag_seconds histogram {le, tenant}
        m365_devo_connected gauge {}
        m365_last_success_timestamp_seconds gauge {content_type, tenant}
        m365_ledger_disk_free_bytes gauge {}
        m365_ledger_disk_size_bytes gauge {}
        m365_ledger_writable gauge {}
        m365_messages_successfully_processed_total counter {content_type, tenant}
        m365_messages_unsuccessfully_processed_total counter {reason, stage, tenant}
        m365_oldest_pending_seconds gauge {tenant}
        m365_pending_expiry_seconds gauge {tenant}
        m365_records_delivered_total counter {table}
        m365_records_duplicate_total counter {tenant}
        m365_records_unremembered_total counter {tenant}
        m365_subscription_enabled gauge {content_type, tenant}
        m365_subscriptions_checked_timestamp_seconds gauge {tenant}
        m365_sweep_last_complete_timestamp_seconds gauge {content_type, tenant}
        m365_sweep_windows_total counter {outcome, tenant}
        m365_throttled_total counter {tenant}
        m365_webhook_configured gauge {}
        m365_webhook_connections_total counter {outcome}
        m365_webhook_enabled gauge {content_type, tenant}
        m365_webhook_requests_total counter {outcome}
        m365_webhook_to_confirm_seconds histogram {le}
        process_cpu_seconds_total counter {}
        process_max_fds gauge {}
        process_open_fds gauge {}
        process_resident_memory_bytes gauge {}
        process_start_time_seconds gauge {}
        process_threads gauge {}
        process_virtual_memory_bytes gauge {}
    "#]]
    .assert_eq(&outline(&text));

    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.expect("promtool is missing: install the package prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && out.is_empty() && err.is_empty(), "{out}{err}");
    service.finish().await;
}

fn spell<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let labels: BTreeMap<_, _> = labels.into_iter().collect();
    format!("{name}{labels:?}")
}
