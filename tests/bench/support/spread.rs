//! Many measurements of one thing, in order.

use std::time::Duration;

/// Measurements, from the least to the most.
#[derive(Clone, Debug)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn new(measured: impl IntoIterator<Item = f64>) -> Self {
        let mut measured: Vec<f64> = measured.into_iter().collect();
        measured.sort_by(f64::total_cmp);
        assert!(!measured.is_empty(), "something was measured");
        Self(measured)
    }

    /// In seconds.
    pub fn of_durations(measured: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(measured.into_iter().map(|time| time.as_secs_f64()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn least(&self) -> f64 {
        self.0[0]
    }

    pub fn most(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// What of a few measurements is least moved by what else the machine does.
    pub fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    /// The least measurement that so many in a hundred do not exceed (nearest rank).
    pub fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil().max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to len")]
        let rank = rank as usize;
        self.0[rank.min(self.0.len()) - 1]
    }
}
