//! Bodies: unpacked here, where bytes that arrive and bytes that come out can be compared, and read
//! up to a cap (I7).
//!
//! What gzip makes of a few bytes is unpacked some at a time, so that no more than about half a
//! megabyte comes out at once; and an answer that goes on expanding like nothing but a bomb does is
//! broken off.

use std::{
    io::{self, Write as _},
    mem,
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;
use reqwest::{
    Response,
    header::{CONTENT_ENCODING, HeaderMap},
};
use tokio::time::timeout;

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
                Some(more) => packed.input = more,
                None => return packed.finish().map(|rest| (!rest.is_empty()).then_some(rest)),
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

#[derive(Debug)]
struct Packed {
    decoder: MultiGzDecoder<Vec<u8>>,
    /// What arrived and was not unpacked yet.
    input: Bytes,
    taken: u64,
    given: u64,
}

impl Packed {
    fn new() -> Self {
        let decoder = MultiGzDecoder::new(Vec::new());
        Self { decoder, input: Bytes::new(), taken: 0, given: 0 }
    }

    /// Unpacks some of the input; nothing only where all of it is used up.
    fn unpack(&mut self) -> Result<Bytes, BodyError> {
        while !self.input.is_empty() && self.decoder.get_ref().len() < ENOUGH {
            let count = self.input.len().min(BITE);
            let bite = self.input.get(..count).unwrap_or_default();
            self.decoder.write_all(bite).map_err(BodyError::Unpack)?;
            self.input.advance(count);
            self.taken += count as u64;
        }
        self.give()
    }

    fn finish(&mut self) -> Result<Bytes, BodyError> {
        if self.taken > 0 {
            self.decoder.try_finish().map_err(BodyError::Unpack)?;
        }
        self.give()
    }

    fn give(&mut self) -> Result<Bytes, BodyError> {
        let unpacked = mem::take(self.decoder.get_mut());
        self.given += unpacked.len() as u64;
        let expands = self.given > UNSUSPICIOUS && self.given / self.taken.max(1) > MAX_RATIO;
        if expands || self.given > MAX_UNPACKED {
            return Err(BodyError::Bomb);
        }
        Ok(unpacked.into())
    }
}

/// A byte of gzip becomes up to 1032, so this many become half a megabyte at most.
const BITE: usize = 512;

/// A step takes chunks of about this size from the wire, too.
const ENOUGH: usize = 64 * 1024;

/// Audit records with their ids and times are packed to a tenth or a twentieth.
const MAX_RATIO: u64 = 200;

/// Small bodies of nearly the same records may be packed better than that.
const UNSUSPICIOUS: u64 = 64 * 1024 * 1024;

/// A thousand times the largest blob seen.
const MAX_UNPACKED: u64 = 64 * 1024 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Feeds chunks; what came out, and the largest piece of it.
    fn unpack(packed: &[u8], chunk: usize) -> Result<(Vec<u8>, usize), BodyError> {
        let mut state = Packed::new();
        let (mut all, mut largest) = (Vec::new(), 0);
        for chunk in packed.chunks(chunk) {
            state.input = Bytes::copy_from_slice(chunk);
            loop {
                let piece = state.unpack()?;
                if piece.is_empty() {
                    break;
                }
                largest = largest.max(piece.len());
                all.extend_from_slice(&piece);
            }
        }
        all.extend_from_slice(&state.finish()?);
        Ok((all, largest))
    }

    #[test]
    fn what_was_packed_comes_out_in_pieces() {
        let text: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = gzip(&text);
        for chunk in [1, 700, 16 * 1024, packed.len()] {
            let (unpacked, largest) = unpack(&packed, chunk).unwrap();
            assert!(unpacked == text, "in chunks of {chunk}");
            assert!(largest <= ENOUGH + BITE * 1032, "{largest}");
        }
        let twice = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(unpack(&twice, 3).unwrap().0, b"one two");
        assert_eq!(unpack(&[], 1).unwrap().0, b"");
        // Harmless repetition.
        assert_eq!(unpack(&gzip(&[b' '; 1 << 20]), 512).unwrap().0.len(), 1 << 20);
    }

    #[test]
    fn what_is_cut_or_no_gzip_is_an_error() {
        let packed = gzip(b"some text that is not too short");
        for length in 1..packed.len() {
            let cut = unpack(&packed[..length], 5);
            assert!(matches!(cut, Err(BodyError::Unpack(_))), "{length}: {cut:?}");
        }
        let mut spoilt = packed.clone();
        *spoilt.last_mut().unwrap() ^= 1;
        for wrong in [b"[{\"Id\":1}]".as_slice(), &spoilt] {
            assert!(matches!(unpack(wrong, 5), Err(BodyError::Unpack(_))));
        }
    }

    #[test]
    fn a_bomb_is_broken_off_long_before_its_end() {
        let bomb = gzip(&vec![b' '; 200 << 20]);
        let mut state = Packed::new();
        state.input = bomb.into();
        let mut out = 0;
        let stopped = loop {
            match state.unpack() {
                Ok(piece) if piece.is_empty() => break false,
                Ok(piece) => {
                    assert!(piece.len() <= ENOUGH + BITE * 1032, "{}", piece.len());
                    out += piece.len() as u64;
                }
                Err(error) => break matches!(error, BodyError::Bomb),
            }
        };
        assert!(stopped, "it came out whole");
        assert!(out <= UNSUSPICIOUS, "{out}");
    }
}
