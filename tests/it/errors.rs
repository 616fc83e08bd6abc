//! Every row of the table of odd answers, on the way of a content: what becomes of it, which
//! number moves, and that nobody else is hindered.

use m365_collector::{
    content::{ContentId, ContentType},
    ledger::Pending,
    simulator::{Blob, Fault, Operation, microsoft::Publication},
};

use crate::support::{Service, eventually, metrics::labelled, records};

mod elsewhere;
mod final_answers;
mod people;
mod throttled;
mod tokens;
mod transient;

const TYPE: ContentType = ContentType::Exchange;

impl Service {
    /// Publishes content whose first fetches meet a fault; its records are expected.
    fn publish_faulty(&mut self, tenant: usize, seed: u64, fault: Fault, times: u32) -> ContentId {
        let records = records(seed, self.tenant(tenant), TYPE, 3);
        self.expect(&records);
        let fault = Some((fault, times));
        let publication = Publication { fault, ..Publication::of(Blob::array(&records)) };
        self.simulator.microsoft().publish_as(self.tenant(tenant), TYPE, publication)
    }

    /// Publishes content that never arrives.
    fn publish_lost(&self, tenant: usize, seed: u64, fault: Fault) -> ContentId {
        let records = records(seed, self.tenant(tenant), TYPE, 3);
        let fault = Some((fault, u32::MAX));
        let publication = Publication { fault, ..Publication::of(Blob::array(&records)) };
        self.simulator.microsoft().publish_as(self.tenant(tenant), TYPE, publication)
    }

    /// How often a content was asked for.
    fn fetches(&self, id: &ContentId) -> u64 {
        self.simulator.microsoft().count(None, &Operation::BlobOf(id.clone()))
    }

    /// Content of the usual type that left the ledger's work.
    async fn settled_as(&self, tenant: usize, outcome: &str) -> f64 {
        let tenant = format!("tenant-{tenant}");
        let labels = [("tenant", &*tenant), ("content_type", TYPE.as_str()), ("outcome", outcome)];
        self.metric(&labelled("m365_content_settled_total", &labels)).await
    }

    async fn throttled(&self, tenant: usize) -> f64 {
        let tenant = format!("tenant-{tenant}");
        self.metric(&labelled("m365_throttled_total", &[("tenant", &*tenant)])).await
    }

    /// Waits until an undelivered content is in a state.
    async fn waits_as(&self, id: &ContentId, what: &str, is: impl Fn(&Pending) -> bool) -> Pending {
        let mut found = None;
        eventually(what, async || {
            let pending = self.pending().await;
            found = pending.into_iter().find(|one| one.announcement.id == *id && is(one));
            found.is_some()
        })
        .await;
        found.expect("it was found a moment ago")
    }

    /// Ends the test, having checked what holds whatever was answered: every request named its
    /// publisher.
    async fn finish_published(self) {
        assert_eq!(self.simulator.microsoft().without_publisher(), 0);
        self.finish().await;
    }
}
