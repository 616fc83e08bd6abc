//! Cutting a stream into lines, plain and gzip members alternating.
//!
//! A line begins with `<`, so a member's magic at the start of a line cannot be mistaken.

use std::io::{self, Write as _};

use flate2::write::GzDecoder;

/// Collects the bytes of a stream until they are lines.
#[derive(Default)]
pub(super) struct Framing {
    /// Complete lines and at most one that is not.
    plain: Vec<u8>,
    member: Option<GzDecoder<Vec<u8>>>,
    /// A first byte of what may be a magic number.
    half_magic: bool,
    pub(super) members: u64,
}

impl Framing {
    /// Takes bytes and hands over every line they complete, without its newline.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.member.is_some() {
                bytes = self.inflate(bytes)?;
            } else if self.half_magic {
                self.half_magic = false;
                if bytes[0] == MAGIC[1] {
                    self.begin_member()?;
                } else {
                    self.plain.push(MAGIC[0]);
                }
            } else if self.at_line_start() && bytes[0] == MAGIC[0] {
                self.half_magic = true;
                bytes = &bytes[1..];
            } else {
                // A member can only begin where a line does, so look no further than that.
                let end = match memchr::memmem::find(bytes, b"\n\x1f") {
                    Some(newline) => newline + 1,
                    None => bytes.len(),
                };
                self.plain.extend_from_slice(&bytes[..end]);
                bytes = &bytes[end..];
            }
            self.cut(&mut line);
        }
        Ok(())
    }

    /// Whether the stream may end here: no line and no member is open.
    pub(super) fn is_complete(&mut self) -> bool {
        let closed = match &mut self.member {
            Some(member) => member.try_finish().is_ok(),
            None => true,
        };
        closed && !self.half_magic && self.plain.is_empty()
    }

    fn at_line_start(&self) -> bool {
        self.plain.is_empty()
    }

    fn begin_member(&mut self) -> io::Result<()> {
        let mut decoder = GzDecoder::new(Vec::new());
        decoder.write_all(&MAGIC[..1])?;
        self.member = Some(decoder);
        self.members += 1;
        Ok(())
    }

    /// Feeds the open member and returns what lies behind its end.
    fn inflate<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let Some(member) = &mut self.member else {
            return Ok(bytes);
        };
        let (piece, _) = bytes.split_at(bytes.len().min(PIECE));
        let used = member.write(piece)?;
        // What was decoded last is held back otherwise, and the stream may end here.
        member.flush()?;
        self.plain.append(member.get_mut());
        if used == 0 {
            member.try_finish()?;
            self.plain.append(member.get_mut());
            self.member = None;
        }
        Ok(&bytes[used..])
    }

    fn cut(&mut self, line: &mut impl FnMut(&[u8])) {
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', &self.plain) {
            line(&self.plain[start..newline]);
            start = newline + 1;
        }
        self.plain.drain(..start);
    }
}

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Compressed bytes taken at a time, which bounds what they can swell to.
const PIECE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_lines_and_members_alternate_however_they_are_cut() {
        let mut stream = b"<1>a\n".to_vec();
        stream.extend(member(b"<2>b\n<3>c\n"));
        stream.extend(member(b"<4>d\n"));
        stream.extend(b"<5>e\x1f\x8b\n<6>f\n");
        stream.extend(member(b"<7>g\n"));
        for size in [1, 2, 3, 7, 64, stream.len()] {
            let mut framing = Framing::default();
            let mut lines = Vec::new();
            for piece in stream.chunks(size) {
                framing.take(piece, |line| lines.push(line.to_vec())).unwrap();
            }
            let expected: [&[u8]; 7] =
                [b"<1>a", b"<2>b", b"<3>c", b"<4>d", b"<5>e\x1f\x8b", b"<6>f", b"<7>g"];
            assert_eq!(lines, expected, "in pieces of {size}");
            assert_eq!(framing.members, 3);
            assert!(framing.is_complete());
        }
    }

    #[test]
    fn a_line_or_member_cut_short_is_not_complete() {
        let whole = member(b"<1>a\n");
        for stream in [&b"<1>a"[..], &whole[..whole.len() - 3], &whole[..1]] {
            let mut framing = Framing::default();
            framing.take(stream, |_| {}).unwrap();
            assert!(!framing.is_complete());
        }
    }
}
