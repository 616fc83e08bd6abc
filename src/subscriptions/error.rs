//! Why the subscriptions of a tenant are not known, or not as wanted.

use crate::{microsoft::ApiError, reason::Reason, secret::SecretError};

/// Why subscriptions could not be looked at or started.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Microsoft does not say, or does not do it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The webhook's auth id cannot be read.
    #[error("the webhook's auth id cannot be read")]
    AuthId(#[from] SecretError),
}

impl CheckError {
    /// The reason shown to people.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Api(error) => error.reason(),
            Self::AuthId(_) => Reason::AuthIdUnreadable,
        }
    }

    /// Whether Microsoft may have counted the call as a start.
    pub const fn reached_microsoft(&self) -> bool {
        !matches!(self, Self::AuthId(_) | Self::Api(ApiError::Connection(_) | ApiError::Token(_)))
    }
}
