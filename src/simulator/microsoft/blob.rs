//! Blobs: bodies as given, or generated while they are sent so that they are never held whole.

use std::{
    io::{self, Write as _},
    iter,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use crate::simulator::{Feed, generator::Records, microsoft::answers, server::Body};

/// What a blob holds.
#[derive(Clone, Debug)]
pub enum Blob {
    /// These bytes, JSON or not.
    Bytes(Bytes),
    /// An array of records from [`Records`], made anew at each fetch and equal each time.
    Generated {
        /// The least bytes of records; the last record is whole.
        total_bytes: u64,
        /// Decides the records; two blobs must not share it.
        seed: u64,
    },
}

impl Blob {
    /// An array of these records, in this order and with their own bytes.
    pub fn array<R: AsRef<[u8]>>(records: &[R]) -> Self {
        let length = records.iter().map(|record| record.as_ref().len() + 1).sum();
        let mut body = Vec::with_capacity(1_usize.saturating_add(length));
        body.push(b'[');
        for (index, record) in records.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(record.as_ref());
        }
        body.push(b']');
        Self::Bytes(body.into())
    }

    /// The bytes this holds in memory.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Bytes(body) => body.len(),
            Self::Generated { .. } => 0,
        }
    }

    /// The body of an answer, and its length where it is known beforehand.
    pub(super) fn body(&self, feed: Feed, gzip: bool) -> (Body, Option<usize>) {
        match self {
            Self::Bytes(body) if !gzip => (answers::full(body.clone()), Some(body.len())),
            Self::Bytes(body) => (streamed(gzipped(chunks_of(body.clone()))), None),
            Self::Generated { total_bytes, seed } => {
                let chunks = generated(Records::new(*seed, feed, *total_bytes));
                let body = if gzip { streamed(gzipped(chunks)) } else { streamed(chunks) };
                (body, None)
            }
        }
    }
}

fn streamed(chunks: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    let frames = chunks.map(|chunk| Ok::<_, io::Error>(Frame::data(chunk)));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

fn chunks_of(mut body: Bytes) -> impl Iterator<Item = Bytes> {
    iter::from_fn(move || {
        let length = body.len().min(CHUNK);
        (length > 0).then(|| body.split_to(length))
    })
}

fn generated(mut records: Records) -> impl Iterator<Item = Bytes> {
    let mut separator = b'[';
    let mut done = false;
    iter::from_fn(move || {
        if done {
            return None;
        }
        let mut chunk = Vec::with_capacity(CHUNK + LARGEST_RECORD);
        while chunk.len() < CHUNK {
            let start = chunk.len();
            chunk.push(separator);
            if records.append(&mut chunk) {
                separator = b',';
                continue;
            }
            chunk.truncate(start);
            // An array without records still has both brackets.
            chunk.extend_from_slice(if separator == b'[' { b"[]" } else { b"]" });
            done = true;
            break;
        }
        Some(chunk.into())
    })
}

fn gzipped(mut chunks: impl Iterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    iter::from_fn(move || {
        loop {
            let Some(chunk) = chunks.next() else {
                let last = encoder.take()?.finish();
                return Some(last.expect("writing to memory does not fail").into());
            };
            let encoder = encoder.as_mut()?;
            encoder.write_all(&chunk).expect("writing to memory does not fail");
            // The encoder holds back until it has a block; an empty chunk would end the body.
            let ready = std::mem::take(encoder.get_mut());
            if !ready.is_empty() {
                return Some(ready.into());
            }
        }
    })
}

/// What is handed to the connection at a time.
const CHUNK: usize = 64 * 1024;

/// Room behind a chunk, so that its last record seldom makes it grow.
const LARGEST_RECORD: usize = 20 * 1024;
