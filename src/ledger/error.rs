//! Why the ledger did not do what was asked.

use std::sync::Arc;

/// The ledger did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The writer has ended.
    #[error("the ledger is closed")]
    Closed,
    /// It was asked for under a duty that is another replica's by now.
    #[error("another replica has this duty by now")]
    Outdated,
    /// The database failed; it may be well again later.
    #[error("the ledger is unavailable")]
    Unavailable(#[source] Arc<sqlx::Error>),
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => Self::Closed,
            error => Self::Unavailable(Arc::new(error)),
        }
    }
}
