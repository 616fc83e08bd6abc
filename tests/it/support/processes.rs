//! Real programs started by a test, on ports of their own, ended and reaped with the test.

use std::{
    process::{Command, ExitStatus},
    time::Duration,
};

use super::{
    memory::{peak_kib, resident_kib},
    within,
};

pub use super::child::Process;

impl Process {
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

    /// The memory it has resident, in KiB.
    pub fn resident_kib(&self) -> u64 {
        resident_kib(self.id())
    }

    /// The most memory it ever had resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        peak_kib(self.id())
    }
}
