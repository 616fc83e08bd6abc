//! Why there is no token.

use std::sync::Arc;

use super::Refusal;
use crate::secret::SecretError;

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// Entra gave none a moment ago, and is not asked again yet.
    #[error("Entra gave none a moment ago")]
    Lately(#[source] Box<Self>),
    /// The tenant has no credential.
    #[error("no credential is configured for the tenant")]
    NotConfigured,
    /// Entra does not accept what we sent.
    #[error("Entra refused: {0}")]
    Refused(Refusal),
    /// The client secret, or the federated token, cannot be read.
    #[error("the client secret or token file cannot be read")]
    Secret(#[source] Arc<SecretError>),
    /// Entra answered with a status that says nothing about our credentials.
    #[error("the token endpoint answered with status {0}")]
    Status(u16),
    /// Entra did not answer in time.
    #[error("the token endpoint did not answer in time")]
    Timeout,
    /// Entra says that it fails for a moment (AADSTS90033 and its like).
    #[error("Entra fails for a moment (AADSTS{0})")]
    Transient(u32),
    /// No connection, or it broke.
    #[error("the token endpoint cannot be reached")]
    Unreachable(#[source] Arc<reqwest::Error>),
    /// The answer is a success but holds no token.
    #[error("the token endpoint's answer holds no usable token")]
    Unreadable,
    /// The key of the certificate did not sign.
    #[error("the key of the client certificate cannot sign")]
    Unsigned,
}

impl TokenError {
    /// What to do, where a person has to do something.
    pub const fn advice(&self) -> Option<&'static str> {
        match self.cause() {
            Self::Refused(refusal) => refusal.advice(),
            Self::Secret(_) => Some("make the file readable, with the secret in it"),
            _ => None,
        }
    }

    /// What Entra said, now or a moment ago.
    pub const fn cause(&self) -> &Self {
        match self {
            Self::Lately(cause) => cause,
            asked => asked,
        }
    }

    pub(super) fn secret(error: SecretError) -> Self {
        Self::Secret(Arc::new(error))
    }
}
