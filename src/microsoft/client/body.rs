//! Bodies up to a cap (I7).

use std::time::Duration;

use reqwest::Response;
use tokio::time::timeout;

use super::ApiError;

/// Reads at most `cap` bytes; the rest is left on the wire.
pub(in crate::microsoft) async fn prefix(
    answer: &mut Response,
    cap: usize,
) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() < cap
        && let Some(chunk) = answer.chunk().await?
    {
        let room = cap - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    Ok(body)
}

/// Reads a body that must not be larger than `cap`, nor stay silent for longer than `silence`.
pub(super) async fn whole(
    answer: &mut Response,
    cap: usize,
    silence: Duration,
) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = timeout(silence, answer.chunk())
        .await
        .map_err(|_| ApiError::Timeout)?
        .map_err(ApiError::cut_body)?
    {
        if body.len() + chunk.len() > cap {
            return Err(ApiError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
