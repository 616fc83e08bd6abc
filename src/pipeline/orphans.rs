//! Content of tenants that are configured no more.
//!
//! Nobody holds credentials for it, so it cannot be fetched; but it was acknowledged, so it must
//! not vanish either (I3, I10). It waits for its tenant to come back until Microsoft deletes it,
//! and then ends as expired, counted under no tenant.

use std::time::Duration;

use futures_util::future::try_join_all;
use tracing::{debug, warn};

use super::Metrics;
use crate::{
    clock::Clock,
    content::Tenants,
    ledger::{Lease, Ledger, LedgerError, Settled, Settlement},
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

/// Ends what has expired. Returns how much waits on, untouched: its tenant may be back any moment.
async fn look(
    ledger: &Ledger,
    tenants: &Tenants,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<u64, LedgerError> {
    let end = async |lease: Lease| {
        let settlement = Settlement::Expired(Reason::PastExpiration);
        let settled = ledger.settle(lease.key, settlement.clone(), clock.now()).await?;
        if settled == Settled::Applied {
            metrics.failed(&lease, Reason::PastExpiration, &settlement);
        }
        Ok::<_, LedgerError>(())
    };
    let mut waiting = 0;
    for depth in ledger.depth().await? {
        if tenants.find(depth.tenant).is_some() {
            continue;
        }
        waiting += depth.waiting;
        loop {
            let leases = ledger.claim_expired(depth.tenant, AT_ONCE, clock.now()).await?;
            if leases.is_empty() {
                break;
            }
            waiting = waiting.saturating_sub(leases.len() as u64);
            // Side by side, so that they share commits.
            try_join_all(leases.into_iter().map(end)).await?;
        }
    }
    Ok(waiting)
}

/// Content lives for days; what was taken out of the configuration by mistake is told at once, at
/// the start that reads it.
const EVERY: Duration = Duration::from_secs(3600);

/// One claim is one commit.
const AT_ONCE: u32 = 256;

#[cfg(test)]
mod tests {
    use prometheus::Registry;
    use tokio::task::JoinSet;

    use super::*;
    use crate::{
        content::{Announcement, ContentId, ContentType, Tenant, TenantId, Via},
        ledger::tests::config,
        moment::after,
        outcomes::Outcomes,
        shutdown::Shutdown,
    };

    #[tokio::test]
    async fn what_expires_ends_and_the_rest_is_due_as_soon_as_its_tenant_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, writer) = Ledger::open(&config(folder.path())).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(Shutdown::new()));
        let (clock, tenants) = (Clock::system(), Tenants::default());
        let tenant: TenantId = "aaaaaaaa-0000-4000-8000-000000000001".parse().unwrap();
        let registry = Registry::new();
        let outcomes = Outcomes::register(&registry, &tenants).unwrap();
        let metrics = Metrics::register(&registry, &tenants, outcomes).unwrap();
        let ends = |id, seconds| Announcement {
            tenant,
            content_type: ContentType::General,
            id: ContentId::parse(id).unwrap(),
            created: clock.now(),
            expires: after(clock.now(), Duration::from_secs(seconds)),
        };
        let all = vec![ends("soon", 3600), ends("late", 86_400)];
        ledger.announce(Via::Webhook, all, clock.now()).await.unwrap();
        let look = async || look(&ledger, &tenants, &clock, &metrics).await.unwrap();
        assert_eq!(look().await, 2);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(look().await, 1);
        assert_eq!(look().await, 1);
        tenants.replace([std::sync::Arc::new(Tenant {
            id: tenant,
            client_id: "bbbbbbbb-0000-4000-8000-000000000002".parse().unwrap(),
            name: "a".into(),
            content_types: vec![ContentType::General],
        })]);
        clock.advance(Duration::from_secs(86_400));
        assert_eq!(look().await, 0, "its tenant has the last word on it");
        let claimed = ledger.claim(tenant, 2, clock.now()).await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].announcement.id.as_str(), "late");
        assert_eq!(claimed[0].attempts, 0);
    }
}
