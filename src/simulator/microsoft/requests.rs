//! What was asked of Microsoft, and when: a bounded log and counters that never forget.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::faults::Operation;
use crate::content::TenantId;

/// One request that reached Microsoft's side.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it arrived.
    pub at: Instant,
    /// The tenant in its path; `None` for `common` and what is no tenant.
    pub tenant: Option<TenantId>,
    /// What was asked; a blob is named by the id as it was spelled.
    pub operation: Operation,
    /// Its `PublisherIdentifier`, if it carried one.
    pub publisher: Option<String>,
    /// The trace it was made within, as `traceparent` says it.
    pub trace: Option<String>,
    /// The status it was answered with; `None` while pending or when it was left without one.
    pub status: Option<u16>,
    /// When it was answered; its body may be under way for longer.
    pub answered: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    recent: VecDeque<Request>,
    /// Requests that were dropped from the front of `recent`.
    forgotten: u64,
    counts: HashMap<(Option<TenantId>, Operation), u64>,
    without_publisher: u64,
}

impl Requests {
    /// Notes a request and gives the number under which its status is noted later.
    pub(super) fn arrived(&mut self, request: Request) -> u64 {
        let key = (request.tenant, request.operation.kind());
        *self.counts.entry(key).or_default() += 1;
        if request.publisher.is_none() && request.operation.is_paced() {
            self.without_publisher += 1;
        }
        if self.recent.len() == KEPT {
            self.recent.pop_front();
            self.forgotten += 1;
        }
        self.recent.push_back(request);
        self.forgotten + self.recent.len() as u64 - 1
    }

    pub(super) fn answered(&mut self, number: u64, status: u16, at: Instant) {
        let index = number.checked_sub(self.forgotten).map(usize::try_from);
        if let Some(Ok(index)) = index
            && let Some(request) = self.recent.get_mut(index)
        {
            request.status = Some(status);
            request.answered = Some(at);
        }
    }

    pub(super) fn recent(&self) -> Vec<Request> {
        self.recent.iter().cloned().collect()
    }

    pub(super) fn count(&self, tenant: Option<TenantId>, operation: &Operation) -> u64 {
        if let Operation::BlobOf(_) = operation {
            let met = self.recent.iter().filter(|request| {
                operation.covers(&request.operation)
                    && (tenant.is_none() || request.tenant == tenant)
            });
            return met.count() as u64;
        }
        self.counts
            .iter()
            .filter(|((whose, what), _)| {
                what == operation && (tenant.is_none() || *whose == tenant)
            })
            .map(|(_, count)| count)
            .sum()
    }

    pub(super) fn without_publisher(&self) -> u64 {
        self.without_publisher
    }

    /// The tenant's requests of the last minute, tokens left out.
    pub(super) fn last_minute(&self, tenant: TenantId, now: Instant) -> usize {
        self.recent
            .iter()
            .rev()
            .take_while(|request| now.duration_since(request.at) < MINUTE)
            .filter(|request| is_paced(request, tenant))
            .count()
    }

    /// The most requests of the tenant within any stretch of this length, tokens left out.
    pub(super) fn most_within(&self, tenant: TenantId, stretch: Duration) -> usize {
        let mut window = VecDeque::new();
        let mut most = 0;
        for request in self.recent.iter().filter(|r| is_paced(r, tenant)) {
            window.push_back(request.at);
            while window.front().is_some_and(|first| request.at.duration_since(*first) >= stretch) {
                window.pop_front();
            }
            most = most.max(window.len());
        }
        most
    }
}

fn is_paced(request: &Request, tenant: TenantId) -> bool {
    request.tenant == Some(tenant) && request.operation.is_paced()
}

/// Enough for a test of several minutes at full rate; a long demonstration keeps only the end.
const KEPT: usize = 100_000;

const MINUTE: Duration = Duration::from_secs(60);
