//! The pauses that Microsoft asks one replica for, and all make.

use std::{collections::HashMap, time::Duration};

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::debug;

use super::Parts;
use crate::{content::TenantId, moment::after};

/// The pauses that are known to everybody, as far as this process told or heard of them.
#[derive(Debug, Default)]
pub(super) struct Pauses(HashMap<TenantId, Instant>);

impl Pauses {
    /// Tells others of the pauses of this process, and makes those that others tell of.
    pub(super) async fn exchange(&mut self, parts: &Parts) {
        let Parts { ledger, pacing, clock, tenants, .. } = parts;
        let (now, wall) = (Instant::now(), clock.now());
        self.0.retain(|_, until| *until > now);
        let mut news = pacing.pauses();
        news.retain(|(tenant, until)| self.is_news(*tenant, *until));
        let rows = news.iter().map(|(tenant, until)| (*tenant, after(wall, *until - now)));
        match ledger.pause(rows.collect(), wall).await {
            Ok(()) => self.0.extend(news),
            Err(error) => debug!(error = %error, "others are not told of a pause"),
        }
        let Ok(pauses) = ledger.pauses(wall).await else { return };
        for (tenant, until) in pauses {
            let left = until.duration_since(wall).clamp(SignedDuration::ZERO, LONGEST);
            let until = now + Duration::try_from(left).unwrap_or_default();
            if self.is_news(tenant, until) && tenants.find(tenant).is_some() {
                pacing.follow(tenant, until);
                self.0.insert(tenant, until);
            }
        }
    }

    fn is_news(&self, tenant: TenantId, until: Instant) -> bool {
        self.0.get(&tenant).is_none_or(|told| until > *told + SAME)
    }
}

/// Two pauses that end within this are one: clocks are read at different moments.
const SAME: Duration = Duration::from_millis(500);

/// The most that another replica's clock may make of a pause; Microsoft asks for seconds.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
