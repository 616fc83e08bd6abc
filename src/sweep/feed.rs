//! One feed of a tenant between its sweeps: what is complete, and what is the matter.

use std::time::Duration;

use tokio::time::Instant;

use super::{ListError, window::Completed};
use crate::{
    backoff::{Backoff, jitter},
    content::{ContentType, Tenant},
    ledger::Fence,
};

/// One feed of a tenant.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) content_type: ContentType,
    pub(super) completed: Completed,
    /// Until the first sweep of this process is complete.
    pub(super) at_start: bool,
    /// Sweeps that failed in a row.
    failures: u32,
    /// After a failure; other feeds of the tenant go on meanwhile.
    not_before: Option<Instant>,
    /// What was said to be the matter.
    trouble: Option<&'static str>,
    /// What notes about it are proven with.
    pub(super) duty: Option<Fence>,
}

impl Feed {
    pub(super) const fn new(content_type: ContentType, completed: Completed) -> Self {
        Self {
            content_type,
            completed,
            at_start: true,
            failures: 0,
            not_before: None,
            trouble: None,
            duty: None,
        }
    }

    /// How long the feed is left alone after a failure, if it still is.
    pub(super) fn held_back(&self) -> Option<Duration> {
        let left = self.not_before?.checked_duration_since(Instant::now())?;
        (!left.is_zero()).then_some(left)
    }

    /// Everything that was due is complete.
    pub(super) fn succeeded(&mut self, tenant: &Tenant) {
        self.at_start = false;
        self.failures = 0;
        self.not_before = None;
        if self.trouble.take().is_some() {
            tracing::info!(
                tenant = &*tenant.name,
                content.r#type = self.content_type.as_str(),
                "the listing can be read whole again"
            );
        }
    }

    /// Holds the feed back and says for how long; says what is the matter once, as long as it stays
    /// the same.
    pub(super) fn failed(
        &mut self,
        tenant: &Tenant,
        error: &ListError,
        backoff: Backoff,
    ) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let pause = backoff.delay(self.failures, jitter());
        self.not_before = Some(Instant::now() + pause);
        let kind = error.kind();
        // Subscriptions are being started at the time of the first sweep.
        let expected = error.is_not_subscribed() && self.failures == 1;
        if !expected && self.trouble.replace(kind) != Some(kind) {
            tracing::warn!(
                tenant = &*tenant.name,
                content.r#type = self.content_type.as_str(),
                reason = kind,
                error = error as &dyn std::error::Error,
                "the listing cannot be read whole, trying again and again"
            );
        }
        pause
    }
}

/// The delays after failures: not rarer than sweeps are, and short at first.
pub(super) fn after_failure(interval: Duration) -> Backoff {
    let longest = interval.min(LONGEST);
    Backoff::try_new(longest.min(SHORTEST), longest).expect("an interval is above zero")
}

/// A subscription that is being started is there in a moment.
const SHORTEST: Duration = Duration::from_secs(1);

/// A long interval should not make a passing failure last.
const LONGEST: Duration = Duration::from_secs(10 * 60);
