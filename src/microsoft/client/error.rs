//! What a call can fail with, and what that means for the work it was made for.
//!
//! No text of an answer is kept (I9).

use std::io;

use tokio::time::Instant;

use super::{DialError, ForeignPage, LinkError, body::BodyError};
use crate::{
    microsoft::{answer::Action, pacing::Paused, tokens::TokenError},
    reason::Reason,
    tls::TlsError,
};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Microsoft answered with something that is not a success.
    #[error("Microsoft answered with status {status} ({action:?})")]
    Answered {
        /// What the answer means.
        action: Action,
        /// Its status.
        status: u16,
    },
    /// No connection, or it broke before the answer began.
    #[error("no connection to Microsoft")]
    Connection(#[source] LinkError),
    /// The body ended before it was complete.
    #[error("the body was cut short")]
    CutBody(#[source] reqwest::Error),
    /// The answer names a next page that is not under our root.
    #[error(transparent)]
    ForeignPage(#[from] ForeignPage),
    /// Too many requests, now or a moment ago.
    #[error("too many requests")]
    Throttled {
        /// When to come back.
        until: Instant,
    },
    /// No byte came in time.
    #[error("no byte came in time")]
    Timeout,
    /// There is no token to ask with.
    #[error("no access token")]
    Token(#[from] TokenError),
    /// The answer is larger, or has more pages, than any that makes sense.
    #[error("the answer is too large")]
    TooLarge,
    /// The body is packed in a way that cannot be unpacked to its end.
    #[error("the body cannot be unpacked")]
    Unpack(#[source] io::Error),
    /// A success whose body is not what the reference says.
    #[error("the answer is not of the expected shape")]
    Unreadable,
}

impl ApiError {
    /// What to do with the work the call was made for.
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Answered { action: Action::Final(reason), .. } => Disposition::Final(*reason),
            Self::Throttled { until } => Disposition::Throttled { until: *until },
            Self::Token(TokenError::Lately(_)) => Disposition::Unasked(self.reason()),
            _ => Disposition::Retry(self.reason()),
        }
    }

    /// The reason under which the failure is counted.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Answered { action, .. } => match action {
                Action::AuditingOff => Reason::AuditingOff,
                Action::Final(reason) | Action::Retry(reason) => *reason,
                Action::NotSubscribed => Reason::NotSubscribed,
                Action::RoleMissing => Reason::RoleMissing,
                Action::Throttled { .. } => Reason::Throttled,
                Action::Unauthorized => Reason::Unauthorized,
                Action::AlreadyEnabled
                | Action::StalePage
                | Action::WebhookRefused
                | Action::WindowRefused => Reason::BadAnswer,
            },
            Self::Connection(_) => Reason::Connection,
            Self::CutBody(_) | Self::Unpack(_) => Reason::CutBody,
            Self::ForeignPage(_) | Self::TooLarge | Self::Unreadable => Reason::BadAnswer,
            Self::Throttled { .. } => Reason::Throttled,
            Self::Timeout => Reason::Timeout,
            Self::Token(error) => match error.cause() {
                TokenError::Refused(_) => Reason::CredentialsRefused,
                _ => Reason::TokenUnavailable,
            },
        }
    }

    /// What Microsoft's answer means, if there was one.
    pub const fn action(&self) -> Option<Action> {
        match self {
            Self::Answered { action, .. } => Some(*action),
            _ => None,
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Bomb => Self::TooLarge,
            BodyError::Cut(error) => Self::CutBody(error.without_url()),
            BodyError::Unpack(error) => Self::Unpack(error),
        }
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Dial(DialError::Timeout) => Self::Timeout,
            error => Self::Connection(error),
        }
    }
}

impl From<Paused> for ApiError {
    fn from(Paused { until }: Paused) -> Self {
        Self::Throttled { until }
    }
}

/// What to do with work whose call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Give it up: asking again gives the same answer.
    Final(Reason),
    /// Count a failed attempt and try again with a growing delay.
    Retry(Reason),
    /// Come back then; it is the tenant that must wait, the work did nothing wrong.
    Throttled {
        /// When to come back.
        until: Instant,
    },
    /// As [`Self::Retry`], for a failure of a moment ago: nobody was asked again, so that it says
    /// nothing new.
    Unasked(Reason),
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
    /// An address that others are to be built from cannot have a path.
    #[error("management_url and login_url must be http or https addresses")]
    Root,
    /// The trusted certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
