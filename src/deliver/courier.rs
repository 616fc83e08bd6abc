//! Lines that are no records, on a connection of their own.
//!
//! Confirmed as a session is (I5), and never in the way of one: a [`Courier`] takes no place in a
//! queue and shares no connection. Sends nothing twice by itself.

use std::sync::Arc;

use super::{
    Config, Confirm, DialError, closing,
    dial::{Dialer, Welcome},
};
use crate::reason::Reason;

/// Brings a few lines to the receiver. Clones are alike.
#[derive(Clone)]
pub struct Courier {
    config: Arc<Config>,
    dialer: Arc<Dialer>,
}

impl Courier {
    pub(super) fn new(config: Arc<Config>, dialer: Arc<Dialer>) -> Self {
        Self { config, dialer }
    }

    /// Opens a connection, writes the lines, ends it and waits for the receiver's word. Each wait
    /// has a deadline. Cancel safe, though nothing is known of the lines then.
    ///
    /// # Errors
    ///
    /// [`Unconfirmed`] when the lines are not known to have arrived.
    pub async fn send(&self, lines: &[u8]) -> Result<(), Unconfirmed> {
        let patience = self.config.confirm_timeout;
        let mut wire = self.dialer.dial(Welcome::Sign).await?;
        wire.write(lines, patience).await?;
        match self.config.confirm {
            Confirm::EndOfStream => closing::by_end_of_stream(&mut wire, patience).await?,
            Confirm::Tcp => {
                closing::by_acknowledgement(&mut wire, patience).await?;
                wire.leave().await;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").finish_non_exhaustive()
    }
}

/// Why lines are not known to have arrived.
#[derive(Debug, thiserror::Error)]
pub enum Unconfirmed {
    /// There was no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection did not end as it should.
    #[error("{0}")]
    Lost(Reason),
}

impl From<Reason> for Unconfirmed {
    fn from(reason: Reason) -> Self {
        Self::Lost(reason)
    }
}
