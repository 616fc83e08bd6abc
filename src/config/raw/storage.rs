//! `[ledger]`, `[records]` and `[log]`: what stays on this side.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{
    settings::log::Format,
    value::{Count, Filter, FormatChoice, HumanDuration, LedgerAddress, SecretSource},
};

/// The durable store of what was announced and what became of it.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Ledger {
    /// `sqlite:FILE` for one process, or a `postgres://…` database for one or several.
    pub(in crate::config) url: LedgerAddress,
    /// The password for a `postgres://…` without one in it.
    pub(in crate::config) password: Option<SecretSource>,
    /// How long claimed content stays claimed without renewal: so long does a crash delay it. At
    /// least 30s.
    pub(in crate::config) lease: HumanDuration,
    /// How long delivered content is remembered, so that it is not fetched again.
    pub(in crate::config) keep_delivered: HumanDuration,
    /// How long dead letters can be looked at and replayed.
    pub(in crate::config) keep_dead: HumanDuration,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            url: LedgerAddress::Sqlite(PathBuf::from(DATABASE)),
            password: None,
            lease: LEASE,
            keep_delivered: KEEP_DELIVERED,
            keep_dead: KEEP_DEAD,
        }
    }
}

/// The window of record identities.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Records {
    /// How long a delivered record is recognised when it comes again.
    pub(in crate::config) remember: HumanDuration,
    /// How many delivered records are recognised; each costs memory.
    pub(in crate::config) remember_max: Count,
}

impl Default for Records {
    fn default() -> Self {
        Self { remember: REMEMBER, remember_max: REMEMBER_MAX }
    }
}

/// The program's own log.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Log {
    /// `text` for people, `json` for machines.
    pub(in crate::config) format: FormatChoice,
    /// A level, or levels by module: `info,m365_collector::deliver=debug`.
    pub(in crate::config) filter: Filter,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: FormatChoice(Format::Text), filter: Filter(FILTER.to_owned()) }
    }
}

/// Beside the configuration file.
const DATABASE: &str = "m365-collector.db";

/// Many times a blob's normal way, and still soon after a crash.
const LEASE: HumanDuration = HumanDuration(Duration::from_secs(5 * 60));

/// Twice the seven days in which Microsoft may announce or list content again.
const KEEP_DELIVERED: HumanDuration = HumanDuration(Duration::from_secs(14 * 24 * 60 * 60));

/// Longer than content lives, so that its report outlasts it.
const KEEP_DEAD: HumanDuration = HumanDuration(Duration::from_secs(30 * 24 * 60 * 60));

/// Repeated records mostly come within hours.
const REMEMBER: HumanDuration = HumanDuration(Duration::from_secs(24 * 60 * 60));

/// Bounds the memory of the window, whatever arrives.
const REMEMBER_MAX: Count = Count(5_000_000);

/// The lifecycle and what needs an operator, nothing per record.
const FILTER: &str = "info";
