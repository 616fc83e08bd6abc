//! Real programs started by a test, on ports of their own, ended and reaped with the test.

use std::{
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use super::{memory::resident_kib, within};

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

    /// SIGTERM.
    pub fn terminate(&self) {
        // Built into every shell, unlike the program of that name.
        let id = self.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -TERM $0", &id]).status();
        assert!(status.expect("there is a shell").success(), "the process is there");
    }

    /// Waits for an end of its own accord.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        within(limit, "the end of a process", async {
            loop {
                if let Some(status) = self.0.try_wait().expect("a child can be waited for") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_none()
    }

    /// The memory it has resident, in KiB.
    pub fn resident_kib(&self) -> u64 {
        resident_kib(self.id())
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
