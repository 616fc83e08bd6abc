//! Who is collected: the tenants of the configuration, and those the ledger has stored.
//!
//! Stored tenants come and go while the service runs; this is the one place that reads them and
//! replaces the [`Tenants`] everybody looks at. A stored tenant uses the credential that the
//! configuration has for its application. Where both name a tenant, the configuration counts.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use crate::{
    content::{Seen, Tenant, TenantId, Tenants},
    ledger::{Ledger, LedgerError, StoredTenant},
    roster::PerTenant,
    shutdown::Shutdown,
};

/// Takes up tenants that are stored, and lets go of those that are removed.
pub(super) struct Admission {
    configured: Seen,
    tenants: Tenants,
    ledger: Ledger,
    series: Vec<Box<dyn PerTenant>>,
    /// What was under way for them may still have counted, so their series go a look later.
    leaving: Vec<Arc<Tenant>>,
    /// Stored tenants that cannot be collected, which was said.
    told: HashSet<TenantId>,
}

impl Admission {
    /// Takes up what is stored already, before anybody looks at `tenants`.
    pub(super) async fn open(tenants: Tenants, ledger: Ledger) -> Result<Self, LedgerError> {
        let mut admission = Self {
            configured: tenants.seen(),
            tenants,
            ledger,
            series: Vec::new(),
            leaving: Vec::new(),
            told: HashSet::new(),
        };
        admission.look().await?;
        Ok(admission)
    }

    /// Begins and ends these series with the tenants from now on.
    pub(super) fn count(&mut self, series: impl PerTenant + 'static) {
        self.series.push(Box::new(series));
    }

    /// Looks again and again until shutdown.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = shutdown.requested() => return,
            }
            if let Err(error) = self.look().await {
                // That the ledger cannot be read is said elsewhere.
                debug!(error = %error, "cannot look for stored tenants");
            }
        }
    }

    async fn look(&mut self) -> Result<(), LedgerError> {
        let stored = self.ledger.stored_tenants().await?;
        let Joined { tenants, orphaned } = join(&self.configured, stored);
        for orphan in &orphaned {
            if self.told.insert(orphan.id) {
                warn!(
                    tenant = &*orphan.name,
                    client_id = %orphan.client_id,
                    "a stored tenant is not collected: no configured tenant has the application \
                     that was consented to"
                );
            }
        }
        let present = self.tenants.seen();
        for gone in std::mem::take(&mut self.leaving) {
            let stays = tenants.iter().find(|tenant| tenant.name == gone.name);
            let stays = stays.map(|tenant| &**tenant);
            self.series.iter().for_each(|series| series.dismiss(&gone, stays));
        }
        let is_new = |tenant: &&Arc<Tenant>| present.find(tenant.id) != Some(*tenant);
        let appeared: Vec<_> = tenants.iter().filter(is_new).cloned().collect();
        let removed = present.iter().filter(|old| !tenants.contains(*old));
        let removed: Vec<_> = removed.cloned().collect();
        if appeared.is_empty() && removed.is_empty() {
            return Ok(());
        }
        // Series are there before anything can be counted in them.
        for tenant in &appeared {
            self.series.iter().for_each(|series| series.admit(tenant));
        }
        self.tenants.replace(tenants);
        for tenant in &appeared {
            let feeds = tenant.content_types.len();
            info!(tenant = &*tenant.name, id = %tenant.id, feeds, "a stored tenant is collected");
        }
        let gone = |old: &&Arc<Tenant>| self.tenants.find(old.id).is_none();
        for tenant in removed.iter().filter(gone) {
            info!(tenant = &*tenant.name, id = %tenant.id, "a tenant is collected no more");
        }
        self.leaving.extend(removed);
        Ok(())
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("tenants", &self.tenants.len()).finish_non_exhaustive()
    }
}

/// Adds what is stored to the tenants of the configuration, for a command that lives for moments.
pub fn take_up(tenants: &Tenants, stored: Vec<StoredTenant>) {
    let joined = join(&tenants.seen(), stored);
    tenants.replace(joined.tenants);
}

struct Joined {
    tenants: Vec<Arc<Tenant>>,
    /// Stored, and without a credential.
    orphaned: Vec<StoredTenant>,
}

fn join(configured: &Seen, stored: Vec<StoredTenant>) -> Joined {
    let mut tenants: Vec<_> = configured.iter().cloned().collect();
    let mut orphaned = Vec::new();
    for stored in stored {
        if configured.find(stored.id).is_some() {
            continue;
        }
        if configured.iter().all(|tenant| tenant.client_id != stored.client_id) {
            orphaned.push(stored);
            continue;
        }
        let StoredTenant { id, name, client_id, content_types, added: _ } = stored;
        // A label is of one tenant; the configuration may have taken it since.
        let taken = tenants.iter().any(|tenant| *tenant.name == name);
        let name = if taken { id.to_string() } else { name };
        tenants.push(Arc::new(Tenant { id, client_id, name: name.into(), content_types }));
    }
    Joined { tenants, orphaned }
}

/// Somebody who added a tenant watches whether anything happens.
const LOOK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ContentType;

    const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
    const B: &str = "bbbbbbbb-0000-4000-8000-000000000002";
    const APPLICATION: &str = "cccccccc-0000-4000-8000-000000000003";

    fn configured() -> Tenants {
        Tenants::from_iter([Tenant {
            id: A.parse().unwrap(),
            client_id: APPLICATION.parse().unwrap(),
            name: "home".into(),
            content_types: vec![ContentType::General],
        }])
    }

    fn stored(id: &str, name: &str, application: &str) -> StoredTenant {
        StoredTenant {
            id: id.parse().unwrap(),
            name: name.to_owned(),
            client_id: application.parse().unwrap(),
            content_types: vec![ContentType::Exchange],
            added: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn names(stored: Vec<StoredTenant>) -> (Vec<String>, usize) {
        let joined = join(&configured().seen(), stored);
        let mut names: Vec<_> = joined.tenants.iter().map(|t| t.name.to_string()).collect();
        names.sort_unstable();
        (names, joined.orphaned.len())
    }

    #[test]
    fn the_configuration_counts_where_both_name_a_tenant_or_a_label() {
        let both = ["customer".to_owned(), "home".to_owned()].to_vec();
        assert_eq!(names(vec![stored(B, "customer", APPLICATION)]), (both, 0));
        assert_eq!(names(vec![stored(A, "other", APPLICATION)]), (vec!["home".to_owned()], 0));
        let by_id = vec![B.to_owned(), "home".to_owned()];
        assert_eq!(names(vec![stored(B, "home", APPLICATION)]), (by_id, 0));
    }

    #[test]
    fn a_tenant_without_a_credential_is_left_out() {
        assert_eq!(names(vec![stored(B, "customer", B)]), (vec!["home".to_owned()], 1));
    }
}
