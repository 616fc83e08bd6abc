//! Compressing batches, each into one complete gzip member.
//!
//! A compressor is some 400 KB of tables that others push out of the caches, so there are as many
//! as cores, used again, and whoever finds them busy waits: that many contents are under way at
//! once makes neither memory nor work more.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use tokio::{sync::Semaphore, task::yield_now};

/// Where batches are compressed. Clones share the compressors.
#[derive(Clone, Debug)]
pub(super) struct Press(Arc<Shared>);

impl Press {
    /// One with a compressor for each core.
    pub(super) fn new() -> Self {
        Self::with(available_parallelism().map_or(1, NonZeroUsize::get))
    }

    fn with(compressors: usize) -> Self {
        Self(Arc::new(Shared { turns: Semaphore::new(compressors), idle: Mutex::default() }))
    }

    /// One complete gzip member. Gives way to other tasks in between, for a whole batch takes
    /// longer than a task should hold its thread. Cancel safe: a compressor whose member is given
    /// up is gone with it.
    pub(super) async fn member(&self, plain: Bytes) -> Bytes {
        let _turn = self.0.turns.acquire().await.expect("nobody closes it");
        let idle = self.0.idle().pop();
        let mut compressor = idle.unwrap_or_default();
        for piece in plain.chunks(PIECE) {
            compressor.add(piece);
            yield_now().await;
        }
        let member = compressor.finish();
        self.0.idle().push(compressor);
        member
    }
}

#[derive(Debug)]
struct Shared {
    /// One for each compressor there may be.
    turns: Semaphore,
    idle: Mutex<Vec<Compressor>>,
}

impl Shared {
    /// No holder of this lock panics.
    fn idle(&self) -> MutexGuard<'_, Vec<Compressor>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tables, and what of a member is made.
#[derive(Debug)]
struct Compressor {
    tables: Compress,
    member: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        // Log lines are so repetitive that higher levels gain little for several times the work.
        let tables = Compress::new_gzip(Compression::fast(), WINDOW_BITS);
        Self { tables, member: Vec::new() }
    }
}

impl Compressor {
    fn add(&mut self, plain: &[u8]) {
        let mut taken = 0;
        while taken < plain.len() {
            taken += self.press(&plain[taken..], FlushCompress::None).0;
        }
    }

    /// The member as a whole; begins anew.
    fn finish(&mut self) -> Bytes {
        while self.press(&[], FlushCompress::Finish).1 != Status::StreamEnd {}
        // In memory of its own size: it waits for the receiver, and this is used again.
        let member = Bytes::copy_from_slice(&self.member);
        self.tables.reset();
        self.member.clear();
        self.member.shrink_to(USUAL);
        member
    }

    /// Compresses some of what is there, and says how much of it.
    fn press(&mut self, plain: &[u8], flush: FlushCompress) -> (usize, Status) {
        self.member.reserve(PIECE);
        let before = self.tables.total_in();
        let status = self.tables.compress_vec(plain, &mut self.member, flush);
        let status = status.expect("it is asked for nothing it was not made for");
        let taken = usize::try_from(self.tables.total_in() - before).unwrap_or(plain.len());
        (taken, status)
    }
}

/// A few hundred microseconds of compression.
const PIECE: usize = 32 * 1024;

/// What gzip knows at most: 32 KiB back.
const WINDOW_BITS: u8 = 15;

/// More than a batch becomes, unless it cannot be compressed.
const USUAL: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;
    use futures_util::{FutureExt as _, future::join_all};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn members_are_complete_whatever_was_compressed_before(
            texts in vec(
                prop_oneof![
                    3 => (vec(any::<u8>(), 0..200), 0..2000_usize),
                    1 => (any::<u64>().prop_map(noise), Just(1_usize)),
                ],
                1..5,
            ),
        ) {
            let mut compressor = Compressor::default();
            for (text, times) in &texts {
                let plain = text.repeat(*times);
                plain.chunks(PIECE).for_each(|piece| compressor.add(piece));
                prop_assert_eq!(unpacked(&compressor.finish()), plain);
                prop_assert!(compressor.member.capacity() <= USUAL);
            }
        }
    }

    #[tokio::test]
    async fn there_are_no_more_compressors_than_turns() {
        let press = Press::with(2);
        let plain = Bytes::from(b"one line\n".repeat(20_000));
        let members = join_all((0..20).map(|_| press.member(plain.clone()))).await;
        assert!(members.iter().all(|member| unpacked(member) == plain));
        assert_eq!(press.0.idle().len(), 2);
    }

    #[tokio::test]
    async fn a_member_that_is_given_up_leaves_nothing_in_another() {
        let press = Press::with(1);
        for _ in 0..3 {
            let given_up = press.member(Bytes::from(vec![b'x'; 5 * PIECE]));
            assert_eq!(given_up.now_or_never(), None, "it gives way in between");
            assert_eq!(unpacked(&press.member("y".into()).await), b"y");
        }
    }

    /// What cannot be compressed.
    fn noise(seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        std::iter::repeat_with(next).take(2 * USUAL / 8).flat_map(u64::to_le_bytes).collect()
    }

    fn unpacked(members: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        MultiGzDecoder::new(members).read_to_end(&mut plain).unwrap();
        plain
    }
}
