//! The subscriptions of the tenants and their webhooks, as Microsoft lists them.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::simulator::Feed;

/// One subscription. Its fields are open so that a test can put it into any state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whether content can be listed and fetched; false after a stop.
    pub enabled: bool,
    /// The webhook; `None` without one and while its validation is pending or failed.
    pub webhook: Option<Webhook>,
    /// When it was last started, for the rule of the least time between two starts.
    pub started: Option<Timestamp>,
}

impl Subscription {
    /// Whether a notification would be sent at this time.
    pub fn notifies(&self, now: Timestamp) -> bool {
        let webhook = self.webhook.as_ref();
        self.enabled && webhook.is_some_and(|webhook| webhook.state(now) == WebhookState::Enabled)
    }

    /// Puts the webhook into this state, as Microsoft does after too many failures.
    pub fn set_webhook_state(&mut self, state: WebhookState) {
        if let Some(webhook) = &mut self.webhook {
            webhook.state = state;
        }
    }
}

impl Default for Subscription {
    fn default() -> Self {
        Self { enabled: true, webhook: None, started: None }
    }
}

/// Where notifications of a subscription go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// As registered.
    pub address: String,
    /// Sent back as `Webhook-AuthID`.
    pub auth_id: Option<String>,
    /// As registered; text, because the real one repeats whatever it was given.
    pub expiration: Option<String>,
    /// The state but for expiration, which time decides.
    pub state: WebhookState,
}

impl Webhook {
    /// The state at this time.
    pub fn state(&self, now: Timestamp) -> WebhookState {
        let expires = self.expiration.as_ref().and_then(|text| text.parse().ok());
        match expires {
            Some(expires) if now >= expires => WebhookState::Expired,
            _ => self.state,
        }
    }
}

/// The state of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookState {
    /// Too many notifications failed.
    Disabled,
    /// Called.
    Enabled,
    /// Past its expiration.
    Expired,
}

impl WebhookState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Expired => "expired",
        }
    }
}

/// How a start is taken before the webhook is asked.
pub(super) enum Start {
    /// It asks for what already is.
    Unchanged,
    /// Too soon after the last one; this long remains.
    TooSoon(SignedDuration),
    /// Accepted; the webhook, if any, must prove itself.
    Pending,
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeMap<Feed, Subscription>);

impl Subscriptions {
    pub(super) fn find(&self, feed: Feed) -> Option<&Subscription> {
        self.0.get(&feed)
    }

    /// The subscription, made enabled and without a webhook if it is not there.
    pub(super) fn entry(&mut self, feed: Feed) -> &mut Subscription {
        self.0.entry(feed).or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Feed, &Subscription)> {
        self.0.iter()
    }

    /// Takes a start. When it is pending, the subscription is enabled without a webhook until
    /// [`Subscriptions::validated`].
    pub(super) fn start(
        &mut self,
        feed: Feed,
        wanted: Option<&Webhook>,
        now: Timestamp,
        interval: Duration,
    ) -> Start {
        if let Some(subscription) = self.0.get(&feed) {
            let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
            let elapsed = subscription.started.map(|last| now.duration_since(last));
            if let Some(elapsed) = elapsed.filter(|elapsed| *elapsed < interval) {
                return Start::TooSoon(interval - elapsed);
            }
            let healthy = subscription.webhook.is_none() || subscription.notifies(now);
            if subscription.enabled && healthy && subscription.webhook.as_ref() == wanted {
                return Start::Unchanged;
            }
        }
        let subscription = self.entry(feed);
        *subscription = Subscription { started: Some(now), ..Subscription::default() };
        Start::Pending
    }

    /// Puts a webhook in place that proved itself.
    pub(super) fn validated(&mut self, feed: Feed, webhook: Webhook) {
        self.entry(feed).webhook = Some(webhook);
    }
}
