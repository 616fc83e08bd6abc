//! The ledger's place and times.

use std::{ops::RangeInclusive, time::Duration};

use super::{DAY, MAX_KEPT, MOMENT};
use crate::{
    config::{
        findings::Findings,
        key::Key,
        raw::{Devo, Ledger},
        value::{HumanDuration, LedgerAddress},
    },
    content::LISTED,
    ledger,
};

pub(super) fn ledger(raw: &Ledger, findings: &mut Findings<'_>) -> Option<ledger::Config> {
    let key = |name: &str| Key::from("ledger").child(name);
    let location = match &raw.url {
        LedgerAddress::Postgres(server) => {
            let password = raw.password.as_ref().and_then(|source| {
                let any = |_: &str| Ok(());
                findings.secret(&key("password"), source, any)
            });
            if server.holds_password() && !findings.is_override(&key("url")) {
                let text = "holds a password in plain text; ledger.password = { file = \"…\" } is \
                            a better place";
                findings.warning(&key("url"), text);
            }
            let server = server.clone();
            Some(ledger::Location::Postgres(match password {
                Some(password) => server.with_password(password),
                None => server,
            }))
        }
        LedgerAddress::Sqlite(path) => {
            let path = findings.resolve(path);
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if path.is_dir() {
                findings.problem(&key("url"), "a directory", "the path of a file");
            } else if directory.is_some_and(|directory| !directory.is_dir()) {
                let found =
                    format!("{:?}, whose directory does not exist", path.display().to_string());
                findings.problem(&key("url"), found, "a file in a directory that exists");
            }
            Some(ledger::Location::Sqlite(path))
        }
    };
    let lease = findings.duration(&key("lease"), raw.lease, LEASE);
    let keep_delivered =
        findings.duration(&key("keep_delivered"), raw.keep_delivered, MOMENT..=MAX_KEPT);
    if keep_delivered < LISTED {
        findings.warning(
            &key("keep_delivered"),
            format!(
                "shorter than the {} in which content may be announced again and would be delivered again",
                HumanDuration(LISTED)
            ),
        );
    }
    let keep_dead = findings.duration(&key("keep_dead"), raw.keep_dead, MOMENT..=MAX_KEPT);
    Some(ledger::Config { location: location?, lease, keep_delivered, keep_dead })
}

/// Content waiting for its confirmation must not be claimed again meanwhile.
pub(super) fn outlasts_confirmation(ledger: &Ledger, devo: &Devo, findings: &mut Findings<'_>) {
    let lease = ledger.lease.0;
    let timeout = devo.confirm_timeout.0;
    if timeout >= lease {
        // Said of the one that was set; of both, the timeout.
        let (key, found, expected) = if findings.sets(&Key::from("devo.confirm_timeout")) {
            let expected = format!("less than ledger.lease ({})", ledger.lease);
            ("devo.confirm_timeout", devo.confirm_timeout, expected)
        } else {
            let expected = format!("more than devo.confirm_timeout ({})", devo.confirm_timeout);
            ("ledger.lease", ledger.lease, expected)
        };
        let found = findings.written(&Key::from(key), &found);
        findings.problem(&Key::from(key), found, expected);
    } else if timeout.saturating_add(devo.confirm_interval.0) >= lease {
        findings.warning(
            &Key::from("devo.confirm_interval"),
            format!(
                "with devo.confirm_timeout ({}) it is not less than ledger.lease ({}); content may be sent again while its confirmation is under way",
                devo.confirm_timeout, ledger.lease
            ),
        );
    }
}

/// Shorter leases are lost by a slow blob alone; longer ones make a crash cost a day.
const LEASE: RangeInclusive<Duration> = Duration::from_secs(30)..=DAY;
