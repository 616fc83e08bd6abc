//! An exact sliding window. Pure: time is an argument and must not go backwards.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// At most `limit` requests are in flight or were answered within the last [`Window::SPAN`].
#[derive(Debug)]
pub struct Window {
    limit: usize,
    in_flight: usize,
    /// When answers began, oldest first. Never more than the greatest limit so far.
    answered: VecDeque<Instant>,
}

impl Window {
    /// A minute, and a little for two clocks that do not run at exactly the same speed.
    pub const SPAN: Duration = Duration::from_millis(60_100);

    /// An empty window.
    pub const fn new(limit: usize) -> Self {
        Self { limit, in_flight: 0, answered: VecDeque::new() }
    }

    /// The most requests in a span.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit; what was admitted stays admitted.
    pub const fn resize(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Admits one request.
    ///
    /// # Errors
    ///
    /// When the window is full: the time until a place is free at the latest, or none if every
    /// place is held by a request in flight.
    pub fn admit(&mut self, now: Instant) -> Result<(), Option<Duration>> {
        if self.room(now) > 0 {
            self.in_flight += 1;
            return Ok(());
        }
        // After a shrink more than one place must come free.
        let surplus = (self.in_flight + self.answered.len()).saturating_sub(self.limit);
        Err(self
            .answered
            .get(surplus)
            .map(|answered| (*answered + Self::SPAN).saturating_duration_since(now)))
    }

    /// Notes that an admitted request was answered, or is given up.
    pub fn answered(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answered.push_back(now);
    }

    /// How many requests could be admitted now.
    pub fn room(&mut self, now: Instant) -> usize {
        self.limit.saturating_sub(self.used(now))
    }

    /// How many are in flight or were answered within the last span.
    pub fn used(&mut self, now: Instant) -> usize {
        while self
            .answered
            .front()
            .is_some_and(|answered| now.saturating_duration_since(*answered) >= Self::SPAN)
        {
            self.answered.pop_front();
        }
        self.in_flight + self.answered.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_place_is_held_until_a_span_after_the_answer() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(2);
        assert_eq!(window.admit(at(0)), Ok(()));
        assert_eq!(window.admit(at(0)), Ok(()));
        assert_eq!(window.admit(at(1)), Err(None), "both are in flight");
        window.answered(at(10));
        assert_eq!(window.admit(at(20)), Err(Some(Window::SPAN - Duration::from_secs(10))));
        assert_eq!(window.admit(at(70)), Err(Some(Duration::from_millis(100))));
        assert_eq!(window.admit(at(71)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shrunk_window_waits_until_enough_places_are_free() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(3);
        for second in 0..3 {
            window.admit(at(second)).unwrap();
            window.answered(at(second));
        }
        window.resize(1);
        assert_eq!(window.admit(at(2)), Err(Some(Window::SPAN)));
        assert_eq!(window.admit(at(2) + Window::SPAN), Ok(()));
    }

    proptest! {
        /// Wherever within its flight each request reached the other side, no minute there holds
        /// more than the limit.
        #[test]
        fn no_minute_holds_more_than_the_limit(
            limit in 1_usize..5,
            steps in prop::collection::vec((0_u64..40_000, 0_u64..30_000, 0_u64..=100), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let start = runtime.block_on(async { Instant::now() });
            let mut window = Window::new(limit);
            let mut now = start;
            let mut flights: Vec<(Instant, usize)> = Vec::new();
            let mut arrivals = Vec::new();
            for (index, (pause, flight, arrival)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(pause);
                flights.sort();
                while let Some((end, _)) = flights.first().copied().filter(|(end, _)| *end <= now) {
                    window.answered(end);
                    flights.remove(0);
                }
                if window.admit(now).is_ok() {
                    flights.push((now + Duration::from_millis(flight), index));
                    arrivals.push(now + Duration::from_millis(flight * arrival / 100));
                }
            }
            arrivals.sort();
            for group in arrivals.windows(limit + 1) {
                prop_assert!(group[limit] - group[0] >= Duration::from_secs(60));
            }
        }
    }
}
