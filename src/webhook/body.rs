//! Reading the body of a request, never more of it than allowed.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::outcome::Reject;

/// Whether the length the request declares is too large already.
pub(super) fn declares_too_much(body: &Incoming, max: usize) -> bool {
    usize::try_from(body.size_hint().lower()).map_or(true, |declared| declared > max)
}

/// Reads to the end. What was read so far is dropped with the future.
pub(super) async fn read(mut body: Incoming, max: usize) -> Result<Bytes, Reject> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Reject::Aborted)?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if chunk.len() > max - read.len() {
            return Err(Reject::TooLarge);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}
