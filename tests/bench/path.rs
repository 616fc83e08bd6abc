//! The way of the bytes without the network.

mod support;

use std::process::ExitCode;

use support::{Arguments, Cell, Column, Cost, Limit, Report, Spread, Table, number, text};

fn main() -> ExitCode {
    let arguments = Arguments::read("path", "path");
    let mut report = Report::new("path", arguments.quick);
    let _: Option<Cell> = None;
    let ((), cost) = Cost::of(|| drop(vec![1_u8; 100_000_000]));
    let mut table = Table::new("t", [Column::new("what", ""), Column::new("cpu", "ms")]);
    table.row([text("x"), number(cost.cpu.as_secs_f64() * 1e3, 3)]);
    table.row([text("x"), number(Spread::new([1234567.0]).median(), 1)]);
    report.table(&table);
    report.limit("x", 1.0, Limit::AtLeast(0.8));
    report.finish()
}
