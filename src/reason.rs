//! The closed set of reasons why something failed or was given up on.
//!
//! One spelling serves as metric label, log field and database value, so that an operator can go
//! from an alert to the ledger without translating. There is no free text beside it.

use std::{fmt, str::FromStr};

use crate::content::Unknown;

/// The part of the way on which something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// An entry of a notification.
    Notification,
    /// Getting a blob from Microsoft.
    Fetch,
    /// Cutting a blob into records.
    Split,
    /// Getting records to Devo.
    Deliver,
}

impl Stage {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Fetch => "fetch",
            Self::Split => "split",
            Self::Deliver => "deliver",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = ($stage:ident, $text:literal),)+) => {
        /// Why an attempt failed or a message was given up on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, for zero-initialised series.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The metric label, log field and database value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The only stage this reason can occur in.
            pub const fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage,)+ }
            }
        }
    };
}

reasons! {
    /// The notification names a content uri outside our management root or of another tenant.
    ForeignUri = (Notification, "foreign_uri"),
    /// The entry is not an object with the fields of a notification.
    MalformedEntry = (Notification, "malformed_entry"),
    /// The content id cannot be one.
    MalformedId = (Notification, "malformed_id"),
    /// The content uri cannot be one.
    MalformedUri = (Notification, "malformed_uri"),
    /// The entry was meant for another application.
    OtherClient = (Notification, "other_client"),
    /// The tenant is not configured.
    UnknownTenant = (Notification, "unknown_tenant"),
    /// The content type is unknown or not configured for the tenant.
    UnknownType = (Notification, "unknown_type"),

    /// Auditing is off, fresh, or the tenant lives in another cloud ("Tenant … does not exist").
    AuditingOff = (Fetch, "auditing_off"),
    /// The webhook's auth id, which Microsoft is to be told, cannot be read.
    AuthIdUnreadable = (Fetch, "auth_id_unreadable"),
    /// The answer was none that the reference knows.
    BadAnswer = (Fetch, "bad_answer"),
    /// No connection to Microsoft, or it broke.
    Connection = (Fetch, "connection"),
    /// AF20051: Microsoft no longer keeps the content.
    ContentExpired = (Fetch, "content_expired"),
    /// AF20050: the content does not exist.
    ContentGone = (Fetch, "content_gone"),
    /// AF20052: Microsoft does not accept the id.
    ContentIdInvalid = (Fetch, "content_id_invalid"),
    /// Entra refused our credentials.
    CredentialsRefused = (Fetch, "credentials_refused"),
    /// The lease ran out: a step died or a process was killed.
    LeaseLost = (Fetch, "lease_lost"),
    /// AF20022 or AF20023: no subscription, or a disabled one.
    NotSubscribed = (Fetch, "not_subscribed"),
    /// The content passed its expiration before it could be delivered.
    PastExpiration = (Fetch, "past_expiration"),
    /// AF10001: a role is missing.
    RoleMissing = (Fetch, "role_missing"),
    /// Microsoft's side failed (AF50000, 5xx, 408).
    ServerError = (Fetch, "server_error"),
    /// Too many requests.
    Throttled = (Fetch, "throttled"),
    /// No byte came in time.
    Timeout = (Fetch, "timeout"),
    /// No token could be had.
    TokenUnavailable = (Fetch, "token_unavailable"),
    /// Refused with a fresh token as well.
    Unauthorized = (Fetch, "unauthorized"),

    /// The body ended before the JSON did.
    CutBody = (Split, "cut_body"),
    /// A single record holds a control character outside its strings.
    MalformedRecord = (Split, "malformed_record"),
    /// A single record is larger than `fetch.max_record`.
    RecordTooLarge = (Split, "record_too_large"),
    /// The body is not JSON.
    Undecodable = (Split, "undecodable"),

    /// The connection to Devo broke with records unconfirmed.
    ConnectionLost = (Deliver, "connection_lost"),
    /// Devo took no bytes for too long.
    Stalled = (Deliver, "stalled"),
    /// Devo did not end its stream in time.
    Unconfirmed = (Deliver, "unconfirmed"),
    /// Devo cannot be reached.
    Unreachable = (Deliver, "unreachable"),
}

impl Reason {
    /// What to look at, where a person has to mend it.
    pub const fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::AuditingOff => {
                "auditing is not turned on, or was within the last 24 hours (Microsoft: tenant does \
                 not exist); or the tenant id or microsoft.cloud is not the tenant's"
            }
            Self::AuthIdUnreadable => "webhook.auth_id cannot be read; why is in the log",
            Self::CredentialsRefused => {
                "Entra refuses the credentials; its reason and the remedy are in the log"
            }
            Self::NotSubscribed => {
                "the subscription is missing or disabled; it is started unless \
                 subscriptions.manage is off"
            }
            Self::RoleMissing | Self::Unauthorized => {
                "Entra administrator: give the application the application permission \
                 ActivityFeed.Read of the Office 365 Management APIs, and ActivityFeed.ReadDlp for \
                 DLP.All, then grant admin consent; it counts within minutes"
            }
            _ => return None,
        })
    }
}

impl FromStr for Reason {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or(Unknown)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
