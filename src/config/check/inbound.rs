//! What listens, and the webhook's own rules.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use url::Url;

use super::MOMENT;
use crate::{
    config::{
        findings::Findings,
        key::Key,
        raw::{Webhook, WebhookTls},
        value::WebAddress,
    },
    webhook,
};

pub(super) fn webhook(raw: &Webhook, findings: &mut Findings<'_>) -> Option<webhook::Config> {
    let key = |name: &str| Key::from("webhook").child(name);
    let address = findings.required(&key("address"), raw.address.as_ref(), ADDRESS).cloned();
    if let Some(WebAddress(address)) = &address {
        check_address(&key("address"), address, findings);
    }
    let auth_id = findings
        .required(&key("auth_id"), raw.auth_id.as_ref(), AUTH_ID_SOURCE)
        .and_then(|source| findings.secret(&key("auth_id"), source, acceptable_auth_id));
    let previous_auth_id = raw
        .previous_auth_id
        .as_ref()
        .and_then(|source| findings.secret(&key("previous_auth_id"), source, acceptable_auth_id));
    let max_body = findings.size(&key("max_body"), raw.max_body, BODY);
    let max_connections = findings.count(&key("max_connections"), raw.max_connections, OPEN);
    let header_timeout = findings.duration(&key("header_timeout"), raw.header_timeout, TIMEOUT);
    let request_timeout = findings.duration(&key("request_timeout"), raw.request_timeout, TIMEOUT);
    let drain_delay = findings.duration(&key("drain_delay"), raw.drain_delay, DRAIN);
    if let Some(tls) = &raw.tls {
        check_tls(tls, findings);
    }
    Some(webhook::Config {
        listen: raw.listen.0,
        address: address?.0,
        auth_id: auth_id?,
        previous_auth_id,
        max_body: usize::try_from(max_body).ok()?,
        max_connections: usize::try_from(max_connections).ok()?,
        header_timeout,
        request_timeout,
        drain_delay,
        trusted_proxies: raw.trusted_proxies.iter().map(|range| range.0).collect(),
        allowed_sources: raw.allowed_sources.iter().map(|range| range.0).collect(),
    })
}

/// One port cannot be served twice, and nothing of the admin port may appear on the public one.
pub(super) fn listeners_differ(
    webhook: SocketAddr,
    admin: SocketAddr,
    findings: &mut Findings<'_>,
) {
    let overlap =
        webhook.ip() == admin.ip() || webhook.ip().is_unspecified() || admin.ip().is_unspecified();
    // Port 0 is a different free port each time.
    if webhook.port() != 0 && webhook.port() == admin.port() && overlap {
        let expected = format!("another port than webhook.listen ({webhook})");
        findings.problem(&Key::from("admin.listen"), admin.to_string(), expected);
    }
}

fn check_address(key: &Key, address: &Url, findings: &mut Findings<'_>) {
    // The parts that may hold a secret are named, not shown.
    let found = if address.scheme() != "https" {
        "a plain http address"
    } else if !address.username().is_empty() || address.password().is_some() {
        "an address with a user name or password"
    } else if address.query().is_some() {
        "an address with a query"
    } else if address.fragment().is_some() {
        "an address with a fragment"
    } else if address.path() == "/" {
        "an address without a path"
    } else {
        return;
    };
    findings.problem(key, found, ADDRESS);
}

fn acceptable_auth_id(value: &str) -> Result<(), &'static str> {
    let visible = value.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && value.len() >= MIN_AUTH_ID && value.len() <= MAX_AUTH_ID {
        Ok(())
    } else {
        Err(AUTH_ID)
    }
}

fn check_tls(raw: &WebhookTls, findings: &mut Findings<'_>) {
    let key = |name: &str| Key::from("webhook.tls").child(name);
    for (name, path) in [("cert", &raw.cert), ("key", &raw.key)] {
        let path = findings.required(&key(name), path.as_ref(), "the path of a PEM file");
        if let Some(path) = path {
            findings.file(&key(name), path);
        }
    }
    match &raw.client_ca {
        Some(path) => {
            findings.file(&key("client_ca"), path);
            let named = raw.client_names.iter().any(|name| !name.0.trim().is_empty());
            if !named {
                findings.problem(&key("client_names"), "no name", "at least one subject name");
            }
        }
        None if findings.sets(&key("client_names")) && !findings.sets(&key("client_ca")) => {
            findings.problem(
                &key("client_names"),
                "names without webhook.tls.client_ca",
                "client_ca as well, since without it no client certificate is asked for",
            );
        }
        None => {}
    }
}

const ADDRESS: &str = "an https address with a path and nothing after it, such as \"https://m365.example.com/webhook\"";

const AUTH_ID: &str = "16 to 1024 visible ASCII characters";

const AUTH_ID_SOURCE: &str =
    "{ file = \"…\" } or { env = \"…\" }, holding at least 16 visible ASCII characters";

/// 16 characters of hexadecimal digits are 64 bits: too many to guess over a network.
const MIN_AUTH_ID: usize = 16;

/// A header field of common servers ends before this.
const MAX_AUTH_ID: usize = 1024;

/// A body is held whole, once for each connection.
const BODY: RangeInclusive<u64> = 1..=64 * 1024 * 1024;

/// Beyond this a process needs more file descriptors than systems commonly grant.
const OPEN: RangeInclusive<u64> = 1..=1_000_000;

/// Longer waits only hold connections for clients that are gone.
const TIMEOUT: RangeInclusive<Duration> = MOMENT..=Duration::from_secs(10 * 60);

/// Everything ends within 30 s of the request to stop, and the work after the port's needs some.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);
