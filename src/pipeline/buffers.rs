//! The memory of batches, used again.
//!
//! A batch is filled, sent and let go of hundreds of times a second, and is too large for the
//! allocator to keep at hand: its pages would come from the kernel, zeroed, and go back again, which
//! costs as much as copying the lines into them. What is kept here is bounded in number and in size
//! (I7). Holds bytes, and does not know what they mean.

use std::{
    mem,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

/// Where buffers come from and go back to. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Buffers {
    room: usize,
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// Buffers with so much room each.
    pub(super) fn new(room: usize) -> Self {
        Self { room, idle: Arc::default() }
    }

    /// An empty buffer. Nothing waits for one: when none is idle, it is made.
    pub(super) fn take(&self) -> Buffer {
        // The one that came back last is the one that may still be in a cache.
        let idle = self.idle().pop();
        let bytes = idle.unwrap_or_else(|| Vec::with_capacity(self.room));
        Buffer { bytes, home: self.clone() }
    }

    fn put_back(&self, mut bytes: Vec<u8>) {
        // One that grew did so for an unusual record, and would be kept for ever.
        if bytes.capacity() != self.room {
            return;
        }
        bytes.clear();
        let mut idle = self.idle();
        if idle.len() < MOST_IDLE {
            idle.push(bytes);
        }
    }

    /// No holder of this lock panics; and a buffer may go back while its task unwinds.
    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes in the making. Their memory goes back when they, or the [`Bytes`] made of them, are gone.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Self {
        Self::from_owner(buffer)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.put_back(mem::take(&mut self.bytes));
    }
}

/// As many as are on their way to a receiver that keeps up, a few megabytes.
const MOST_IDLE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_the_last_who_reads_it_is_gone() {
        let buffers = Buffers::new(100);
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"first");
        let memory = buffer.as_ptr();
        let sent = Bytes::from(buffer);
        let queued = sent.clone();
        drop(sent);
        assert_ne!(buffers.take().as_ptr(), memory, "somebody still reads it");
        assert_eq!(&queued[..], b"first");
        drop(queued);
        let again = buffers.take();
        assert_eq!(again.as_ptr(), memory);
        assert!(again.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::new(100);
        let many: Vec<_> = (0..3 * MOST_IDLE).map(|_| buffers.take()).collect();
        drop(many);
        assert_eq!(buffers.idle().len(), MOST_IDLE);

        buffers.idle().clear();
        let mut grown = buffers.take();
        grown.extend_from_slice(&[b'x'; 101]);
        drop(grown);
        assert!(buffers.idle().is_empty());
    }
}
