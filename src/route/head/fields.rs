//! Field by field and byte by byte: the oracle of the scan by blocks.

use super::{Head, unescaped};

/// The top-level fields of an object, in order.
pub(super) struct Fields<'a> {
    record: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        let record = record.trim_ascii_start();
        record.starts_with(b"{").then_some(Self { record, at: 1 })
    }

    /// What [`Head::read`] finds in JSON.
    pub(super) fn head(mut self) -> Head<'a> {
        let mut head = Head::default();
        while let Some((key, value)) = self.read_next() {
            let slot = match key {
                b"CreationTime" => &mut head.creation_time,
                b"Id" => &mut head.id,
                b"Workload" => &mut head.workload,
                _ => continue,
            };
            if slot.is_none() {
                *slot = value.map(|text| match memchr::memchr(b'\\', text) {
                    Some(first) => unescaped(text, first).into(),
                    None => text.into(),
                });
            }
        }
        head
    }

    /// A key as spelled, and its value as spelled between the quotes if it is a string.
    fn read_next(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        if self.skip_blanks()? == b',' {
            self.at += 1;
            self.skip_blanks()?;
        }
        let key = self.read_string()?;
        if self.skip_blanks()? != b':' {
            return None;
        }
        self.at += 1;
        if self.skip_blanks()? == b'"' {
            let value = self.read_string()?;
            return Some((key, Some(value)));
        }
        self.skip_value()?;
        Some((key, None))
    }

    /// Moves to the next byte that is no white space, and returns it.
    fn skip_blanks(&mut self) -> Option<u8> {
        loop {
            let byte = *self.record.get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn read_string(&mut self) -> Option<&'a [u8]> {
        if self.record.get(self.at) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut end = start;
        loop {
            match self.record.get(end)? {
                b'"' => {
                    self.at = end + 1;
                    return Some(&self.record[start..end]);
                }
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
    }

    /// Passes over a value that is no string, to what follows it.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let telling = |byte: &u8| matches!(byte, b'"' | b',' | b'{' | b'}' | b'[' | b']');
            self.at += self.record[self.at..].iter().position(telling)?;
            match self.record[self.at] {
                b',' | b'}' | b']' if depth == 0 => return Some(()),
                b'"' => {
                    self.read_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }
}
