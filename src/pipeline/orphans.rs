//! Content of tenants that are configured no more.
//!
//! Nobody holds credentials for it, so it cannot be fetched; but it was acknowledged, so it must
//! not vanish either (I3, I10). It waits for its tenant to come back until Microsoft deletes it,
//! and then ends as expired, counted under no tenant.

use std::time::Duration;

use tracing::{debug, warn};

use super::Metrics;
use crate::{
    clock::Clock,
    content::Tenants,
    ledger::{Ledger, LedgerError, Settled, Settlement},
    reason::Reason,
};

/// Looks for such content, now and then, for ever.
pub(super) async fn watch(ledger: Ledger, tenants: Tenants, clock: Clock, metrics: Metrics) {
    let mut told = false;
    loop {
        match look(&ledger, &tenants, &clock, &metrics).await {
            Ok(0) => told = false,
            Ok(waiting) => {
                if !told {
                    warn!(
                        contents = waiting,
                        "content of tenants that are not configured waits; add the tenants again, or it expires"
                    );
                }
                told = true;
            }
            Err(error) => debug!(error = %error, "cannot look for content of other tenants"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Ends what has expired and puts off the rest. Returns how much waits.
async fn look(
    ledger: &Ledger,
    tenants: &Tenants,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<u64, LedgerError> {
    let now = clock.now();
    let mut waiting = 0;
    for depth in ledger.depth().await? {
        if tenants.find(depth.tenant).is_some() {
            continue;
        }
        waiting += depth.waiting;
        loop {
            let leases = ledger.claim(depth.tenant, AT_ONCE, now).await?;
            if leases.is_empty() {
                break;
            }
            for lease in leases {
                let expires = lease.announcement.expires;
                let settlement = if expires <= now {
                    Settlement::Expired(Reason::PastExpiration)
                } else {
                    Settlement::Postpone { until: expires }
                };
                let settled = ledger.settle(lease.key, settlement.clone(), now).await?;
                if settled == Settled::Applied && expires <= now {
                    metrics.failed(&lease, Reason::PastExpiration, &settlement);
                    waiting = waiting.saturating_sub(1);
                }
            }
        }
    }
    Ok(waiting)
}

/// Content lives for days; what was taken out of the configuration by mistake is told at once, at
/// the start that reads it.
const EVERY: Duration = Duration::from_secs(3600);

/// One claim is one commit.
const AT_ONCE: u32 = 256;
