//! Records by the gigabyte, in blobs, and what must arrive of them.

use bytes::Bytes;
use m365_collector::simulator::{Feed, generator::Records};

use super::receiver::{Arrived, digest};

/// Blobs that hold every record once.
#[derive(Clone, Debug, Default)]
pub struct Load {
    pub blobs: Vec<Bytes>,
    /// The digest of the last record of each.
    pub last: Vec<u64>,
    /// What must arrive when everything did.
    pub expected: Arrived,
}

impl Load {
    /// So many blobs, each a record larger than `each` at most.
    pub fn new(seed: u64, feed: Feed, blobs: usize, each: usize) -> Self {
        let mut records = Records::new(seed, feed, u64::MAX);
        let mut load = Self::default();
        for _ in 0..blobs {
            let mut blob = vec![b'['];
            let mut last = 0;
            while blob.len() < each {
                let start = blob.len();
                records.append(&mut blob);
                last = digest(&blob[start..]);
                load.expected.add(&blob[start..]);
                blob.push(b',');
            }
            // The last separator becomes the end.
            blob.pop();
            blob.push(b']');
            load.last.push(last);
            load.blobs.push(blob.into());
        }
        load
    }

    /// The bytes of all bodies.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.len() as u64).sum()
    }
}

impl Arrived {
    fn add(&mut self, record: &[u8]) {
        self.lines += 1;
        self.bytes += record.len() as u64;
        self.sum = self.sum.wrapping_add(digest(record));
    }
}
