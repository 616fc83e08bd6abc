//! What arrived: counts, and each record by a fingerprint so that "exactly once" can be seen
//! without keeping the records.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, DefaultHasher, Hasher},
};

use bytes::Bytes;

use super::line::Line;

/// A 128-bit fingerprint of a record's bytes: two runs of a keyed hash that differ in their key.
pub fn fingerprint(record: &[u8]) -> u128 {
    let (mut low, mut high) = (DefaultHasher::new(), DefaultHasher::new());
    high.write_u64(SECOND_KEY);
    low.write(record);
    high.write(record);
    u128::from(high.finish()) << 64 | u128::from(low.finish())
}

/// Counts of what arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Lines, malformed ones included.
    pub lines: u64,
    /// Bytes of lines after decompression, newlines included.
    pub bytes: u64,
    /// Lines by tag. Tags beyond a thousand are counted under the empty tag.
    pub tags: BTreeMap<String, u64>,
    /// Lines that are none of this feed.
    pub malformed: u64,
    /// Different records.
    pub distinct: u64,
    /// Arrivals of a record that had already arrived.
    pub repeated: u64,
    /// Records not remembered for want of room; `distinct` and `repeated` know nothing of them.
    pub unremembered: u64,
    /// gzip members.
    pub members: u64,
    /// The sessions.
    pub sessions: Sessions,
}

/// Counts of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// Whose handshake succeeded.
    pub opened: u64,
    /// Whose peer ended its stream in order and was confirmed.
    pub confirmed: u64,
    /// Whose peer ended its stream in order, confirmed or not.
    pub ended: u64,
    /// That broke, or ended within a line or a gzip member.
    pub broken: u64,
    /// Refused, or whose handshake failed.
    pub refused: u64,
}

#[derive(Default)]
pub(super) struct Arrivals {
    received: Received,
    times: HashMap<u128, u32, BuildHasherDefault<Fold>>,
    kept: Option<Vec<Bytes>>,
}

impl Arrivals {
    pub(super) fn new(keep_lines: bool) -> Self {
        Self { kept: keep_lines.then(Vec::new), ..Self::default() }
    }

    /// Adds what a session gathered, leaving it empty.
    pub(super) fn add(&mut self, gathered: &mut Gathered) {
        let received = &mut self.received;
        received.lines += gathered.lines;
        received.bytes += gathered.bytes;
        received.malformed += gathered.malformed;
        for (tag, count) in gathered.tags.drain(..) {
            let room = received.tags.len() < MOST_TAGS || received.tags.contains_key(&tag);
            let tag = if room { tag } else { String::new() };
            *received.tags.entry(tag).or_default() += count;
        }
        for fingerprint in gathered.records.drain(..) {
            if let Some(times) = self.times.get_mut(&fingerprint) {
                *times += 1;
                received.repeated += 1;
            } else if self.times.len() < MOST_RECORDS {
                self.times.insert(fingerprint, 1);
                received.distinct += 1;
            } else {
                received.unremembered += 1;
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.append(&mut gathered.kept);
        }
        (gathered.lines, gathered.bytes, gathered.malformed) = (0, 0, 0);
    }

    pub(super) fn members(&mut self, members: u64) {
        self.received.members += members;
    }

    pub(super) fn sessions(&mut self) -> &mut Sessions {
        &mut self.received.sessions
    }

    pub(super) fn keeps_lines(&self) -> bool {
        self.kept.is_some()
    }

    pub(super) fn received(&self) -> Received {
        self.received.clone()
    }

    pub(super) fn times(&self, fingerprint: u128) -> u32 {
        self.times.get(&fingerprint).copied().unwrap_or(0)
    }

    pub(super) fn by_fingerprint(&self) -> HashMap<u128, u32> {
        self.times.iter().map(|(key, times)| (*key, *times)).collect()
    }

    pub(super) fn lines(&self) -> Vec<Bytes> {
        self.kept.clone().unwrap_or_default()
    }
}

/// What a session read since it last added to the whole; keeps the lock out of the hot path.
#[derive(Default)]
pub(super) struct Gathered {
    lines: u64,
    bytes: u64,
    malformed: u64,
    tags: Vec<(String, u64)>,
    records: Vec<u128>,
    kept: Vec<Bytes>,
    keep: bool,
}

impl Gathered {
    pub(super) fn new(keep: bool) -> Self {
        Self { keep, ..Self::default() }
    }

    pub(super) fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        self.bytes += line.len() as u64 + 1;
        if self.keep {
            self.kept.push(Bytes::copy_from_slice(line));
        }
        let Ok(line) = Line::parse(line) else {
            self.malformed += 1;
            return;
        };
        // A table of one's own holds what senders say of themselves, which is no record.
        if !line.tag.starts_with(OWN) {
            self.records.push(fingerprint(line.record));
        }
        // A batch has a handful of tags, and neighbours mostly share theirs.
        match self.tags.iter_mut().rfind(|(tag, _)| tag == line.tag) {
            Some((_, count)) => *count += 1,
            None => self.tags.push((line.tag.to_owned(), 1)),
        }
    }

    pub(super) fn discard(&mut self) {
        *self = Self::new(self.keep);
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        let [low, high] = [fingerprint, fingerprint >> 64].map(|half| half & u128::from(u64::MAX));
        self.0 = u64::try_from(low ^ high).expect("both halves are masked");
    }
}

/// How Devo begins the tags of tables of one's own.
const OWN: &str = "my.app.";

/// The fractional part of the golden ratio; any number but zero would do.
const SECOND_KEY: u64 = 0x9e37_79b9_7f4a_7c15;

/// Far above the tables of this feed; a client that invents tags must not fill the memory.
const MOST_TAGS: usize = 1000;

/// About 1.2 GB when full; a long demonstration says how many it could not remember.
const MOST_RECORDS: usize = 20_000_000;
