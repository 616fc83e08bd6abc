//! A body that comes packed: as much of it is unpacked at a time as fits into one piece, and an
//! answer that goes on expanding like nothing but a bomb does is broken off.

use std::io;

use bytes::{Buf as _, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

use super::BodyError;

/// Unpacks a body of gzip members, one after the other.
#[derive(Debug)]
pub(super) struct Packed {
    member: Decompress,
    /// Whether no member is under way.
    between: bool,
    /// What arrived and was not unpacked yet.
    input: Bytes,
    taken: u64,
    given: u64,
}

impl Packed {
    pub(super) fn new() -> Self {
        Self { member: member(), between: true, input: Bytes::new(), taken: 0, given: 0 }
    }

    /// Takes what arrived, after all that arrived before was unpacked.
    pub(super) fn arrived(&mut self, input: Bytes) {
        self.input = input;
    }

    /// Unpacks some of the input; nothing only where all of it is used up. What a full piece had no
    /// room for comes with what arrives next: behind it the end of its member is still to come.
    pub(super) fn unpack(&mut self) -> Result<Bytes, BodyError> {
        if self.input.is_empty() {
            return Ok(Bytes::new());
        }
        // Large pieces: the decoder keeps the end of each for what refers to it in the next.
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            let ended = self.inflate(&mut piece)?;
            if ended {
                // Others may follow; this one has nothing more to say.
                (self.member, self.between) = (member(), true);
            }
            if piece.len() == piece.capacity() || self.input.is_empty() {
                break;
            }
        }
        self.given += piece.len() as u64;
        let expands = self.given > UNSUSPICIOUS && self.given / self.taken.max(1) > MAX_RATIO;
        if expands || self.given > MAX_UNPACKED {
            return Err(BodyError::Bomb);
        }
        Ok(piece.into())
    }

    /// Says that nothing more will arrive.
    pub(super) fn finish(&self) -> Result<(), BodyError> {
        if self.between {
            Ok(())
        } else {
            Err(BodyError::Unpack(io::ErrorKind::UnexpectedEof.into()))
        }
    }

    /// Unpacks into the room there is, and says whether the member ended.
    fn inflate(&mut self, piece: &mut Vec<u8>) -> Result<bool, BodyError> {
        self.between &= self.input.is_empty();
        let (taken, given) = (self.member.total_in(), piece.len());
        let status = self.member.decompress_vec(&self.input, piece, FlushDecompress::None);
        let status = status.map_err(|error| BodyError::Unpack(error.into()))?;
        let taken = self.member.total_in() - taken;
        self.taken += taken;
        self.input.advance(usize::try_from(taken).unwrap_or(usize::MAX));
        if taken == 0
            && piece.len() == given
            && !self.input.is_empty()
            && status != Status::StreamEnd
        {
            // It would go on like this for ever.
            return Err(BodyError::Unpack(io::ErrorKind::InvalidData.into()));
        }
        Ok(status == Status::StreamEnd)
    }
}

fn member() -> Decompress {
    Decompress::new_gzip(WINDOW_BITS)
}

/// A step takes chunks of about this size from the wire, too.
const PIECE: usize = 64 * 1024;

/// What gzip refers to at most: 32 KiB back.
const WINDOW_BITS: u8 = 15;

/// Audit records with their ids and times are packed to a tenth or a twentieth.
const MAX_RATIO: u64 = 200;

/// Small bodies of nearly the same records may be packed better than that.
const UNSUSPICIOUS: u64 = 64 * 1024 * 1024;

/// A thousand times the largest blob seen.
const MAX_UNPACKED: u64 = 64 * 1024 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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
            state.arrived(Bytes::copy_from_slice(chunk));
            loop {
                let piece = state.unpack()?;
                if piece.is_empty() {
                    break;
                }
                largest = largest.max(piece.len());
                all.extend_from_slice(&piece);
            }
        }
        state.finish()?;
        Ok((all, largest))
    }

    #[test]
    fn what_was_packed_comes_out_in_pieces() {
        let text: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = gzip(&text);
        for chunk in [1, 700, 16 * 1024, packed.len()] {
            let (unpacked, largest) = unpack(&packed, chunk).unwrap();
            assert!(unpacked == text, "in chunks of {chunk}");
            assert!(largest <= PIECE, "{largest}");
        }
        let twice = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(unpack(&twice, 3).unwrap().0, b"one two");
        let full = vec![b'x'; PIECE];
        let behind_full = [gzip(&full), gzip(b"more")].concat();
        assert_eq!(unpack(&behind_full, 1000).unwrap().0, [&full[..], b"more"].concat());
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
        // The checksum and the length.
        for back in 1..=8 {
            let mut spoilt = packed.clone();
            let at = spoilt.len() - back;
            spoilt[at] ^= 1;
            assert!(matches!(unpack(&spoilt, 5), Err(BodyError::Unpack(_))), "{back}");
        }
        for wrong in [b"[{\"Id\":1}]".to_vec(), [&packed[..], b"\0"].concat()] {
            assert!(matches!(unpack(&wrong, 5), Err(BodyError::Unpack(_))));
        }
    }

    #[test]
    fn a_bomb_is_broken_off_long_before_its_end() {
        let bomb = gzip(&vec![b' '; 200 << 20]);
        let mut state = Packed::new();
        state.arrived(bomb.into());
        let mut out = 0;
        let stopped = loop {
            match state.unpack() {
                Ok(piece) if piece.is_empty() => break false,
                Ok(piece) => {
                    assert!(piece.len() <= PIECE, "{}", piece.len());
                    out += piece.len() as u64;
                }
                Err(error) => break matches!(error, BodyError::Bomb),
            }
        };
        assert!(stopped, "it came out whole");
        assert!(out <= UNSUSPICIOUS, "{out}");
    }
}
