//! What listens, and the webhook's own rules.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use url::Url;

use super::MOMENT;
use crate::{
    config::{
        findings::Findings,
        key::Key,
        raw::{ClientCertificate, Webhook, WebhookTls},
        value::{FilePath, Text, WebAddress},
    },
    redirect, tls,
    webhook::{self, MAX_AUTH_ID, MIN_AUTH_ID, PassedCertificate, ServiceTag},
};

pub(super) fn webhook(raw: &Webhook, findings: &mut Findings<'_>) -> Option<webhook::Config> {
    let key = |name: &str| Key::from("webhook").child(name);
    let address = findings.required(&key("address"), raw.address.as_ref(), ADDRESS).cloned();
    if let Some(WebAddress(address)) = &address {
        check_address(&key("address"), address, findings);
    }
    let min_auth_id = if raw.allow_short_auth_id { 1 } else { MIN_AUTH_ID };
    if raw.allow_short_auth_id {
        findings.warning(&key("allow_short_auth_id"), "a short auth id can be guessed");
    }
    let acceptable = |value: &str| acceptable_auth_id(value, min_auth_id);
    let auth_id = findings
        .required(&key("auth_id"), raw.auth_id.as_ref(), AUTH_ID_SOURCE)
        .and_then(|source| findings.secret(&key("auth_id"), source, acceptable));
    let previous_auth_id = raw
        .previous_auth_id
        .as_ref()
        .and_then(|source| findings.secret(&key("previous_auth_id"), source, acceptable));
    let max_body = findings.size(&key("max_body"), raw.max_body, BODY);
    let max_connections = findings.count(&key("max_connections"), raw.max_connections, OPEN);
    let per_source = key("max_connections_per_source");
    let per_source = findings.count(&per_source, raw.max_connections_per_source, OPEN);
    let max_header = findings.size(&key("max_header"), raw.max_header, HEADER);
    let max_streams = findings.count(&key("max_streams"), raw.max_streams, STREAMS);
    let max_resets = findings.count(&key("max_resets"), raw.max_resets, RESETS);
    let body_timeout = findings.duration(&key("body_timeout"), raw.body_timeout, TIMEOUT);
    let idle_timeout = findings.duration(&key("idle_timeout"), raw.idle_timeout, TIMEOUT);
    let header_timeout = findings.duration(&key("header_timeout"), raw.header_timeout, TIMEOUT);
    let request_timeout = findings.duration(&key("request_timeout"), raw.request_timeout, TIMEOUT);
    let drain_delay = findings.duration(&key("drain_delay"), raw.drain_delay, DRAIN);
    let tls = raw.tls.as_deref().map(|raw| tls(raw, findings));
    let handshake_timeout = raw.tls.as_deref().map_or(MOST, |tls| tls.handshake_timeout.0);
    let certificate = raw.client_certificate.as_deref();
    let certificate = certificate.map(|raw| client_certificate(raw, findings));
    let allowed_tag = allowed_tag(raw, findings);
    Some(webhook::Config {
        listen: raw.listen.0,
        address: address?.0,
        auth_id: auth_id?,
        previous_auth_id,
        min_auth_id,
        max_body: usize::try_from(max_body).ok()?,
        max_connections: usize::try_from(max_connections).ok()?,
        max_connections_per_source: usize::try_from(per_source).ok()?,
        max_header: usize::try_from(max_header).ok()?,
        max_streams: u32::try_from(max_streams).ok()?,
        max_resets: u32::try_from(max_resets).ok()?,
        header_timeout,
        body_timeout,
        request_timeout,
        idle_timeout,
        handshake_timeout,
        drain_delay,
        trusted_proxies: raw.trusted_proxies.iter().map(|range| range.0).collect(),
        proxy_header: raw.proxy_protocol.0,
        allowed_sources: raw.allowed_sources.iter().map(|range| range.0).collect(),
        allowed_tag,
        consent_callback: raw.consent_callback,
        // A part that is there and wrong is among the findings.
        tls: tls.map_or(Some(None), |tls| tls.map(Some))?,
        client_certificate: certificate.map_or(Some(None), |passed| passed.map(Some))?,
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
    } else if address.path() == redirect::PATH {
        "the path of the consent callback"
    } else {
        return;
    };
    findings.problem(key, found, ADDRESS);
}

fn acceptable_auth_id(value: &str, min: usize) -> Result<(), &'static str> {
    let visible = value.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && value.len() >= min && value.len() <= MAX_AUTH_ID { Ok(()) } else { Err(AUTH_ID) }
}

