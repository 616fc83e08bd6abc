//! The confirmation: what must be seen before a session's bytes count as arrived (I5).
//!
//! A receiver that reads to our end of stream and then closes is the confirmation. A receiver
//! that closes for a reason of its own (an idle timeout, a restart) must not pass for one, even
//! if it does so in the very moment in which we close. What tells the two apart is TCP's own
//! order of things. Every segment acknowledges all that its sender's kernel had received, and a
//! program can act on our end of stream only after its kernel has received it. So the FIN of a
//! receiver that read everything acknowledges everything, and when it can be read here, nothing
//! is outstanding. The cases at the moment in which the receiver's FIN is read:
//!
//! 1. It was there before we closed: noticed by the look just before closing; lost.
//! 2. It crossed our last bytes: they, at least the `close_notify`, are still outstanding then, and
//!    if the receiver really closed they stay so, because its kernel answers them with a reset
//!    and acknowledges nothing; lost.
//! 3. With TLS, only our FIN is outstanding: the receiver acted on the `close_notify` before the
//!    segment of the FIN reached it; confirmed, as the `close_notify` follows every line. Without
//!    TLS there is no `close_notify` and the FIN itself must be acknowledged.
//! 4. Nothing is outstanding and the socket holds no error; confirmed.
//! 5. A reset instead of a FIN, also after a `close_notify`: the receiver closed with bytes unread,
//!    which its kernel may have acknowledged; lost. That is why `close_notify` alone is not enough.
//!
//! What cannot be seen from here: a receiver that ends only its own sending direction without
//! having read what its kernel had acknowledged, and one that reads lines and throws them away.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::wire::{Ending, Wire};
use crate::reason::Reason;

/// Closes the write side and waits for the receiver to close its own.
///
/// # Errors
///
/// [`Reason::Unconfirmed`] when the receiver's TCP has acknowledged everything and its program
/// does not close in time, [`Reason::Stalled`] when bytes are outstanding by then,
/// [`Reason::ConnectionLost`] when the end that came was none of ours.
pub(super) async fn by_end_of_stream(wire: &mut Wire, patience: Duration) -> Result<(), Reason> {
    let deadline = Instant::now() + patience;
    wire.end(patience).await?;
    match timeout_at(deadline, wire.fin()).await {
        Ok(Ending::Closed) => {
            let unread = if wire.is_tls() { OUR_FIN } else { 0 };
            match wire.outstanding() {
                Some(outstanding) if outstanding <= unread => Ok(()),
                _ => Err(Reason::ConnectionLost),
            }
        }
        Ok(Ending::Failed(error)) => {
            tracing::debug!(%error, "the connection broke before it was confirmed");
            Err(Reason::ConnectionLost)
        }
        Err(_elapsed) => match wire.outstanding() {
            Some(0) => Err(Reason::Unconfirmed),
            Some(_) => Err(Reason::Stalled),
            None => Err(Reason::ConnectionLost),
        },
    }
}

/// Waits until the peer's TCP has acknowledged everything; the wire stays open.
///
/// # Errors
///
/// [`Reason::Stalled`] when it does not in time, [`Reason::ConnectionLost`] when the connection
/// broke or the receiver closed first.
pub(super) async fn by_acknowledgement(wire: &mut Wire, patience: Duration) -> Result<(), Reason> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        if wire.has_ended().await {
            return Err(Reason::ConnectionLost);
        }
        match wire.outstanding() {
            None => return Err(Reason::ConnectionLost),
            Some(0) => return Ok(()),
            Some(_) if Instant::now() >= deadline => return Err(Reason::Stalled),
            Some(_) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The kernel counts a FIN as one byte.
const OUR_FIN: u64 = 1;

/// Acknowledgements of nearby receivers come within this.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// Nothing but the end of a wait depends on it.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
