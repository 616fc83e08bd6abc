//! Real programs started by a test, on ports of their own, ended and reaped with the test.

use std::process::{Child, Command};

/// A child process that does not outlive its test.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}")))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
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
