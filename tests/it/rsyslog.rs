//! The real rsyslogd as receiver: every record in its file exactly once, byte for byte.

use std::collections::HashMap;

use m365_collector::{content::ContentType, frame::Frame, simulator::certificates::Material};

use crate::support::{
    Service, eventually, records,
    rsyslog::{Driver, Rsyslog},
};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_records_over_gnutls() {
    check(Driver::Gtls, 2, 10, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_over_openssl() {
    check(Driver::Ossl, 2, 2, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_over_plain_tcp() {
    check(Driver::Plain, 1, 2, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_refused_loses_nothing_and_is_seen() {
    // GnuTLS only closes; OpenSSL says why.
    for (driver, objection) in [
        (Driver::Gtls, "closed the connection at once; it may not accept our certificate"),
        (Driver::Ossl, "the receiver refused our certificate, or demands one"),
    ] {
        let rsyslog = Rsyslog::start(driver).await;
        let strangers = tempfile::tempdir().unwrap();
        let stranger = Material::open(Some(strangers.path())).unwrap();
        let mut builder =
            Service::builder().devo(rsyslog.endpoint()).world(|world| world.devo = None);
        for (key, value) in rsyslog.keys() {
            builder = builder.with(key, value);
        }
        // With TLS 1.3 the refusal comes after the handshake has succeeded on our side.
        let service = builder
            .with("devo.cert", stranger.domain_cert().display())
            .with("devo.key", stranger.domain_key().display())
            .start()
            .await;
        let id = service.tenant(0);
        let sent = records(1, id, ContentType::Exchange, 5);
        service.simulator.microsoft().publish(id, ContentType::Exchange, &sent);
        eventually("readiness says what Devo objects to", async || {
            let (status, text) = service.admin("/readyz").await;
            assert_eq!(status, 200);
            text.contains(objection)
        })
        .await;
        eventually("the content is recorded", async || !service.pending().await.is_empty()).await;
        drop(service);
        assert!(rsyslog.lines().is_empty(), "{driver:?}");
    }
}

/// Publishes so many contents per feed of so many records, and compares what is in the file.
async fn check(driver: Driver, tenants: usize, contents: usize, size: usize) {
    let rsyslog = Rsyslog::start(driver).await;
    let mut builder = Service::builder()
        .tenants(tenants)
        .devo(rsyslog.endpoint())
        .world(|world| world.devo = None)
        // Several sessions, so that records cross the seam between two.
        .with("devo.confirm_bytes", "2 MiB")
        .with("devo.confirm_interval", "2s");
    for (key, value) in rsyslog.keys() {
        builder = builder.with(key, value);
    }
    let mut service = builder.start().await;

    let mut published = HashMap::new();
    let mut seeds = 1..;
    for tenant in 0..tenants {
        let id = service.tenant(tenant);
        for content_type in ContentType::ALL {
            let seed = seeds.next().unwrap();
            let all = records(seed, id, content_type, contents * size);
            for records in all.chunks(size) {
                service.simulator.microsoft().publish(id, content_type, records);
            }
            for record in all {
                *published.entry(record).or_insert(0_u32) += 1;
            }
        }
    }
    let expected = tenants * ContentType::ALL.len() * contents * size;
    rsyslog.wait_for(expected).await;
    // Only what is settled cannot come again.
    eventually("everything is delivered", async || {
        let status = service.status().await;
        status.iter().map(|row| row.records).sum::<u64>() == u64::try_from(expected).unwrap()
    })
    .await;
    service.settled().await;
    service.stop().await;

    let lines = rsyslog.lines();
    assert_eq!(lines.len(), expected, "{}", rsyslog.said());
    let mut arrived = HashMap::new();
    for line in &lines {
        let frame = Frame::parse(line);
        let frame = frame.unwrap_or_else(|| panic!("no line of ours: {}", line.escape_ascii()));
        assert!(frame.tag.starts_with("cloud.office365.management."), "{}", frame.tag);
        *arrived.entry(frame.record.to_vec()).or_insert(0_u32) += 1;
    }
    for (record, times) in &published {
        let found = arrived.get(record).copied().unwrap_or(0);
        assert_eq!(found, *times, "arrived {found} times: {}", record.escape_ascii());
    }
    assert_eq!(arrived.len(), published.len(), "records arrived that nobody published");
}
