//! The answers of the Management Activity API in words: what is wrong, and who has to do what.

use super::Action;
use crate::reason::Reason;

/// An answer in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// What is wrong.
    pub cause: &'static str,
    /// Who has to do what.
    pub remedy: &'static str,
}

/// The codes and texts by which an answer is known, for who looks one up.
pub const CODES: &[(&str, Action)] = &[
    ("AF10001", Action::RoleMissing),
    ("401", Action::Unauthorized),
    ("\"Tenant … does not exist\", AF20011", Action::AuditingOff),
    ("AF20021", Action::WebhookRefused),
    ("AF20022, AF20023", Action::NotSubscribed),
    ("AF20030, AF20055", Action::WindowRefused),
    ("429, AF429, 403 with code 429", Action::Throttled { wait: None }),
    ("408, 5xx, AF50000", Action::Retry(Reason::ServerError)),
];

impl Action {
    /// What the answer means to a person.
    pub const fn words(self) -> Words {
        match self {
            Self::AuditingOff => Words {
                cause: advice(Reason::AuditingOff),
                remedy: "tenant administrator: turn auditing on (Purview, Audit, Start recording) \
                         and wait up to 24 hours; if it is on for longer, compare id and \
                         microsoft.cloud with the tenant's",
            },
            Self::NotSubscribed => Words {
                cause: advice(Reason::NotSubscribed),
                remedy: "see that subscriptions.manage is on; a start is allowed once in 15 minutes, and \
                         content follows within hours",
            },
            Self::RoleMissing => Words {
                cause: "the application lacks a role at Microsoft (AF10001)",
                remedy: advice(Reason::RoleMissing),
            },
            Self::Throttled { .. } => Words {
                cause: "Microsoft throttles this tenant: too many requests",
                remedy: "wait some minutes; if it stays, lower fetch.requests_per_minute or see \
                         which other program asks with the same publisher id",
            },
            Self::Unauthorized => Words {
                cause: "Microsoft refuses the token (401), mostly because a role is missing for \
                        this content type",
                remedy: advice(Reason::Unauthorized),
            },
            Self::WebhookRefused => Words {
                cause: "our webhook did not answer Microsoft's validation with 200 (AF20021)",
                remedy: "network team: let Microsoft reach webhook.address; what else is wrong \
                         with it, the checks of the public address say",
            },
            Self::WindowRefused => Words {
                cause: "Microsoft does not accept the times asked for (AF20030, AF20055)",
                remedy: "set this machine's clock by NTP",
            },
            Self::Retry(Reason::ServerError) => Words {
                cause: "Microsoft's side fails, or something on the way answers in its place",
                remedy: "network team, if a proxy or firewall stands in between: let it pass this \
                         host untouched; otherwise wait, the service tries again by itself",
            },
            Self::AlreadyEnabled | Self::Final(_) | Self::Retry(_) | Self::StalePage => Words {
                cause: "the answer is none that was expected here",
                remedy: "see that microsoft.management_url is Microsoft's, and try again",
            },
        }
    }
}

/// The words that logs and status pages have for it, too.
const fn advice(reason: Reason) -> &'static str {
    reason.advice().expect("a person is told of these")
}
