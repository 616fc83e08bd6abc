//! What a benchmark found: tables as they come, and at the end whether its limits are met.

use std::{fs, num::NonZero, path::Path, process::ExitCode, thread};

use serde_json::{Value, json};

use super::table::{Column, Table, number, text};

/// Collects and prints what was found.
#[derive(Debug)]
pub struct Report {
    name: String,
    quick: bool,
    tables: Vec<Value>,
    limits: Vec<(String, f64, Limit)>,
}

impl Report {
    /// Of the benchmark of this name.
    #[expect(clippy::print_stdout, reason = "a person reads it there")]
    pub fn new(name: &str, quick: bool) -> Self {
        let mark = if quick { " (quick)" } else { "" };
        println!("{name}{mark} on {} cores, {}", cores(), model());
        Self { name: name.to_owned(), quick, tables: Vec::new(), limits: Vec::new() }
    }

    /// Says something that belongs to the tables.
    #[expect(clippy::print_stdout, reason = "a person reads it there")]
    pub fn note(&self, note: &str) {
        println!("\n{note}");
    }

    /// Prints a table, and keeps it.
    #[expect(clippy::print_stdout, reason = "a person reads it there")]
    pub fn table(&mut self, table: &Table) {
        print!("{}", table.text());
        self.tables.push(table.json());
    }

    /// Holds a value against its limit. What cannot be a number does not meet any.
    pub fn limit(&mut self, what: &str, value: f64, limit: Limit) {
        self.limits.push((what.to_owned(), value, limit));
    }

    /// Prints the verdicts and writes the file. Fails when a limit is not met.
    pub fn finish(mut self) -> ExitCode {
        let mut verdicts = Table::new(
            "Limits",
            ["", "value", "limit", "verdict"].map(|name| Column::new(name, "")),
        );
        let mut met = true;
        for (what, value, limit) in &self.limits {
            let holds = limit.holds(*value);
            met &= holds;
            let verdict = if holds { "ok" } else { "NOT MET" };
            verdicts.row([text(what), number(*value, 2), text(limit.text()), text(verdict)]);
        }
        if !self.limits.is_empty() {
            self.table(&verdicts);
        }
        self.write();
        if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn write(&self) {
        let limits = self.limits.iter().map(|(what, value, limit)| {
            json!({ "what": what, "value": value, "limit": limit.text(), "ok": limit.holds(*value) })
        });
        let found = json!({
            "benchmark": self.name,
            "quick": self.quick,
            "machine": { "cores": cores(), "cpu": model() },
            "tables": self.tables,
            "limits": limits.collect::<Vec<_>>(),
        });
        // Cargo made the folder of this name below the target folder, wherever that is.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in another");
        let folder = target.join("bench");
        let path = folder.join(format!("{}.json", self.name));
        let text = format!("{found:#}\n");
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).expect("target is ours");
        self.note(&format!("written to {}", path.display()));
    }
}

/// What a value must not exceed, or not fall short of.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!(">= {limit:.2}"),
            Self::AtMost(limit) => format!("<= {limit:.2}"),
        }
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// The model of the processor, as the kernel names it.
fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or("an unknown processor", |name| name.trim_start_matches([' ', '\t', ':'])).to_owned()
}
