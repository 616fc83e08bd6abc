//! Devo's side: endpoint, confirmation, tables, and the pipeline that feeds it.

use std::{ops::RangeInclusive, time::Duration};

use super::{DAY, MOMENT};
use crate::{
    backoff::Backoff,
    config::{
        findings::Findings,
        key::Key,
        problem::quoted,
        raw::{Devo, Fetch, Tables},
    },
    deliver::{self, Transport},
    logbook, pipeline, route, stats,
};

pub(super) fn deliver(raw: &Devo, findings: &mut Findings<'_>) -> Option<deliver::Config> {
    let key = |name: &str| Key::from("devo").child(name);
    let endpoint = findings.required(&key("endpoint"), raw.endpoint.as_ref(), ENDPOINT).cloned();
    let ca = raw.ca.as_ref().map(|path| findings.file(&key("ca"), path));
    let cert = raw.cert.as_ref().map(|path| findings.file(&key("cert"), path));
    let private = raw.key.as_ref().map(|path| findings.file(&key("key"), path));
    for (name, other) in [("cert", "key"), ("key", "cert")] {
        if findings.sets(&key(other)) && !findings.sets(&key(name)) {
            findings.problem(
                &key(name),
                "nothing",
                format!("both devo.{other} and devo.{name}, or neither"),
            );
        }
    }
    let server_name = Some(raw.server_name.0.clone()).filter(|name| !name.is_empty());
    if endpoint.as_ref().is_some_and(|endpoint| endpoint.0.transport == Transport::Tcp) {
        // Whoever names certificates believes that the connection is encrypted.
        for name in TLS_KEYS {
            let empty = *name == "server_name" && server_name.is_none();
            if findings.sets(&key(name)) && !empty {
                findings.problem(
                    &key(name),
                    "a TLS setting beside a tcp:// endpoint",
                    "a tls:// endpoint, or this key left out",
                );
            }
        }
    }
    if let Some(name) = &server_name
        && url::Host::parse(name).is_err()
    {
        findings.problem(&key("server_name"), quoted(name), "a host name");
    }
    let connections = findings.count(&key("connections"), raw.connections, CONNECTIONS);
    let confirm_interval =
        findings.duration(&key("confirm_interval"), raw.confirm_interval, MOMENT..=MAX_CONFIRM);
    let confirm_bytes = findings.size(&key("confirm_bytes"), raw.confirm_bytes, CONFIRM_BYTES);
    let confirm_timeout =
        findings.duration(&key("confirm_timeout"), raw.confirm_timeout, MOMENT..=MAX_CONFIRM);
    Some(deliver::Config {
        endpoint: endpoint?.0,
        ca,
        identity: cert.zip(private),
        server_name,
        connections: usize::try_from(connections).ok()?.try_into().ok()?,
        compression: raw.compression.0,
        confirm: raw.confirm.0,
        confirm_interval,
        confirm_bytes,
        confirm_timeout,
    })
}

pub(super) fn route(raw: &Tables, findings: &mut Findings<'_>) -> route::Config {
    let key = |name: &str| Key::from("devo.tables").child(name);
    let default = route::Config::default();
    let mut workload = default.workload;
    for name in raw.workload.keys() {
        // Another spelling of a Workload that has a table by default takes its place.
        workload.retain(|default, _| !default.eq_ignore_ascii_case(name) || default == name);
        if name.trim().is_empty() || name.len() > MAX_WORKLOAD {
            let key = key("workload").child(name.as_str());
            findings.problem(&key, "a name no Workload has", "the name of a Workload");
        }
    }
    workload.extend(raw.workload.iter().map(|(name, table)| (name.clone(), table.0.clone())));
    let config =
        route::Config { prefix: raw.prefix.0.clone(), fallback: raw.fallback.0.clone(), workload };
    for problem in config.problems() {
        let key = match problem.key.strip_prefix("workload.") {
            Some(name) => key("workload").child(name),
            None => key(&problem.key),
        };
        findings.problem(&key, quoted(&problem.found), problem.expected);
    }
    config
}

