//! Keeping Microsoft calling: what is wrong with a subscription is found by the next check and
//! mended by the next start the 15-minute rule allows.
//!
//! The world and the service share one clock, which tests move; checks come in real time, about
//! one a second.

use std::time::Duration;

use m365_collector::{
    content::ContentType,
    simulator::{Operation, microsoft::Subscription},
};

use crate::support::{Service, eventually, metrics::labelled};

mod refused;
mod repaired;
mod tenants;

const MINUTE: Duration = Duration::from_secs(60);

impl Service {
    /// Start calls of a tenant so far.
    fn starts(&self, tenant: usize) -> u64 {
        self.simulator.microsoft().count(Some(self.tenant(tenant)), &Operation::Start)
    }

    /// Waits until a check that began after this call has decided and done what it wanted.
    async fn checked(&self, tenant: usize) {
        let microsoft = self.simulator.microsoft();
        let lists = || microsoft.count(Some(self.tenant(tenant)), &Operation::List);
        // The first may be from before, the third comes when the second's starts are done.
        let wanted = lists() + 3;
        eventually("subscriptions are looked at", async || lists() >= wanted).await;
    }

    fn change(&self, tenant: usize, feed: ContentType, change: impl FnOnce(&mut Subscription)) {
        self.simulator.microsoft().change_subscription(self.tenant(tenant), feed, change);
    }

    fn subscription(&self, tenant: usize, feed: ContentType) -> Subscription {
        let found = self.simulator.microsoft().subscription(self.tenant(tenant), feed);
        found.expect("it was started")
    }

    /// Whether Microsoft calls our address with our auth id.
    fn is_as_wanted(&self, tenant: usize, feed: ContentType) -> bool {
        let subscription = self.subscription(tenant, feed);
        let notifies = subscription.notifies(self.clock.now());
        subscription.webhook.is_some_and(|webhook| {
            let ours = webhook.address == "https://m365-collector.example.com/webhook";
            notifies && ours && webhook.auth_id == Some(self.auth_id())
        })
    }

    /// The gauges of the subscription and of its webhook.
    async fn gauges(&self, tenant: usize, feed: ContentType) -> (f64, f64) {
        let name = format!("tenant-{tenant}");
        let labels = [("tenant", &*name), ("content_type", feed.as_str())];
        let subscription = self.metric(&labelled("m365_subscription_enabled", &labels)).await;
        (subscription, self.metric(&labelled("m365_webhook_enabled", &labels)).await)
    }

    /// The answers to all start calls, in their order of arrival.
    fn start_answers(&self) -> Vec<Option<u16>> {
        let requests = self.simulator.microsoft().requests();
        let starts = requests.iter().filter(|request| request.operation == Operation::Start);
        starts.map(|request| request.status).collect()
    }
}
