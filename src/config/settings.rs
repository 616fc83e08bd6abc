//! The settings of the log, which has no module of its own.
//!
//! Every other part owns its `Config`. Nothing here parses; whoever holds one of these may rely on
//! every field.

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
