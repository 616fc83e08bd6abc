//! Reading what is due, window by window, into the ledger.
//!
//! One window that cannot be read keeps no other from being read: content that only the listing
//! tells of must not wait for a day that Microsoft cannot list. What it keeps from being complete
//! is every depth that reaches behind it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Believed, ListError, Outcome, Sweep, feed::Feed, window};
use crate::{
    content::{Announcement, ContentType, Tenant, Via},
    ledger::{LedgerError, Recorded, SweepDepth, Swept},
    microsoft::{answer::Action, client::Window},
};

impl Sweep {
    /// Reads window by window, the newest first. One that cannot be read keeps no other from being
    /// read, but no depth beyond it is complete; the first failure is told in the end.
    pub(super) async fn windows(
        &self,
        tenant: &Tenant,
        feed: &mut Feed,
        back: Duration,
        believed: Believed,
    ) -> Result<(), ListError> {
        let inner = &*self.0;
        let now = inner.lister.now(believed.skew);
        let mut covered = 0;
        let mut until = None;
        let mut failure = None;
        let mut failed = 0;
        for window in window::windows(now, back, inner.settle) {
            let outcome = self.window(tenant, feed.content_type, window, believed).await;
            let counted = match &outcome {
                Ok(()) => Some(Outcome::Complete),
                // Listed again at once with the right time.
                Err(ListError::Clock) if believed.strict => None,
                Err(error) if error.is_refusal() => Some(Outcome::Refused),
                Err(_) => Some(Outcome::Failed),
            };
            if let Some(counted) = counted {
                inner.metrics.window(&tenant.name, counted);
            }
            match outcome {
                Err(error) if error.is_of_one_window() => {
                    // A page far into a long window must not hide the last hours for ever.
                    if until.is_none() && failure.is_none() && window::is_wide(window) {
                        self.last_hours(tenant, feed, now, believed).await;
                    }
                    // Where Microsoft is in trouble each window takes its time.
                    failed += u32::from(error.is_passing());
                    if failed >= MOST_FAILED {
                        return Err(error);
                    }
                    failure.get_or_insert(error);
                    continue;
                }
                outcome => outcome?,
            }
            if failure.is_some() {
                continue;
            }
            let until = *until.get_or_insert(window.end);
            let depths: Vec<_> = window::covered(now, window.start).collect();
            if depths.len() > covered {
                covered = depths.len();
                self.complete(tenant, feed, &depths, until).await?;
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sweeps the last hours by themselves. That they cannot be read either is known already.
    async fn last_hours(
        &self,
        tenant: &Tenant,
        feed: &mut Feed,
        now: Timestamp,
        believed: Believed,
    ) {
        let inner = &*self.0;
        let back = window::lookback(SweepDepth::Recent);
        for window in window::windows(now, back, inner.settle) {
            if self.window(tenant, feed.content_type, window, believed).await.is_ok() {
                inner.metrics.window(&tenant.name, Outcome::Complete);
                // If the ledger cannot be written to, the next look finds out.
                self.complete(tenant, feed, &[SweepDepth::Recent], window.end).await.ok();
            }
        }
    }

    /// Notes that everything of these depths up to a moment is in the ledger.
    async fn complete(
        &self,
        tenant: &Tenant,
        feed: &mut Feed,
        depths: &[SweepDepth],
        until: Timestamp,
    ) -> Result<(), LedgerError> {
        let inner = &*self.0;
        let at = inner.clock.now();
        let swept = |&depth| Swept { content_type: feed.content_type, depth, until, at };
        let swept: Vec<_> = depths.iter().map(swept).collect();
        inner.ledger.swept_under(feed.duty, tenant.id, swept.clone()).await?;
        swept.iter().for_each(|swept| feed.completed.note(swept));
        inner.metrics.complete(&tenant.name, feed.content_type, at);
        Ok(())
    }

    /// Announces everything in one window.
    async fn window(
        &self,
        tenant: &Tenant,
        content_type: ContentType,
        window: Window,
        believed: Believed,
    ) -> Result<(), ListError> {
        let lister = &self.0.lister;
        let mut pages = lister.pages(tenant.id, content_type, window);
        loop {
            match pages.next().await {
                Ok(Some(listed)) => self.announce(tenant, content_type, listed).await?,
                Ok(None) => break,
                Err(ListError::Api(error))
                    if error.action() == Some(Action::WindowRefused)
                        && believed.differs(lister.skew()) =>
                {
                    return Err(ListError::Clock);
                }
                Err(error) => return Err(error),
            }
        }
        if pages.malformed() > 0 {
            tracing::warn!(
                tenant = &*tenant.name,
                content.r#type = content_type.as_str(),
                entries = pages.malformed(),
                "Microsoft lists entries without a usable id, which cannot be fetched"
            );
        }
        if believed.is_wrong(lister.skew()) {
            return Err(ListError::Clock);
        }
        Ok(())
    }

    async fn announce(
        &self,
        tenant: &Tenant,
        content_type: ContentType,
        listed: Vec<Announcement>,
    ) -> Result<(), LedgerError> {
        let inner = &*self.0;
        let recorded = inner.ledger.announce(Via::Sweep, listed, inner.clock.now()).await?;
        let new = recorded.iter().filter(|recorded| **recorded == Recorded::New).count();
        let new = u64::try_from(new).unwrap_or(u64::MAX);
        inner.announced.count(&tenant.name, content_type, Via::Sweep, new);
        Ok(())
    }
}

/// Windows of a sweep that fail in passing before the rest is left to the next one.
const MOST_FAILED: u32 = 3;
