//! Following the tenants as they come and go: a task for each, and series for each.
//!
//! The tenants of the configuration stay as long as the process; those whose administrators
//! consented are added to the ledger and removed from it while the service runs. What an activity
//! does for every tenant it does through [`each`], and what it counts by tenant it lets
//! [`PerTenant`] begin and end.
//!
//! Not here: who the tenants are, which is the composition root's to know.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prometheus::core::{Collector as _, MetricVec, MetricVecBuilder};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use crate::content::{Tenant, TenantId, Tenants};

/// Runs one task for each tenant, from when it appears until it goes, for ever. A tenant that comes
/// back changed gets a new task. A panic of a task is passed on.
///
/// Dropping the future ends every task, wherever it is.
pub async fn each<F>(tenants: &Tenants, mut start: impl FnMut(Arc<Tenant>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut running: HashMap<TenantId, (Arc<Tenant>, AbortHandle)> = HashMap::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        tokio::select! {
            _ = look.tick() => {}
            Some(ended) = tasks.join_next() => if let Err(error) = ended {
                let error: tokio::task::JoinError = error;
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            },
        }
        if seen.as_ref().is_some_and(|seen| tenants.is_still(seen)) {
            continue;
        }
        let now = tenants.seen();
        running.retain(|id, (tenant, task)| {
            let stays = now.find(*id) == Some(tenant);
            if !stays {
                task.abort();
            }
            stays
        });
        for tenant in now.iter() {
            running
                .entry(tenant.id)
                .or_insert_with(|| (tenant.clone(), tasks.spawn(start(tenant.clone()))));
        }
        seen = Some(now);
    }
}

/// Who counts by tenant.
pub trait PerTenant: Send + Sync {
    /// Creates the series of a tenant at zero; those that are there stay as they are.
    fn admit(&self, tenant: &Tenant);

    /// Takes the series of a tenant away, but for those that the one in its place has.
    fn dismiss(&self, gone: &Tenant, stays: Option<&Tenant>);
}

/// Takes every series of a family away that is of the one tenant and not of the other, which has
/// the same name and may have other content types.
pub fn forget<T: MetricVecBuilder>(family: &MetricVec<T>, gone: &Tenant, stays: Option<&Tenant>) {
    let is_left = |labels: &HashMap<&str, &str>| {
        stays.is_some_and(|stays| match labels.get("content_type") {
            Some(kind) => stays.content_types.iter().any(|left| left.as_str() == *kind),
            None => true,
        })
    };
    for metrics in family.collect() {
        for metric in metrics.get_metric() {
            let labels: HashMap<&str, &str> =
                metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
            if labels.get("tenant") == Some(&&*gone.name) && !is_left(&labels) {
                // Somebody else may have taken it away meanwhile.
                family.remove(&labels).ok();
            }
        }
    }
}

/// How late a tenant that appeared is taken up, on top of what its appearing takes.
const LOOK: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use prometheus::{IntCounterVec, Opts, Registry, TextEncoder};

    use super::*;
    use crate::content::ContentType;

    fn tenant(serial: u32, name: &str) -> Arc<Tenant> {
        let id = format!("aaaaaaaa-0000-4000-8000-{serial:012}");
        Arc::new(Tenant {
            id: id.parse().unwrap(),
            client_id: id.parse().unwrap(),
            name: name.into(),
            content_types: vec![ContentType::General],
        })
    }

    /// Notes the beginning and the end of a task.
    struct Running(Arc<Mutex<Vec<String>>>, Arc<Tenant>);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.lock().unwrap().retain(|name| **name != *self.1.name);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_lasts_as_long_as_its_tenant() {
        let tenants = Tenants::default();
        tenants.replace([tenant(1, "a")]);
        let log = Arc::<Mutex<Vec<String>>>::default();
        let mut following = JoinSet::new();
        let (all, seen) = (tenants.clone(), log.clone());
        following.spawn(async move {
            each(&all, |tenant| {
                seen.lock().unwrap().push(tenant.name.to_string());
                let running = Running(seen.clone(), tenant);
                async move {
                    let _running = running;
                    std::future::pending().await
                }
            })
            .await;
        });
        let check = async |expected: &[&str]| {
            tokio::time::sleep(2 * LOOK).await;
            let mut running = log.lock().unwrap().clone();
            running.sort_unstable();
            assert_eq!(running, expected);
        };
        check(&["a"]).await;
        tenants.replace([tenant(1, "a"), tenant(2, "b")]);
        check(&["a", "b"]).await;
        // Another label is another tenant to whoever counts by it.
        tenants.replace([tenant(1, "c"), tenant(2, "b")]);
        check(&["b", "c"]).await;
        tenants.replace([]);
        check(&[]).await;
        following.shutdown().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_passed_on() {
        let tenants = Tenants::default();
        tenants.replace([tenant(1, "a")]);
        let mut following = JoinSet::new();
        following.spawn(async move {
            each(&tenants, |_| async { panic!("a broken invariant") }).await;
        });
        assert!(following.join_next().await.unwrap().unwrap_err().is_panic());
    }

    #[test]
    fn series_of_one_tenant_go_and_others_stay() {
        let registry = Registry::new();
        let options = Opts::new("m365_test_total", "A test.");
        let family = IntCounterVec::new(options, &["tenant", "content_type"]).unwrap();
        let whole = IntCounterVec::new(Opts::new("m365_whole_total", "A test."), &["tenant"]);
        let whole = whole.unwrap();
        registry.register(Box::new(family.clone())).unwrap();
        registry.register(Box::new(whole.clone())).unwrap();
        let (general, dlp) = (ContentType::General.as_str(), ContentType::Dlp.as_str());
        for (tenant, kind) in [("a", general), ("a", dlp), ("b", dlp), (dlp, "a")] {
            family.with_label_values(&[tenant, kind]).inc();
        }
        whole.with_label_values(&["a"]).inc();
        let left = |stays: Option<&Tenant>| {
            forget(&family, &tenant(1, "a"), stays);
            forget(&whole, &tenant(1, "a"), stays);
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            let of_a = text.lines().filter(|line| line.contains("tenant=\"a\"")).count();
            (of_a, text.lines().filter(|line| line.ends_with(" 1")).count())
        };
        assert_eq!(left(Some(&tenant(1, "a"))), (2, 4), "the type that it has no more");
        assert_eq!(left(None), (0, 2));
    }
}
