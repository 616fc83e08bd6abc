//! The settings of what has no module of its own yet, and of the log.
//!
//! Every other part owns its `Config`. Nothing here parses; whoever holds one of these may rely on
//! every field.

pub mod records {
    //! The window of record identities.

    use std::{num::NonZeroUsize, time::Duration};

    /// How long and how many delivered records are remembered.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// The window in time.
        pub remember: Duration,
        /// The window in number.
        pub remember_max: NonZeroUsize,
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
