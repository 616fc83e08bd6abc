//! Starting, stopping and listing subscriptions.
//!
//! A start is answered only after the webhook proved itself, so the start call and the validation
//! are under way at the same time.

use hyper::{Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    answers,
    listing::utc,
    management::{Call, no_subscription},
    notifier,
    subscriptions::{Start, Subscription, Webhook, WebhookState},
};
use crate::{
    content::TenantId,
    simulator::{Feed, locked, server::Body},
};

impl Call<'_> {
    pub(super) async fn start(&self, feed: Feed, body: &[u8]) -> Response<Body> {
        let world = self.world;
        let now = world.clock.now();
        let wanted = match wanted(body, now) {
            Ok(wanted) => wanted,
            Err(refused) => return *refused,
        };
        let interval = world.start_interval;
        let start = locked(&world.subscriptions).start(feed, wanted.as_ref(), now, interval);
        match start {
            Start::Unchanged => {
                return answers::af(
                    20_024,
                    "The subscription is already enabled. No property change.",
                );
            }
            Start::TooSoon(left) => {
                let seconds = left.as_secs() + 1;
                return answers::start_limited(&format!("{}m {}s", seconds / 60, seconds % 60));
            }
            Start::Pending => {}
        }
        if let Some(webhook) = wanted {
            let auth_id = webhook.auth_id.as_deref();
            if let Err(why) = notifier::validate(world, &webhook.address, auth_id).await {
                let message = format!(
                    "The webhook endpoint {} could not be validated. {why}",
                    webhook.address
                );
                return answers::af(20_021, &message);
            }
            locked(&world.subscriptions).validated(feed, webhook);
        }
        let subscriptions = locked(&world.subscriptions);
        let subscription = subscriptions.find(feed).cloned().unwrap_or_default();
        let listed = Listed::of(feed, &subscription, ListSpelling::default(), now);
        answers::json(StatusCode::OK, &listed)
    }

    pub(super) fn stop(&self, feed: Feed) -> Response<Body> {
        let mut subscriptions = locked(&self.world.subscriptions);
        if subscriptions.find(feed).is_none() {
            return no_subscription();
        }
        let subscription = subscriptions.entry(feed);
        subscription.enabled = false;
        subscription.webhook = None;
        answers::empty(200)
    }

    pub(super) fn list(&self, tenant: TenantId) -> Response<Body> {
        let now = self.world.clock.now();
        let spelling = *locked(&self.world.spelling);
        let subscriptions = locked(&self.world.subscriptions);
        let listed: Vec<Listed> = subscriptions
            .iter()
            .filter(|(feed, _)| feed.tenant == tenant)
            .map(|(feed, subscription)| Listed::of(*feed, subscription, spelling, now))
            .collect();
        answers::json(StatusCode::OK, &listed)
    }
}

/// The webhook a start asks for, or the refusal.
fn wanted(body: &[u8], now: Timestamp) -> Result<Option<Webhook>, Box<Response<Body>>> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let Ok(body) = serde_json::from_slice::<StartBody>(body) else {
        return Err(Box::new(answers::af(20_001, "Missing parameter: webhook.address.")));
    };
    let Some(webhook) = body.webhook else {
        return Ok(None);
    };
    let address = url::Url::parse(&webhook.address).ok();
    if address.is_none_or(|address| address.scheme() != "https") {
        let message = "Invalid parameter type: webhook.address. Expected type: https URI.";
        return Err(Box::new(answers::af(20_002, message)));
    }
    let expiration = webhook.expiration.filter(|text| !text.is_empty());
    let expires = expiration.as_deref().map(utc);
    match expires {
        Some(None) => Err(Box::new(answers::af(
            20_002,
            "Invalid parameter type: webhook.expiration. Expected type: DateTime.",
        ))),
        Some(Some(expires)) if expires <= now => {
            let text = expiration.unwrap_or_default();
            let message = format!("Expiration {text} provided is set to past date and time.");
            Err(Box::new(answers::af(20_003, &message)))
        }
        _ => Ok(Some(Webhook {
            address: webhook.address,
            auth_id: webhook.auth_id.filter(|id| !id.is_empty()),
            // Kept with a zone, so that it can be compared with the clock.
            expiration: expires.flatten().map(answers::time),
            state: WebhookState::Enabled,
        })),
    }
}

/// Oddities in the list of subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSpelling {
    /// No `status` beside the content type.
    pub without_status: bool,
    /// An absent expiration is `""` instead of null.
    pub empty_expiration: bool,
    /// Content types and states in capitals.
    pub capitals: bool,
}

#[derive(Deserialize)]
struct StartBody {
    webhook: Option<WantedWebhook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WantedWebhook {
    address: String,
    auth_id: Option<String>,
    expiration: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    webhook: Option<ListedWebhook>,
}

impl Listed {
    fn of(feed: Feed, subscription: &Subscription, spelling: ListSpelling, now: Timestamp) -> Self {
        let spell = |text: &str| {
            if spelling.capitals { text.to_uppercase() } else { text.to_owned() }
        };
        let status =
            if subscription.enabled { WebhookState::Enabled } else { WebhookState::Disabled };
        let webhook = subscription.webhook.as_ref().map(|webhook| ListedWebhook {
            auth_id: webhook.auth_id.clone(),
            address: webhook.address.clone(),
            expiration: match &webhook.expiration {
                None if spelling.empty_expiration => Some(String::new()),
                expiration => expiration.clone(),
            },
            status: spell(webhook.state(now).as_str()),
        });
        Self {
            content_type: spell(feed.content_type.as_str()),
            status: (!spelling.without_status).then(|| spell(status.as_str())),
            webhook,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedWebhook {
    auth_id: Option<String>,
    address: String,
    expiration: Option<String>,
    status: String,
}
