//! Records by the hundred megabytes: drawn at first, then copies that differ in their serial.

use crate::simulator::Feed;

use super::{Drawn, Generator, SERIAL};

/// The records of a generated blob, in order. Equal seeds, feeds and sizes give equal records.
#[derive(Debug)]
pub struct Records {
    generator: Generator,
    feed: Feed,
    left: u64,
    templates: Vec<(Vec<u8>, usize)>,
    turn: usize,
}

impl Records {
    /// Records until together they have so many bytes; the last one is whole.
    pub fn new(seed: u64, feed: Feed, total_bytes: u64) -> Self {
        Self {
            generator: Generator::new(seed),
            feed,
            left: total_bytes,
            templates: Vec::new(),
            turn: 0,
        }
    }

    /// Appends the next record; false when there is none.
    pub fn append(&mut self, out: &mut Vec<u8>) -> bool {
        if self.left == 0 {
            return false;
        }
        let start = out.len();
        if self.templates.len() < TEMPLATES {
            self.draw(out);
        } else {
            self.copy(out);
        }
        self.left = self.left.saturating_sub((out.len() - start) as u64);
        true
    }

    fn draw(&mut self, out: &mut Vec<u8>) {
        let Feed { tenant, content_type } = self.feed;
        let Drawn { bytes, serial_at } = self.generator.draw(tenant, content_type);
        out.extend_from_slice(&bytes);
        if let Some(serial_at) = serial_at {
            self.templates.push((bytes, serial_at));
        }
    }

    fn copy(&mut self, out: &mut Vec<u8>) {
        self.generator.serial += 1;
        self.turn = (self.turn + 1) % TEMPLATES;
        let (bytes, serial_at) = &self.templates[self.turn];
        let at = out.len() + serial_at;
        out.extend_from_slice(bytes);
        let mut serial = self.generator.serial;
        for digit in out[at..at + SERIAL].iter_mut().rev() {
            *digit = HEX[usize::try_from(serial % 16).unwrap_or(0)];
            serial /= 16;
        }
    }
}

impl Iterator for Records {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut record = Vec::new();
        self.append(&mut record).then_some(record)
    }
}

/// Enough that every shape is among them.
const TEMPLATES: usize = 512;

const HEX: &[u8; 16] = b"0123456789abcdef";
