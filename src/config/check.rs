//! From what is written to what the modules take: required keys, bounds, and what must fit
//! together.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    Config,
    findings::Findings,
    key::Key,
    raw::{Ledger, Log, Raw, Records, Sweep},
    read::Elements,
    settings::log,
};
use crate::{
    admin, identity,
    sweep::{self, window},
};

mod delivery;
mod inbound;
mod ledger;
mod microsoft;
mod tenants;

/// Checks everything; none when something needed is missing, which is then among the findings.
pub(super) fn check(raw: &Raw, elements: &Elements, findings: &mut Findings<'_>) -> Option<Config> {
    // No `?` before everything was looked at.
    let webhook = raw.webhook.as_deref().map(|webhook| inbound::webhook(webhook, findings));
    let admin = admin::Config { listen: raw.admin.listen.0, file: None };
    if let Some(webhook) = raw.webhook.as_deref() {
        inbound::listeners_differ(webhook.listen.0, admin.listen, findings);
    }
    let ledger = ledger::ledger(&raw.ledger, findings);
    let (tenants, credentials) = tenants::tenants(&raw.tenants, elements, findings);
    let microsoft = microsoft::microsoft(&raw.microsoft, &raw.fetch, credentials, findings);
    // A section that is there and wrong is among the findings.
    let webhook = match webhook {
        Some(checked) => checked.map(Some),
        None => Some(None),
    };
    let subscriptions = microsoft::subscriptions(
        &raw.subscriptions,
        webhook.as_ref().and_then(Option::as_ref),
        findings,
    );
    let deliver = delivery::deliver(&raw.devo, findings);
    let route = delivery::route(&raw.devo.tables, findings);
    let pipeline = delivery::pipeline(&raw.fetch, &raw.devo, findings);
    ledger::outlasts_confirmation(&raw.ledger, &raw.devo, findings);
    let sweep = sweep(&raw.sweep, raw.webhook.is_some(), findings);
    let stats = delivery::stats(&raw.devo, findings);
    let logbook = delivery::logbook(&raw.devo, findings);
    let records = records(&raw.records, &raw.ledger, findings);
    let log = log(&raw.log);
    Some(Config {
        webhook: webhook?,
        admin,
        ledger: ledger?,
        microsoft: microsoft?,
        subscriptions,
        pipeline: pipeline?,
        deliver: deliver?,
        route,
        sweep,
        records: records?,
        stats: stats?,
        log,
        logbook: logbook?,
        tenants,
    })
}

fn sweep(raw: &Sweep, webhook: bool, findings: &mut Findings<'_>) -> sweep::Config {
    let interval = findings.duration(&Key::from("sweep.interval"), raw.interval, MOMENT..=DAY);
    let settle = findings.duration(&Key::from("sweep.settle"), raw.settle, Duration::ZERO..=DAY);
    let key = Key::from("sweep.startup_lookback");
    let startup_lookback =
        findings.duration(&key, raw.startup_lookback, MOMENT..=window::MAX_LOOKBACK);
    sweep::Config { interval, settle: webhook.then_some(settle), startup_lookback }
}

fn records(
    raw: &Records,
    ledger: &Ledger,
    findings: &mut Findings<'_>,
) -> Option<identity::Config> {
    let key = Key::from("records.remember");
    let remember = findings.duration(&key, raw.remember, MOMENT..=MAX_KEPT);
    // The identities live in the rows of delivered content.
    if findings.sets(&key) && raw.remember > ledger.keep_delivered {
        let most = format!("at most ledger.keep_delivered ({})", ledger.keep_delivered);
        let found = findings.written(&key, &raw.remember);
        findings.problem(&key, found, most);
    }
    let key = Key::from("records.remember_max");
    let remember_max = findings.count(&key, raw.remember_max, REMEMBERED);
    Some(identity::Config {
        remember,
        remember_max: usize::try_from(remember_max).ok()?.try_into().ok()?,
    })
}

fn log(raw: &Log) -> log::Config {
    log::Config { format: raw.format.0, filter: raw.filter.0.clone() }
}

/// The least of a duration that must be above zero.
const MOMENT: Duration = Duration::from_millis(1);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A row kept for longer is an archive, which the ledger is not.
const MAX_KEPT: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// Beyond this the window outgrows the memory of common machines.
const REMEMBERED: RangeInclusive<u64> = 1..=1_000_000_000;
