//! The sample configuration, for people who start.

/// A file with every key: what is needed with a placeholder, what is optional commented out with
/// its default (`#key = value`, without a blank, so that it can be told from prose).
pub const SAMPLE: &str = include_str!("sample.toml");