pub(super) fn pipeline(
    fetch: &Fetch,
    devo: &Devo,
    findings: &mut Findings<'_>,
) -> Option<pipeline::Config> {
    let key = |name: &str| Key::from("fetch").child(name);
    let concurrency = findings.count(&key("concurrency"), fetch.concurrency, CONCURRENCY);
    let retry_min = findings.duration(&key("retry_min"), fetch.retry_min, MOMENT..=DAY);
    let retry_max = findings.duration(&key("retry_max"), fetch.retry_max, MOMENT..=DAY);
    if retry_min > retry_max {
        // Said of the one that was set; of both, the lower bound.
        let (name, found, expected) = if findings.sets(&key("retry_min")) {
            let expected = format!("at most fetch.retry_max ({})", fetch.retry_max);
            ("retry_min", fetch.retry_min, expected)
        } else {
            let expected = format!("at least fetch.retry_min ({})", fetch.retry_min);
            ("retry_max", fetch.retry_max, expected)
        };
        let found = findings.written(&key(name), &found);
        findings.problem(&key(name), found, expected);
    }
    let max_record = findings.size(&key("max_record"), fetch.max_record, RECORD);
    let hostname = hostname(&devo.hostname.0, findings);
    Some(pipeline::Config {
        concurrency: usize::try_from(concurrency).ok()?.try_into().ok()?,
        backoff: Backoff::try_new(retry_min, retry_max).ok()?,
        max_record: usize::try_from(max_record).ok()?,
        hostname,
    })
}

/// None when something is wrong with it; in it none when it is not wanted.
pub(super) fn stats(devo: &Devo, findings: &mut Findings<'_>) -> Option<Option<stats::Config>> {
    let key = |name: &str| Key::from("devo.stats").child(name);
    let (table, interval) = (&devo.stats.table.0, devo.stats.interval);
    let interval = findings.duration(&key("interval"), interval, STATS);
    if table.is_empty() {
        return Some(None);
    }
    if !is_tag(table) {
        let expected = tag("my.app.m365_collector.stats");
        findings.problem(&key("table"), quoted(table), expected);
        return None;
    }
    // What is wrong with the name is said of the records' way.
    let hostname = name(&devo.hostname.0);
    Some(Some(stats::Config { table: table.clone(), interval, hostname }))
}

/// As [`stats()`].
pub(super) fn logbook(devo: &Devo, findings: &mut Findings<'_>) -> Option<Option<logbook::Config>> {
    let table = &devo.log.table.0;
    if table.is_empty() {
        return Some(None);
    }
    if !is_tag(table) {
        let expected = tag("my.app.m365_collector.log");
        findings.problem(&Key::from("devo.log").child("table"), quoted(table), expected);
        return None;
    }
    Some(Some(logbook::Config {
        table: table.clone(),
        severity: devo.log.level.0,
        hostname: name(&devo.hostname.0),
        lines: logbook::Lines::default(),
    }))
}

fn is_tag(tag: &str) -> bool {
    let level = |level: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !level.is_empty() && level.bytes().all(known)
    };
    tag.len() <= MAX_TAG && tag.contains('.') && tag.split('.').all(level)
}

fn tag(example: &str) -> String {
    format!("\"\", or a whole tag of two levels or more, such as \"{example}\"")
}

fn name(given: &str) -> String {
    if given.is_empty() {
        gethostname::gethostname().to_string_lossy().into_owned()
    } else {
        given.to_owned()
    }
}

fn hostname(given: &str, findings: &mut Findings<'_>) -> String {
    let name = name(given);
    // The header's fields are separated by blanks.
    let valid = !name.is_empty()
        && name.len() <= MAX_HOSTNAME
        && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !valid {
        let found = if given.is_empty() {
            format!("nothing, and this host's own name {}", quoted(&name))
        } else {
            quoted(&name)
        };
        findings.problem(&Key::from("devo.hostname"), found, HOSTNAME);
    }
    name
}

const ENDPOINT: &str =
    "tls://host:port or tcp://host:port such as \"tls://collector-eu.devo.io:443\"";

const HOSTNAME: &str = "1 to 255 visible ASCII characters";

/// Devo's limit for a whole tag.
const MAX_TAG: usize = 1024;

/// Counters that are told more often say no more; an alert waits for them.
const STATS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60 * 60);

/// The keys that mean something only with TLS.
const TLS_KEYS: &[&str] = &["ca", "cert", "key", "server_name"];

/// Many times the longest Workload met.
const MAX_WORKLOAD: usize = 128;

/// The bound of RFC 1123 for host names.
const MAX_HOSTNAME: usize = 255;

/// More sessions than this look like an attack to a receiver.
const CONNECTIONS: RangeInclusive<u64> = 1..=256;

/// Unconfirmed content piles up in the ledger for as long.
const MAX_CONFIRM: Duration = Duration::from_secs(60 * 60);

/// What a broken session may cost is bounded by sending it again in minutes.
const CONFIRM_BYTES: RangeInclusive<u64> = 1..=64 * 1024 * 1024 * 1024;

/// Each blob in flight holds a batch and a connection.
const CONCURRENCY: RangeInclusive<u64> = 1..=4096;

/// A record is held whole, once for each blob in flight.
const RECORD: RangeInclusive<u64> = 1..=1024 * 1024 * 1024;
