//! Bodies: unpacked here, where bytes that arrive and bytes that come out can be compared, and read
//! up to a cap (I7).

mod packed;

use std::{io, time::Duration};

use bytes::Bytes;
use reqwest::{
    Response,
    header::{CONTENT_ENCODING, HeaderMap},
};
use tokio::time::timeout;

use self::packed::Packed;
use super::ApiError;

/// An answer that began, whose body comes unpacked.
#[derive(Debug)]
pub(in crate::microsoft) struct Answer {
    response: Response,
    packed: Option<Packed>,
}

impl Answer {
    pub(in crate::microsoft) fn new(response: Response) -> Self {
        let encodings = response.headers().get_all(CONTENT_ENCODING);
        let gzip = encodings.iter().any(|value| {
            let value = value.as_bytes();
            value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip")
        });
        Self { response, packed: gzip.then(Packed::new) }
    }

    pub(in crate::microsoft) fn status(&self) -> reqwest::StatusCode {
        self.response.status()
    }

    pub(in crate::microsoft) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next bytes, none at the end. Cancel safe: no byte is lost.
    pub(in crate::microsoft) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(packed) = &mut self.packed else {
            return Ok(self.response.chunk().await?);
        };
        loop {
            let unpacked = packed.unpack()?;
            if !unpacked.is_empty() {
                return Ok(Some(unpacked));
            }
            match self.response.chunk().await? {
                Some(more) => packed.arrived(more),
                None => return packed.finish().map(|()| None),
            }
        }
    }

    /// Reads at most `cap` bytes; the rest is left on the wire.
    pub(in crate::microsoft) async fn prefix(&mut self, cap: usize) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        while body.len() < cap
            && let Some(chunk) = self.chunk().await?
        {
            let room = cap - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        }
        Ok(body)
    }

    /// Reads a body that must not be larger than `cap`, nor stay silent for longer than `silence`.
    pub(super) async fn whole(
        &mut self,
        cap: usize,
        silence: Duration,
    ) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        while let Some(chunk) =
            timeout(silence, self.chunk()).await.map_err(|_| ApiError::Timeout)??
        {
            if body.len() + chunk.len() > cap {
                return Err(ApiError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Why a body cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::microsoft) enum BodyError {
    /// It expands as nothing that is meant to be read does.
    #[error("the body expands without measure")]
    Bomb,
    /// It ended early.
    #[error("the body was cut short")]
    Cut(#[from] reqwest::Error),
    /// It is no gzip, or one that ends early.
    #[error("the body cannot be unpacked")]
    Unpack(#[source] io::Error),
}
