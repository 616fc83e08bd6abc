//! Processes beside the benchmark: itself in another role, or the binary under test.
//!
//! Each dies with its [`Process`]. A [`Stage`] also ends when the benchmark does in a way that
//! drops nothing, because its standard input ends then.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{self, ChildStdout, Command, Stdio},
    thread,
};

use super::{cost::Meter, memory::peak_kib};

pub use super::child::Process;

impl Process {
    /// Measures it from now on.
    pub fn meter(&self) -> Meter {
        Meter::of(self.id())
    }

    /// The most memory it ever had resident.
    pub fn peak_kib(&self) -> u64 {
        peak_kib(self.id())
    }
}

/// This program in another role. It is spoken with in lines.
#[derive(Debug)]
pub struct Stage {
    process: Process,
    said: BufReader<ChildStdout>,
}

impl Stage {
    /// Starts this program with `--role`.
    pub fn start<S: AsRef<OsStr>>(role: &str, arguments: impl IntoIterator<Item = S>) -> Self {
        let program = env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.args(["--role", role]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let said = BufReader::new(process.0.stdout.take().expect("it was asked for"));
        Self { process, said }
    }

    /// The next line it says; blocks until then.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("lines are text");
        assert!(!line.is_empty(), "process {} ended early", self.process.id());
        line.trim_end().to_owned()
    }

    /// Says a line to it.
    pub fn tell(&mut self, line: &str) {
        let input = self.process.0.stdin.as_mut().expect("it was asked for");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the process listens");
    }

    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// In a role: says a line to the benchmark.
#[expect(clippy::print_stdout, reason = "the benchmark reads it there")]
pub fn say(line: &str) {
    println!("{line}");
    io::stdout().flush().expect("the benchmark listens");
}

/// In a role: the next line the benchmark says; none when it has gone. Blocks until then.
pub fn told() -> Option<String> {
    let mut line = String::new();
    let length = io::stdin().read_line(&mut line).unwrap_or(0);
    (length > 0).then(|| line.trim_end().to_owned())
}

/// In a role that is told nothing: ends the process when the benchmark has gone.
pub fn end_with_benchmark() {
    thread::spawn(|| {
        while told().is_some() {}
        process::exit(0);
    });
}
