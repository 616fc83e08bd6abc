//! Ends that are not the usual one: watched from outside while they last, or with repeats.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{Service, within};

impl Service {
    /// Asks the app to stop and does not wait.
    pub fn request_stop(&self) {
        self.stop.request();
    }

    /// Waits for the end of an app that was asked to stop; how long it took from here.
    pub async fn stopped(&mut self) -> Duration {
        let started = Instant::now();
        let ended = within(Duration::from_secs(35), "the drain", self.running.join_next()).await;
        ended.expect("the app runs").expect("no panic").expect("no part ends by itself");
        started.elapsed()
    }

    /// How often each of these records arrived: the least and the most.
    pub fn times<R: AsRef<[u8]>>(&self, records: &[R]) -> (u32, u32) {
        let devo = self.simulator.devo();
        let times = records.iter().map(|record| devo.times_received(record.as_ref()));
        times.fold((u32::MAX, 0), |(least, most), times| (least.min(times), most.max(times)))
    }

    /// As [`Service::finish`], where repeats are allowed up to so many arrivals of a record.
    pub async fn finish_with_repeats(mut self, most: u32) {
        self.stop().await;
        let status = self.status().await;
        let unsettled: u64 = status.iter().map(|row| row.waiting + row.leased).sum();
        assert_eq!(unsettled, 0, "unsettled content is left: {status:#?}");
        let arrivals: HashMap<u128, u32> = self.simulator.devo().arrivals();
        for (record, times) in &self.expected {
            let arrived = arrivals.get(record).copied().unwrap_or(0);
            assert!(arrived >= *times, "a record is missing");
            assert!(arrived < times + most, "a record arrived {arrived} times");
        }
        let known = |record: &u128| self.expected.contains_key(record);
        assert!(arrivals.keys().all(known), "records arrived that nobody published");
        assert_eq!(self.simulator.devo().received().malformed, 0, "every line is well-formed");
        self.simulator.shutdown().await;
    }
}
