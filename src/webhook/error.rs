//! Why the public port cannot be served.

use std::io;

use super::{CertificateError, ServiceTagError};
use crate::tls::TlsError;

/// Why the public port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Passed client certificates cannot be judged.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The system refuses the address.
    #[error("the address cannot be bound")]
    Listen(#[from] io::Error),
    /// The allowed sources cannot be read.
    #[error(transparent)]
    Sources(#[from] ServiceTagError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
