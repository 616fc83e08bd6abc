//! What the configuration can say and this version cannot do yet.
//!
//! Such settings are read and checked like all others and then refused, because one without effect
//! is worse than none. Making one available means deleting its lines here.

use super::{findings::Findings, key::Key, raw::Raw, value::LedgerAddress};

/// Complains about every key that is set and has no effect yet.
pub(super) fn refuse(raw: &Raw, findings: &mut Findings<'_>) {
    if raw.ledger.url == LedgerAddress::Postgres {
        findings.unavailable(
            &Key::from("ledger.url"),
            "postgres, which is not available yet",
            "\"sqlite:FILE\"",
        );
    }
}
