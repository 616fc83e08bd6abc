//! A trial of the receiver: can it be reached, does it take a line, and does it confirm?

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Config, DialError, OpenError, closing,
    dial::{Dialer, Welcome},
};
use crate::reason::Reason;

/// Opens one connection, sends these lines, and ends it.
///
/// A receiver that answers with [`Reason::Unconfirmed`] here never confirms under
/// [`Confirm::EndOfStream`](super::Confirm::EndOfStream); the other mode fits it.
///
/// # Errors
///
/// [`ProbeError`] when there is no connection to try it on.
pub async fn trial(config: &Config, lines: &[u8]) -> Result<Probe, ProbeError> {
    let mut wire = Dialer::new(config)?.dial(Welcome::Stay).await?;
    let started = Instant::now();
    let confirmed = match wire.write(lines, config.confirm_timeout).await {
        Ok(()) => closing::by_end_of_stream(&mut wire, config.confirm_timeout).await,
        Err(reason) => Err(reason),
    };
    Ok(Probe { confirmed, took: started.elapsed() })
}

/// What the receiver did when we ended our stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Success when it ended its own in time.
    pub confirmed: Result<(), Reason>,
    /// How long that took.
    pub took: Duration,
}

/// Why the receiver could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}
