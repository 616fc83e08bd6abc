//! How often a replica gives signs of life, and how long others wait for one.

use std::time::Duration;

/// How often, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Between two signs of life.
    pub beat: Duration,
    /// The same for a process that shares its ledger with nobody.
    pub beat_alone: Duration,
    /// Between two looks at what others tell.
    pub look: Duration,
    /// The silence after which others take duties.
    pub term: Duration,
    /// How long before that they end by themselves.
    pub margin: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(2),
            beat_alone: Duration::from_secs(15),
            look: Duration::from_secs(1),
            term: Duration::from_secs(10),
            margin: Duration::from_secs(1),
        }
    }
}
