//! What a command sees of the process.

use std::io::{self, IsTerminal};

/// What a command sees of the process. Only the binary makes one from the real thing.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Whether colours are wanted on it.
    pub colour: bool,
    /// Whether colours are wanted on standard output.
    pub coloured_results: bool,
}

impl Outside {
    /// That of this process. Variables that are not Unicode cannot be ours.
    pub fn of_process() -> Self {
        let variables: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let terminal = io::stderr().is_terminal();
        // no-color.org: present and not empty, whatever its value.
        let plain = variables.iter().any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
        Self {
            variables,
            terminal,
            colour: terminal && !plain,
            coloured_results: io::stdout().is_terminal() && !plain,
        }
    }
}
