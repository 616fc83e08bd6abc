//! Keeps the leases of living steps from running out.
//!
//! A step may outlive its lease honestly: a large blob, a slow Devo, a long confirmation. While it
//! lives it holds its key here; when it ends in any way, a panic included, the key is let go, and
//! an unsettled lease runs out by itself (I4).

use std::sync::Arc;

use dashmap::DashSet;
use tracing::warn;

use crate::{
    clock::Clock,
    ledger::{LeaseKey, Ledger},
};

/// The leases held by this process. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<DashSet<LeaseKey>>);

impl Held {
    pub(super) fn hold(&self, key: LeaseKey) -> Hold {
        self.0.insert(key);
        Hold { held: self.clone(), key }
    }

    /// Renews every held lease three times in its life, for ever.
    pub(super) async fn renew(self, ledger: Ledger, clock: Clock) {
        loop {
            tokio::time::sleep(ledger.lease() / 3).await;
            let keys: Vec<_> = self.0.iter().map(|key| *key).collect();
            for keys in keys.chunks(RENEWED_AT_ONCE) {
                if let Err(error) = ledger.renew(keys.to_vec(), clock.now()).await {
                    warn!(error = %error, "cannot renew leases, their content may be sent twice");
                    break;
                }
            }
        }
    }
}

/// A lease held until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    held: Held,
    key: LeaseKey,
}

impl Hold {
    pub(super) fn key(&self) -> LeaseKey {
        self.key
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.0.remove(&self.key);
    }
}

/// One ledger command stays small enough not to delay the announcements beside it.
const RENEWED_AT_ONCE: usize = 512;