fn tls(raw: &WebhookTls, findings: &mut Findings<'_>) -> Option<tls::ServerFiles> {
    let key = |name: &str| Key::from("webhook.tls").child(name);
    let [cert, private] = [("cert", &raw.cert), ("key", &raw.key)].map(|(name, path)| {
        let path = findings.required(&key(name), path.as_ref(), PEM);
        path.map(|path| findings.file(&key(name), path))
    });
    findings.duration(&key("handshake_timeout"), raw.handshake_timeout, TIMEOUT);
    let clients = match &raw.client_ca {
        Some(path) => {
            let path = findings.file(&key("client_ca"), path);
            Some(acceptable_clients(path, &key("client_names"), &raw.client_names, findings)?)
        }
        None if findings.sets(&key("client_names")) && !findings.sets(&key("client_ca")) => {
            findings.problem(
                &key("client_names"),
                "names without webhook.tls.client_ca",
                "client_ca as well, since without it no client certificate is asked for",
            );
            None
        }
        None => None,
    };
    Some(tls::ServerFiles { cert: cert?, key: private?, clients })
}

fn client_certificate(
    raw: &ClientCertificate,
    findings: &mut Findings<'_>,
) -> Option<PassedCertificate> {
    let key = |name: &str| Key::from("webhook.client_certificate").child(name);
    let header = findings.required(&key("header"), raw.header.as_ref(), HEADER_NAME);
    let header = header.map(|header| header.0.to_ascii_lowercase());
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if let Some(header) = header.as_ref().filter(|h| h.is_empty() || !h.bytes().all(token)) {
        findings.problem(&key("header"), format!("{header:?}"), HEADER_NAME);
    }
    let ca = findings.required(&key("ca"), raw.ca.as_ref(), PEM);
    let ca = ca.map(|path| findings.file(&key("ca"), path));
    let acceptable = acceptable_clients(ca?, &key("names"), &raw.names, findings);
    Some(PassedCertificate { header: header?, acceptable: acceptable? })
}

fn acceptable_clients(
    ca: PathBuf,
    key: &Key,
    names: &[Text],
    findings: &mut Findings<'_>,
) -> Option<tls::ClientCertificates> {
    let names = names.iter().map(|name| name.0.trim()).collect::<Vec<_>>();
    if names.iter().all(|name| name.is_empty()) {
        findings.problem(key, "no name", "at least one subject name");
        return None;
    }
    let clients = tls::ClientCertificates::new(ca, names);
    if clients.is_err() {
        findings.problem(key, "a text that is no name", "names such as \"manage.office.com\"");
    }
    clients.ok()
}

fn allowed_tag(raw: &Webhook, findings: &mut Findings<'_>) -> Option<ServiceTag> {
    let key = |name: &str| Key::from("webhook").child(name);
    let (file, tag) = (key("allowed_sources_file"), key("allowed_sources_tag"));
    let Some(FilePath(path)) = &raw.allowed_sources_file else {
        if findings.sets(&tag) && !findings.sets(&file) {
            findings.problem(
                &tag,
                "a tag without webhook.allowed_sources_file",
                "allowed_sources_file as well, since the tag is one in that file",
            );
        }
        return None;
    };
    let path = findings.file(&file, &FilePath(path.clone()));
    let tag = ServiceTag { file: path, name: raw.allowed_sources_tag.0.clone() };
    if let Err(error) = tag.read() {
        findings.problem(&file, format!("a file that cannot be used ({error})"), TAGS);
    }
    Some(tag)
}

const PEM: &str = "the path of a PEM file";

const HEADER_NAME: &str = "the name of a header such as \"X-SSL-Client-Cert\"";

const TAGS: &str = "the service tags that Microsoft publishes as JSON, with the tag in it";

const ADDRESS: &str = "an https address with a path and nothing after it, such as \"https://m365.example.com/webhook\"";

const AUTH_ID: &str = "16 to 1024 visible ASCII characters";

const AUTH_ID_SOURCE: &str =
    "{ file = \"…\" } or { env = \"…\" }, holding at least 16 visible ASCII characters";

/// A body is held whole, once for each connection.
const BODY: RangeInclusive<u64> = 1..=64 * 1024 * 1024;

/// Beyond this a process needs more file descriptors than systems commonly grant.
const OPEN: RangeInclusive<u64> = 1..=1_000_000;

/// The least that the reader of HTTP can work with, and far more than any caller needs.
const HEADER: RangeInclusive<u64> = 8 * 1024..=1024 * 1024;

/// One at a time, up to what servers commonly allow.
const STREAMS: RangeInclusive<u64> = 1..=1000;

/// None at all, or as many as if there were no limit.
const RESETS: RangeInclusive<u64> = 0..=1_000_000;

/// Longer waits only hold connections for clients that are gone.
const TIMEOUT: RangeInclusive<Duration> = MOMENT..=MOST;

const MOST: Duration = Duration::from_secs(10 * 60);

/// Everything ends within 30 s of the request to stop, and the work after the port's needs some.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);
