//! What the benchmarks share: what a process costs, processes with a role, tables and verdicts.
//!
//! A benchmark is a program of its own (`cargo bench --bench NAME -- --quick`). It measures its
//! variants in turns within one run, prints tables, writes the same numbers to
//! `target/bench/NAME.json`, and fails when a limit is not met, so that it can stand guard.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each benchmark uses its own part")]

pub mod arguments;
#[path = "../../it/support/child.rs"]
mod child;
pub mod cost;
#[path = "../../it/support/memory.rs"]
pub mod memory;
pub mod processes;
pub mod report;
pub mod spread;
pub mod table;

pub use arguments::Arguments;
pub use cost::{Cost, Meter};
pub use processes::{Process, Stage};
pub use report::{Limit, Report};
pub use spread::Spread;
pub use table::{Cell, Column, Table, number, text};

/// Records that the collector remembers at most: the default of `records.remember_max`.
pub const REMEMBERED: usize = 5_000_000;
