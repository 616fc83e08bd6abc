//! The settings of what has no module of its own yet, and of the log.
//!
//! Every other part owns its `Config`. Nothing here parses; whoever holds one of these may rely on
//! every field.

pub mod sweep {
    //! The listing of what Microsoft has.

    use std::time::Duration;

    /// How often and how far back the listing goes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// The time between two sweeps.
        pub interval: Duration,
        /// Content younger than this is left to the webhook.
        pub settle: Duration,
        /// How far back the first sweep after a start goes.
        pub startup_lookback: Duration,
    }
}

pub mod log {
    //! The program's own log.

    /// What is logged and how it looks.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// The form of a line.
        pub format: Format,
        /// A valid filter of `tracing_subscriber::EnvFilter`.
        pub filter: String,
    }

    /// The form of a line.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Format {
        /// One JSON object a line.
        Json,
        /// For people.
        Text,
    }
}
