//! Why a process does not start, or ends.

use std::{io, net::SocketAddr};

use crate::{deliver, ledger, microsoft, route, webhook};

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] ledger::OpenError),
    /// The stored tenants cannot be read.
    #[error("the stored tenants cannot be read")]
    Tenants(#[from] ledger::LedgerError),
    /// Two parts claim one metric name.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The API client cannot be built.
    #[error(transparent)]
    Microsoft(#[from] microsoft::ClientError),
    /// The connection to Devo cannot be set up.
    #[error(transparent)]
    Outlet(#[from] deliver::OpenError),
    /// A table name is not one.
    #[error(transparent)]
    Table(#[from] route::InvalidTable),
    /// A file the webhook needs cannot be used.
    #[error(transparent)]
    Webhook(webhook::BindError),
}

/// A part that should run for ever has ended.
#[derive(Debug, thiserror::Error)]
#[error("the {part} ended unexpectedly; restart to recover, nothing is lost")]
pub struct RunError {
    pub(super) part: &'static str,
}
