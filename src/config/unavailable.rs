//! What the configuration can say and this version cannot do yet.
//!
//! Such keys are read and checked like all others and then refused, because a setting without
//! effect is worse than none. Making one available means deleting its line here.

use super::{findings::Findings, key::Key, raw::Raw, value::LedgerAddress};

/// Complains about every key that is set and has no effect yet.
pub(super) fn refuse(raw: &Raw, findings: &mut Findings<'_>) {
    for key in KEYS {
        for key in written(key, raw.tenants.len()) {
            if findings.sets(&key) {
                findings.unavailable(&key, NOT_YET, LEAVE_OUT);
            }
        }
    }
    if raw.ledger.url == LedgerAddress::Postgres {
        findings.unavailable(
            &Key::from("ledger.url"),
            "postgres, which is not available yet",
            "\"sqlite:FILE\"",
        );
    }
}

/// The key, or one for each tenant.
fn written(key: &str, tenants: usize) -> Vec<Key> {
    match key.strip_prefix("tenants[].") {
        Some(rest) => {
            (0..tenants).map(|index| Key::from("tenants").child(index).child(rest)).collect()
        }
        None => vec![Key::from(key)],
    }
}

/// Keys without effect yet.
const KEYS: &[&str] = &["tenants[].certificate", "tenants[].federated_token"];

const NOT_YET: &str = "a setting that is not available yet";

const LEAVE_OUT: &str = "this key to be left out";
