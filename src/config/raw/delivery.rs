//! `[devo]`: where records go.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::Section;
use crate::{
    config::value::{
        ByteSize, CompressionChoice, ConfirmChoice, Count, DevoEndpoint, FilePath, HumanDuration,
        SeverityChoice, Text,
    },
    deliver::{Compression, Confirm},
    logbook::Severity,
    route,
};

/// The receiver of the records.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["endpoint"]))]
pub(in crate::config) struct Devo {
    /// `tls://host:port`, or `tcp://host:port` for an in-house relay.
    pub(in crate::config) endpoint: Option<DevoEndpoint>,
    /// The authority of the receiver's certificate, PEM; default: the system's roots.
    pub(in crate::config) ca: Option<FilePath>,
    /// The certificate of the Devo domain, PEM.
    pub(in crate::config) cert: Option<FilePath>,
    /// The key of the certificate, PEM.
    pub(in crate::config) key: Option<FilePath>,
    /// The name in the receiver's certificate, when it is not the endpoint's host.
    pub(in crate::config) server_name: Text,
    /// The host in the syslog header; default: this host's name. Devo groups by it, so keep it.
    pub(in crate::config) hostname: Text,
    /// Sessions kept open at once.
    pub(in crate::config) connections: Count,
    /// Whether batches are compressed: less traffic for more processor time.
    pub(in crate::config) compression: CompressionChoice,
    /// What counts as delivered: the receiver's end of stream, or (weaker, for a receiver that
    /// never closes) the acknowledgement of every byte by its TCP.
    pub(in crate::config) confirm: ConfirmChoice,
    /// How long a session collects before it is confirmed. Longer: fewer connections, and more
    /// that is sent again after a broken one.
    pub(in crate::config) confirm_interval: HumanDuration,
    /// How many bytes, before compression, a session carries before it is confirmed, if that
    /// comes first.
    pub(in crate::config) confirm_bytes: ByteSize,
    /// How long the confirmation may take.
    pub(in crate::config) confirm_timeout: HumanDuration,
    /// Our own counters, as events in a table of their own.
    pub(in crate::config) stats: Section<Stats>,
    /// Our own log, as events in a table of their own.
    pub(in crate::config) log: Section<DevoLog>,
    /// How the tag is made.
    pub(in crate::config) tables: Section<Tables>,
}

impl Default for Devo {
    fn default() -> Self {
        Self {
            endpoint: None,
            ca: None,
            cert: None,
            key: None,
            server_name: Text::default(),
            hostname: Text::default(),
            connections: CONNECTIONS,
            compression: CompressionChoice(Compression::None),
            confirm: ConfirmChoice(Confirm::EndOfStream),
            confirm_interval: CONFIRM_INTERVAL,
            confirm_bytes: CONFIRM_BYTES,
            confirm_timeout: CONFIRM_TIMEOUT,
            stats: Section::default(),
            log: Section::default(),
            tables: Section::default(),
        }
    }
}

/// Our own counters, as events in a table of their own.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Stats {
    /// The whole tag; empty: none are sent.
    pub(in crate::config) table: Text,
    /// From one event to the next.
    pub(in crate::config) interval: HumanDuration,
}

impl Default for Stats {
    fn default() -> Self {
        Self { table: Text(String::new()), interval: STATS_INTERVAL }
    }
}

/// Our own log, as events in a table of their own.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct DevoLog {
    /// The whole tag; empty: nothing is sent.
    pub(in crate::config) table: Text,
    /// The least severe that is sent, whatever `log.filter` lets through.
    pub(in crate::config) level: SeverityChoice,
}

impl Default for DevoLog {
    fn default() -> Self {
        Self { table: Text(String::new()), level: SeverityChoice(Severity::Warn) }
    }
}

/// How the tag is made.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Tables {
    /// The levels before the table.
    pub(in crate::config) prefix: Text,
    /// The table of a record that names none.
    pub(in crate::config) fallback: Text,
    /// The table for a `Workload`, where it is not the `Workload` in lower case. What is given
    /// here is added to the default.
    #[schemars(extend("default" = route::Config::default().workload))]
    pub(in crate::config) workload: BTreeMap<String, Text>,
}

impl Default for Tables {
    fn default() -> Self {
        let route::Config { prefix, fallback, .. } = route::Config::default();
        Self { prefix: Text(prefix), fallback: Text(fallback), workload: BTreeMap::new() }
    }
}

/// Several events within the five minutes that an alert looks at.
const STATS_INTERVAL: HumanDuration = HumanDuration(Duration::from_secs(60));

/// One session carries more than a tenant produces; Devo keeps the order within it.
const CONNECTIONS: Count = Count(1);

/// What a broken session costs is at most this much sent again.
const CONFIRM_INTERVAL: HumanDuration = HumanDuration(Duration::from_secs(10));

/// Reached within the interval only by bursts.
const CONFIRM_BYTES: ByteSize = ByteSize(64 * 1024 * 1024);

/// Receivers end their stream within a fraction of a second; Devo's balancer drops idle
/// connections after this long.
const CONFIRM_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(30));
