//! A real program that does not outlive whoever started it.

use std::process::{Child, Command};

/// A child process, killed and reaped with this.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}")))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_none()
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
