//! Subscriptions as Microsoft lists them, and the webhook as we ask for it. Pure.

use std::fmt;

use jiff::{Timestamp, Unit};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::fields::{Fields, entries};
use crate::content::ContentType;

/// A subscription as listed.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The feed.
    pub content_type: ContentType,
    /// Whether it is on.
    pub state: State,
    /// Its webhook, if one is registered and was validated.
    pub webhook: Option<ListedWebhook>,
}

/// A webhook as listed. Any field may be missing.
#[derive(Clone, Debug)]
pub struct ListedWebhook {
    /// Whether it is on.
    pub state: State,
    /// Where Microsoft posts to.
    pub address: Option<String>,
    /// What it sends as `Webhook-AuthID`.
    pub auth_id: Option<SecretString>,
    /// When it ends by itself.
    pub expiration: Option<Timestamp>,
}

/// Whether a subscription or a webhook is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Switched off, by us or after too many failures.
    Disabled,
    /// On.
    Enabled,
    /// Past its expiration.
    Expired,
    /// Not said, or a word we do not know. Listed without a word means on in all captures.
    Unsaid,
}

impl State {
    /// Whether it is believed to work.
    pub const fn is_on(self) -> bool {
        matches!(self, Self::Enabled | Self::Unsaid)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Expired => "expired",
            Self::Unsaid => "unsaid",
        }
    }

    fn read(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default();
        [Self::Disabled, Self::Enabled, Self::Expired]
            .into_iter()
            .find(|state| state.as_str().eq_ignore_ascii_case(text))
            .unwrap_or(Self::Unsaid)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a start that Microsoft granted changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// Nothing: the subscription already was as asked for (AF20024).
    Already,
    /// The subscription is now as asked for.
    Now,
}

/// The webhook to register with a start.
#[derive(Clone, Debug)]
pub struct WebhookSpec {
    /// Where Microsoft shall post to; must be https.
    pub address: String,
    /// What it shall send as `Webhook-AuthID`.
    pub auth_id: SecretString,
    /// When the webhook shall end by itself.
    pub expiration: Option<Timestamp>,
}

impl WebhookSpec {
    pub(super) fn to_json(&self) -> Vec<u8> {
        let body = StartBody {
            webhook: WebhookBody {
                address: &self.address,
                auth_id: self.auth_id.expose_secret(),
                expiration: self
                    .expiration
                    .map(|time| time.round(Unit::Second).unwrap_or(time).to_string()),
            },
        };
        serde_json::to_vec(&body).expect("strings and a time are always representable")
    }
}

/// Reads the answer of `subscriptions/list`. Types we do not know are left out.
pub(super) fn read(body: &[u8]) -> Option<Vec<Subscription>> {
    let subscription = |fields: Fields<'_>| {
        Some(Subscription {
            content_type: fields.text("contenttype")?.parse().ok()?,
            state: State::read(fields.text("status").as_deref()),
            webhook: fields.object("webhook").map(|webhook| ListedWebhook {
                state: State::read(webhook.text("status").as_deref()),
                address: webhook.text("address"),
                auth_id: webhook.text("authid").map(SecretString::from),
                expiration: webhook.time("expiration"),
            }),
        })
    };
    let entries = entries(body)?.into_iter();
    Some(entries.filter_map(Fields::read).filter_map(subscription).collect())
}

#[derive(Serialize)]
struct StartBody<'a> {
    webhook: WebhookBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebhookBody<'a> {
    address: &'a str,
    auth_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_subscriptions_survive_what_captures_show() {
        let listed = read(
            br#"[{"contentType":"audit.sharepoint","status":"ENABLED","webhook":{
                    "status":"Expired","address":"https://x.example/w","authId":"secret","expiration":""}},
                {"contentType":"Audit.Exchange","webhook":null},
                {"contentType":"Audit.Unheard","status":"enabled"},
                {"contentType":"DLP.All","status":"disabled","webhook":{"expiration":"2026-01-01T00:00:00"}}]"#,
        )
        .unwrap();
        assert_eq!(listed.len(), 3);
        let webhook = listed[0].webhook.as_ref().unwrap();
        assert_eq!((listed[0].state, webhook.state), (State::Enabled, State::Expired));
        assert_eq!(webhook.address.as_deref(), Some("https://x.example/w"));
        assert_eq!(webhook.expiration, None);
        assert!(!format!("{webhook:?}").contains("secret"), "I9");
        assert_eq!(listed[1].state, State::Unsaid);
        assert!(listed[1].webhook.is_none());
        let webhook = listed[2].webhook.as_ref().unwrap();
        assert_eq!(webhook.state, State::Unsaid);
        assert!(webhook.auth_id.is_none() && webhook.expiration.is_some());
    }

    #[test]
    fn a_start_asks_for_exactly_the_webhook() {
        let mut spec = WebhookSpec {
            address: "https://x.example/w".into(),
            auth_id: "auth".into(),
            expiration: None,
        };
        let json = |spec: &WebhookSpec| String::from_utf8(spec.to_json()).unwrap();
        assert_eq!(json(&spec), r#"{"webhook":{"address":"https://x.example/w","authId":"auth"}}"#);
        spec.expiration = Some("2026-01-02T03:04:05.2Z".parse().unwrap());
        assert!(json(&spec).ends_with(r#""authId":"auth","expiration":"2026-01-02T03:04:05Z"}}"#));
    }
}
