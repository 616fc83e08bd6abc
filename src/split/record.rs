//! One record on its way through chunks: finding its end, making it one line, capping it.
//!
//! Objects and arrays, which nearly all records are, are scanned a block at a time ([`blocks`]).
//! The scan here leaps from one byte that matters to the next with a table: it is for strings,
//! numbers and words that are records by themselves, and says what the other one must find. Both
//! copy in runs. A record that is complete in the chunk it began in, and needed no change, is never
//! copied.

use crate::reason::Reason;

mod blocks;
#[cfg(test)]
mod tests;

/// The record being read, or the one last handed out.
#[derive(Debug)]
pub(super) struct Record {
    open: bool,
    within: Within,
    depth: u64,
    /// Why this record will not be forwarded. Its end is looked for all the same.
    dead: Option<Reason>,
    carry: Carry,
}

impl Record {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            open: false,
            within: Within::Structure,
            depth: 0,
            dead: None,
            carry: Carry::new(max),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn carried(&self) -> usize {
        self.carry.bytes.capacity()
    }

    /// Forgets the record handed out last, and the memory of an unusually large one.
    pub(super) fn release(&mut self) {
        self.carry.release();
    }

    /// Begins a record. `first` is its first byte, which stays in the input.
    pub(super) const fn open(&mut self, first: u8) {
        self.open = true;
        self.depth = 0;
        // A string begins like a structure: its quote is met first.
        self.within = match first {
            b'{' | b'[' | b'"' => Within::Structure,
            _ => Within::Scalar,
        };
    }

    /// Consumes from `input` to the end of the record, or of the input (`None`).
    pub(super) fn read_on<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Option<Result<&'a [u8], Reason>> {
        let composite = self.depth > 0
            || matches!((self.within, &**input), (Within::Structure, [b'{' | b'[', ..]));
        self.read_with(input, if composite { Self::scan_blocks } else { Self::scan_bytes })
    }

    fn read_with<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        scan: fn(&mut Self, &[u8]) -> Scanned,
    ) -> Option<Result<&'a [u8], Reason>> {
        let chunk: &'i [u8] = input;
        let Scanned { rest, end } = scan(self, chunk);
        let Some(end) = end else {
            self.keep(&chunk[rest..]);
            *input = &[];
            return None;
        };
        *input = &chunk[end..];
        self.open = false;
        let last = &chunk[rest..end];
        // The first byte of a record is always kept. So if nothing is carried yet, the last run
        // is the only one: the whole record.
        if self.dead.is_none() && self.carry.bytes.is_empty() && last.len() <= self.carry.max {
            return Some(Ok(last));
        }
        self.keep(last);
        match self.dead.take() {
            Some(reason) => Some(Err(reason)),
            None => Some(Ok(&self.carry.bytes)),
        }
    }

    /// Looks for the end of the record in `chunk`, keeping every run but the last.
    fn scan_bytes(&mut self, chunk: &[u8]) -> Scanned {
        let mut rest = 0;
        let mut at = 0;
        while let Some(plain) = self.within.plain(&chunk[at..]) {
            at += plain;
            match (self.within, chunk[at]) {
                (Within::Structure, b'"') => self.within = Within::Text,
                (Within::Structure, b'{' | b'[') => self.depth += 1,
                (Within::Structure, b'}' | b']') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Scanned::ended(rest, at + 1);
                    }
                }
                (Within::Structure, b' ' | b'\t' | b'\n' | b'\r') => {
                    self.keep(&chunk[rest..at]);
                    at += blanks(&chunk[at..]);
                    rest = at;
                    continue;
                }
                (Within::Text, b'"') => {
                    self.within = Within::Structure;
                    if self.depth == 0 {
                        return Scanned::ended(rest, at + 1);
                    }
                }
                (Within::Text, b'\\') => self.within = Within::Escape,
                (Within::Text, control) => {
                    self.keep(&chunk[rest..at]);
                    self.keep(escaped(control));
                    rest = at + 1;
                }
                (Within::Escape, control) if control < b' ' => {
                    // The backslash escapes nothing JSON knows. Left single it would turn our
                    // own escape into a backslash and a letter.
                    self.keep(&chunk[rest..at]);
                    self.keep(b"\\");
                    self.keep(escaped(control));
                    rest = at + 1;
                    self.within = Within::Text;
                }
                (Within::Escape, _) => self.within = Within::Text,
                (Within::Scalar, byte) if byte >= b' ' || is_blank(byte) => {
                    return Scanned::ended(rest, at);
                }
                (Within::Structure | Within::Scalar, _) => {
                    // Kept first, so that the reason does not depend on where chunks end.
                    self.keep(&chunk[rest..at]);
                    rest = at;
                    self.give_up(Reason::MalformedRecord);
                }
            }
            at += 1;
        }
        Scanned { rest, end: None }
    }

    fn keep(&mut self, run: &[u8]) {
        if self.dead.is_none() && self.carry.push(run).is_err() {
            self.give_up(Reason::RecordTooLarge);
        }
    }

    /// The first reason stands.
    fn give_up(&mut self, reason: Reason) {
        self.dead.get_or_insert(reason);
        self.carry.release();
    }
}

