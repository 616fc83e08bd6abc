//! Cuts the body of a content blob into records while it arrives.
//!
//! A body is an array of records; a bare object, and several arrays or objects one after another,
//! are taken as well. Records come out as they were sent (I8) but for the two changes the contract
//! allows: white space between tokens is dropped, and a raw control character inside a string is
//! escaped. So a record is one line, free of NUL, CR and LF.
//!
//! No body is held whole (I7): a record that lies unchanged in one chunk is handed out from there,
//! any other is carried, up to `max_record` bytes and one at a time. What cannot be a record of
//! ours is reported in its place, and the records after it are not touched by it.
//!
//! This finds where records begin and end; it does not validate them. Brackets are counted, not
//! paired; numbers and words are not looked into; invalid UTF-8 and lone surrogates pass. Commas
//! between the elements of the array carry no information, since every element shows its own end:
//! a missing or repeated one is no reason to refuse records that are there.

pub(crate) mod block;
mod record;
pub(crate) mod strings;
#[cfg(test)]
mod tests;

use crate::reason::Reason;

use self::record::Record;

/// An incremental splitter for one body.
#[derive(Debug)]
pub struct Splitter {
    place: Place,
    /// Whether any array or object has begun; a body without one was cut.
    begun: bool,
    record: Record,
    pieces: u64,
    /// Bytes of the body consumed so far.
    offset: u64,
}

impl Splitter {
    /// A splitter at the start of a body. Records of more than `max_record` bytes, as they would
    /// be forwarded, are skipped.
    pub fn new(max_record: usize) -> Self {
        Self {
            place: Place::Mark { seen: 0 },
            begun: false,
            record: Record::new(max_record),
            pieces: 0,
            offset: 0,
        }
    }

    /// Consumes from `input` up to the end of the next piece.
    ///
    /// `None` says that all of `input` is consumed and the next chunk is needed.
    ///
    /// # Errors
    ///
    /// [`SplitError::Undecodable`] at the first byte outside a record that no body of records
    /// has. The pieces before it stand; there is none after it.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Piece<'a>>, SplitError> {
        if !self.record.is_open() {
            // Nobody borrows the record handed out last any more.
            self.record.release();
            if !self.seek(input)? {
                return Ok(None);
            }
        }
        let before = input.len();
        let ended = self.record.read_on(input);
        self.offset += (before - input.len()) as u64;
        let Some(ended) = ended else {
            return Ok(None);
        };
        let index = self.pieces;
        self.pieces += 1;
        let bare = self.place == Place::Top;
        Ok(Some(match ended {
            Ok(bytes) => Piece::Record { index, bytes, bare },
            Err(reason) => Piece::Dead { index, reason },
        }))
    }

    /// Says that the body is over, and how many pieces it had.
    ///
    /// # Errors
    ///
    /// [`SplitError::Cut`] when an array or a record is still open, or the body held nothing at
    /// all: an empty answer is not an empty array.
    pub fn finish(self) -> Result<u64, SplitError> {
        let complete = self.begun && self.place == Place::Top && !self.record.is_open();
        if complete { Ok(self.pieces) } else { Err(SplitError::Cut) }
    }

    /// Bytes of memory held for a record that spans chunks; never more than `max_record`.
    pub fn carried(&self) -> usize {
        self.record.carried()
    }

    /// Moves to the first byte of the next record; false when the input ends before it.
    fn seek(&mut self, input: &mut &[u8]) -> Result<bool, SplitError> {
        while let [byte, rest @ ..] = *input {
            match (self.place, *byte) {
                (Place::Mark { seen }, byte) if BYTE_ORDER_MARK.get(seen) == Some(&byte) => {
                    self.place = Place::Mark { seen: seen + 1 };
                }
                (Place::Mark { seen }, _) if seen == 0 || seen == BYTE_ORDER_MARK.len() => {
                    self.place = Place::Top;
                    continue;
                }
                (Place::Top | Place::Array, b' ' | b'\t' | b'\n' | b'\r') => {}
                // Each page of a blob is a text of its own, and each may begin with a mark.
                (Place::Top, byte) if byte == BYTE_ORDER_MARK[0] => {
                    self.place = Place::Mark { seen: 1 };
                }
                (Place::Top, b'[') => {
                    self.place = Place::Array;
                    self.begun = true;
                }
                (Place::Top, b'{') => {
                    self.begun = true;
                    self.record.open(b'{');
                    return Ok(true);
                }
                (Place::Array, b',') => {}
                (Place::Array, b']') => self.place = Place::Top,
                (
                    Place::Array,
                    first @ (b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'),
                ) => {
                    self.record.open(first);
                    return Ok(true);
                }
                _ => {
                    return Err(SplitError::Undecodable { offset: self.offset });
                }
            }
            self.offset += 1;
            *input = rest;
        }
        Ok(false)
    }
}

/// What a body is cut into. Indexes count from 0 through both kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Something stood here that cannot be forwarded.
    Dead {
        /// Its place in the body.
        index: u64,
        /// [`Reason::MalformedRecord`] or [`Reason::RecordTooLarge`].
        reason: Reason,
    },
    /// A record, ready to be one line.
    Record {
        /// Its place in the body.
        index: u64,
        /// The record as forwarded.
        bytes: &'a [u8],
        /// Whether it stands in no array. What answers a request that failed does, too.
        bare: bool,
    },
}

/// The body as a whole cannot be split to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The body ended before its JSON did.
    #[error("the body ends before its JSON does")]
    Cut,
    /// The body is not JSON.
    #[error("the body is not JSON at byte {offset}")]
    Undecodable {
        /// Bytes before the first that fits nothing.
        offset: u64,
    },
}

impl SplitError {
    /// The reason under which the content is counted.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Cut => Reason::CutBody,
            Self::Undecodable { .. } => Reason::Undecodable,
        }
    }
}

/// Where in the body a record is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between the elements of a top-level array.
    Array,
    /// At the very start, possibly within a byte order mark.
    Mark { seen: usize },
    /// Before, between or after top-level values.
    Top,
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
