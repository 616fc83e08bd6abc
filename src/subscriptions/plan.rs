//! What to do about a tenant's subscriptions. Pure.
//!
//! A subscription is never stopped in order to change it: after a stop and a start the listing may
//! say "disabled" for hours while content stays away. A start changes address and auth id as well.

use std::{collections::HashMap, fmt, time::Duration};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    content::ContentType,
    microsoft::client::{ListedWebhook, State, Subscription},
};

/// One step for each wanted content type, in their order.
pub fn plan(
    wanted: &Wanted<'_>,
    listed: &[Subscription],
    now: Timestamp,
    starts: &Starts,
) -> Vec<Step> {
    let step = |content_type: ContentType| {
        let Some(why) = wanted.fault(find(listed, content_type), now) else {
            return Step::Keep { content_type };
        };
        match starts.until(content_type, now) {
            Some(until) => Step::Wait { content_type, why, until },
            None => Step::Start { content_type, why },
        }
    };
    wanted.content_types.iter().copied().map(step).collect()
}

/// What shall be.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The feeds.
    pub content_types: &'a [ContentType],
    /// The webhook of each; none: any, or none.
    pub webhook: Option<WantedWebhook>,
}

impl Wanted<'_> {
    /// Why a subscription needs a start, if it does.
    fn fault(&self, listed: Option<&Subscription>, now: Timestamp) -> Option<Why> {
        let Some(listed) = listed else {
            return Some(Why::Missing);
        };
        if !listed.state.is_on() {
            return Some(Why::Disabled);
        }
        let wanted = self.webhook.as_ref()?;
        match &listed.webhook {
            None => Some(Why::WebhookMissing),
            Some(webhook) => wanted.fault(webhook, now),
        }
    }
}

/// The webhook that shall be registered.
#[derive(Clone, Debug)]
pub struct WantedWebhook {
    /// Where Microsoft posts to.
    pub address: Url,
    /// What it sends back.
    pub auth_id: SecretString,
    /// How long a registration lives; none: for ever.
    pub expiry: Option<Duration>,
}

impl WantedWebhook {
    /// When a webhook registered now ends.
    pub fn expiration(&self, now: Timestamp) -> Option<Timestamp> {
        now.saturating_add(self.expiry?).ok()
    }

    /// Whether a listed address is ours; spellings of the same address are equal.
    pub fn is_at(&self, address: &str) -> bool {
        Url::parse(address).is_ok_and(|listed| listed == self.address)
    }

    fn fault(&self, listed: &ListedWebhook, now: Timestamp) -> Option<Why> {
        // What an answer leaves out cannot be compared, and a start would not make it appear.
        let other_address = listed.address.as_ref().is_some_and(|listed| !self.is_at(listed));
        let other_auth_id = listed.auth_id.as_ref().is_some_and(|listed| {
            let listed = listed.expose_secret();
            !is_masked(listed) && listed != self.auth_id.expose_secret()
        });
        let left = |expiration: Timestamp| Duration::try_from(expiration.duration_since(now)).ok();
        let left = listed.expiration.map(|expiration| left(expiration).unwrap_or_default());
        match (listed.state, left) {
            _ if other_address => Some(Why::OtherAddress),
            _ if other_auth_id => Some(Why::OtherAuthId),
            (State::Disabled, _) => Some(Why::WebhookDisabled),
            (State::Expired, _) | (_, Some(Duration::ZERO)) => Some(Why::WebhookExpired),
            (_, Some(left)) if left < self.renew_before() => Some(Why::WebhookExpiring),
            _ => None,
        }
    }

    /// Half of the life, so that several starts can fail before it ends; an expiration nobody wants
    /// any more is lifted in its last hour.
    fn renew_before(&self) -> Duration {
        self.expiry.map_or(RENEW_UNWANTED, |expiry| expiry / 2)
    }
}

/// The last start of each subscription of a tenant.
#[derive(Clone, Debug, Default)]
pub struct Starts(HashMap<ContentType, Started>);

#[derive(Clone, Copy, Debug)]
struct Started {
    at: Timestamp,
    allowed: Timestamp,
}

impl Starts {
    /// Until when a subscription must not be started, if it may not now. A start of the future was
    /// noted before the clock was set back, and says nothing.
    pub fn until(&self, content_type: ContentType, now: Timestamp) -> Option<Timestamp> {
        let last = self.0.get(&content_type)?;
        (last.at <= now && now < last.allowed).then_some(last.allowed)
    }

    /// Remembers a start made `at` a time in the place of the one before.
    pub fn started(&mut self, content_type: ContentType, at: Timestamp, allowed: Timestamp) {
        self.0.insert(content_type, Started { at, allowed });
    }

    /// As [`Self::started`], unless a later start is known.
    pub fn learnt(&mut self, content_type: ContentType, at: Timestamp, allowed: Timestamp) {
        if self.0.get(&content_type).is_none_or(|last| last.at < at) {
            self.started(content_type, at, allowed);
        }
    }
}

/// What to do about one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as wanted.
    Keep {
        /// The feed.
        content_type: ContentType,
    },
    /// Start it.
    Start {
        /// The feed.
        content_type: ContentType,
        /// What is not as wanted.
        why: Why,
    },
    /// Start it, but not before a time.
    Wait {
        /// The feed.
        content_type: ContentType,
        /// What is not as wanted.
        why: Why,
        /// When it may be started.
        until: Timestamp,
    },
}

impl Step {
    /// The feed it is about.
    pub const fn content_type(self) -> ContentType {
        match self {
            Self::Keep { content_type }
            | Self::Start { content_type, .. }
            | Self::Wait { content_type, .. } => content_type,
        }
    }

    /// What is not as wanted, if anything.
    pub const fn why(self) -> Option<Why> {
        match self {
            Self::Keep { .. } => None,
            Self::Start { why, .. } | Self::Wait { why, .. } => Some(why),
        }
    }
}

/// What about a subscription is not as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is listed as disabled.
    Disabled,
    /// It is not listed.
    Missing,
    /// Its webhook is at another address.
    OtherAddress,
    /// Its webhook sends another auth id.
    OtherAuthId,
    /// Its webhook was disabled, mostly because it did not answer.
    WebhookDisabled,
    /// Its webhook is past its expiration.
    WebhookExpired,
    /// Its webhook ends soon.
    WebhookExpiring,
    /// It has no webhook, or one that was never validated.
    WebhookMissing,
}

impl Why {
    /// The word in logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Missing => "missing",
            Self::OtherAddress => "other_address",
            Self::OtherAuthId => "other_auth_id",
            Self::WebhookDisabled => "webhook_disabled",
            Self::WebhookExpired => "webhook_expired",
            Self::WebhookExpiring => "webhook_expiring",
            Self::WebhookMissing => "webhook_missing",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The listed subscription of a content type.
pub(super) fn find(listed: &[Subscription], content_type: ContentType) -> Option<&Subscription> {
    listed.iter().find(|subscription| subscription.content_type == content_type)
}

/// Whether a listed secret is blanked out instead of told.
fn is_masked(text: &str) -> bool {
    text.contains("***") || text.chars().all(|c| matches!(c, '*' | '•' | 'x' | 'X'))
}

const RENEW_UNWANTED: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
