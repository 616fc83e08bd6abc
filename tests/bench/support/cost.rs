//! What a process has cost: time on the cores, as the kernel counts it.
//!
//! CPU time is user and system time of all threads, those that ended included, in nanoseconds:
//! the clock of the process (`clock_getcpuclockid(3)`), because `/proc/PID/stat` counts in ticks of
//! ten milliseconds and `/proc/PID/schedstat` knows one thread only.

use std::{io, mem::MaybeUninit, time::Duration};

use tokio::time::Instant;

/// Time on the cores beside the time that passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// User and system time of the process under test.
    pub cpu: Duration,
    /// What a clock on the wall says.
    pub wall: Duration,
}

impl Cost {
    /// What `work` costs this process.
    pub fn of<T>(work: impl FnOnce() -> T) -> (T, Self) {
        let meter = Meter::here();
        let done = work();
        (done, meter.cost())
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.wall += other.wall;
    }
}

/// Measures a process from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    process: libc::pid_t,
    cpu: Duration,
    since: Instant,
}

impl Meter {
    /// For this process.
    pub fn here() -> Self {
        Self::of(0)
    }

    /// For the process of this id; 0 is this one.
    pub fn of(process: u32) -> Self {
        let process = libc::pid_t::try_from(process).expect("process ids are small");
        Self { process, cpu: cpu_of(process), since: Instant::now() }
    }

    /// What has been spent since.
    pub fn cost(&self) -> Cost {
        let cpu = cpu_of(self.process).saturating_sub(self.cpu);
        Cost { cpu, wall: self.since.elapsed() }
    }
}

/// The CPU time of a process that is alive or not yet reaped; 0 is this one.
fn cpu_of(process: libc::pid_t) -> Duration {
    let mut clock = 0;
    #[expect(unsafe_code, reason = "std has no clock of a process")]
    // SAFETY: the pointer is valid and exclusively ours during the call, which writes one id.
    let answer = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    assert_eq!(answer, 0, "process {process} is there");
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    #[expect(unsafe_code, reason = "std has no clock of a process")]
    // SAFETY: the pointer is valid and exclusively ours during the call, which writes one
    // `timespec` and says so by answering 0; only then it is read.
    let time = unsafe {
        let answer = libc::clock_gettime(clock, time.as_mut_ptr());
        assert_eq!(answer, 0, "the clock of process {process}: {}", io::Error::last_os_error());
        time.assume_init()
    };
    let seconds = u64::try_from(time.tv_sec).expect("time on a core is not negative");
    let nanoseconds = u32::try_from(time.tv_nsec).expect("there are 10^9 of them");
    Duration::new(seconds, nanoseconds)
}
