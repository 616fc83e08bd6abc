//! Administrators' browsers that come back to the public port after consenting.
//!
//! Strangers can send anything here, so nothing is written but the answer to a state that a command
//! is waiting with: 256 random bits, good once and for minutes ([`Ledger::consented`]). Nobody is
//! told which states are.
//!
//! [`Ledger::consented`]: crate::ledger::Ledger::consented

use hyper::{Method, http::request::Parts};
use tokio::sync::Semaphore;

use super::{Outcome, Receiver, Reject};
use crate::redirect::{PATH, Redirect};

/// The doorkeeper of the callback.
#[derive(Debug)]
pub(super) struct Consents(Semaphore);

impl Consents {
    pub(super) const fn new() -> Self {
        Self(Semaphore::const_new(AT_ONCE))
    }
}

impl Receiver {
    /// What becomes of a request for the callback; none: it is for somebody else.
    pub(super) async fn consent(&self, head: &Parts) -> Option<Result<Outcome, Reject>> {
        let consents = self.consents.as_ref().filter(|_| head.uri.path() == PATH)?;
        Some(self.take(consents, head).await)
    }

    async fn take(&self, consents: &Consents, head: &Parts) -> Result<Outcome, Reject> {
        let query = head.uri.query().filter(|_| head.method == Method::GET);
        let redirect = query.and_then(Redirect::read).ok_or(Reject::NotFound)?;
        let _place = consents.0.try_acquire().map_err(|_| Reject::Unavailable)?;
        let query = query.unwrap_or_default().to_owned();
        match self.ledger.consented(&redirect.state, query, self.clock.now()).await {
            Ok(true) => Ok(Outcome::Consented),
            Ok(false) => Err(Reject::NotFound),
            Err(error) => {
                tracing::error!(%error, "the answer of an administrator cannot be kept");
                Err(Reject::Unavailable)
            }
        }
    }
}

/// A look into the ledger each; people come one by one.
const AT_ONCE: usize = 4;