/// How far a scan got.
struct Scanned {
    /// Where the run begins that is not kept yet.
    rest: usize,
    /// Just behind the record, if it ends here.
    end: Option<usize>,
}

impl Scanned {
    const fn ended(rest: usize, end: usize) -> Self {
        Self { rest, end: Some(end) }
    }
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Within {
    /// A string, just behind a backslash.
    Escape,
    /// A number or a word that is a record by itself.
    Scalar,
    /// Between the strings of a record.
    Structure,
    /// A string.
    Text,
}

impl Within {
    /// How many bytes pass before one that matters here.
    fn plain(self, bytes: &[u8]) -> Option<usize> {
        let mask = self.mask();
        bytes.iter().position(|&byte| MATTERS[usize::from(byte)] & mask != 0)
    }

    const fn mask(self) -> u8 {
        1 << self as u8
    }
}

/// The part of a record that earlier chunks held, or that had to be changed.
#[derive(Debug)]
struct Carry {
    bytes: Vec<u8>,
    max: usize,
}

impl Carry {
    const fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max }
    }

    fn push(&mut self, run: &[u8]) -> Result<(), Full> {
        let needed = self.bytes.len() + run.len();
        if needed > self.max {
            return Err(Full);
        }
        if needed > self.bytes.capacity() {
            // Doubling as `Vec` would, but never past the cap.
            let target = needed.max(self.bytes.capacity().saturating_mul(2).min(self.max));
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(run);
        Ok(())
    }

    fn release(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(USUAL_RECORD);
    }
}

/// The cap is reached.
struct Full;

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The length of the white space at the front.
fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !is_blank(byte)).unwrap_or(bytes.len())
}

/// RFC 8259 section 7: a control character as it may stand in a string.
fn escaped(control: u8) -> &'static [u8] {
    ESCAPED[usize::from(control)].as_bytes()
}

/// For each byte, a bit per [`Within`] in which the scan must stop at it.
static MATTERS: [u8; 256] = {
    let mut matters = [0; 256];
    let mut byte = 0_u8;
    loop {
        let structure = matches!(byte, 0..=b' ' | b'"' | b'{' | b'}' | b'[' | b']');
        let text = matches!(byte, 0..b' ' | b'"' | b'\\');
        let scalar = !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let mut mask = Within::Escape.mask();
        if structure {
            mask |= Within::Structure.mask();
        }
        if text {
            mask |= Within::Text.mask();
        }
        if scalar {
            mask |= Within::Scalar.mask();
        }
        matters[byte as usize] = mask;
        if byte == u8::MAX {
            break matters;
        }
        byte += 1;
    }
};

#[rustfmt::skip]
static ESCAPED: [&str; 32] = [
    r"\u0000", r"\u0001", r"\u0002", r"\u0003", r"\u0004", r"\u0005", r"\u0006", r"\u0007",
    r"\b",     r"\t",     r"\n",     r"\u000b", r"\f",     r"\r",     r"\u000e", r"\u000f",
    r"\u0010", r"\u0011", r"\u0012", r"\u0013", r"\u0014", r"\u0015", r"\u0016", r"\u0017",
    r"\u0018", r"\u0019", r"\u001a", r"\u001b", r"\u001c", r"\u001d", r"\u001e", r"\u001f",
];

/// Nearly every record is smaller; memory beyond it is given back after each record.
const USUAL_RECORD: usize = 64 * 1024;
