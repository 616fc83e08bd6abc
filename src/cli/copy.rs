//! `ledger copy`: from one database to another.

use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{CommandError, Copying, Exit, Outside, ledger::json, table};
use crate::{
    config::Config,
    ledger::{self, Copied, Location, Progress},
};

/// Copies, and writes what was copied to standard output.
pub(super) async fn run(
    config: &Config,
    command: Copying,
    outside: &Outside,
) -> Result<Exit, CommandError> {
    let Copying { from, to, json: as_json } = command;
    let (from, to) = (with_password(from, config), with_password(to, config));
    let mut screen = Screen::new(outside.terminal);
    let copied = ledger::copy(&from, &to, |progress| screen.show(progress)).await;
    screen.clear();
    let rows: Vec<_> = copied?.iter().map(Row::new).collect();
    let mut output = io::stdout().lock();
    if as_json {
        json(&mut output, &rows)?;
    } else {
        show(&mut output, &rows)?;
        writeln!(
            io::stderr(),
            "copied, read back and found the same; set ledger.url to the copy before the next start, \
             and start nothing on the old ledger again: it would deliver what waits a second time"
        )?;
    }
    Ok(Exit::Success)
}

/// The password of the configured ledger, for an address without one.
fn with_password(location: Location, config: &Config) -> Location {
    match (location, &config.ledger.location) {
        (Location::Postgres(server), Location::Postgres(configured))
            if !server.holds_password()
                && let Some(password) = configured.password() =>
        {
            Location::Postgres(server.with_password(password.clone()))
        }
        (location, _) => location,
    }
}

#[derive(Debug, Serialize)]
struct Row {
    table: &'static str,
    /// Rows written.
    copied: u64,
    /// Rows read back and found the same.
    verified: u64,
    /// What all rows together are, in whatever order.
    fingerprint: String,
}

impl Row {
    fn new(copied: &Copied) -> Self {
        let Copied { table, rows, fingerprint } = *copied;
        let fingerprint = format!("{fingerprint:032x}");
        Self { table, copied: rows, verified: rows, fingerprint }
    }
}

fn show(output: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let numbers = [row.copied.to_string(), row.verified.to_string()];
            let [copied, verified] = numbers;
            [row.table.to_owned(), copied, verified, row.fingerprint.clone()]
        })
        .collect();
    table::write(output, ["table", "copied", "verified", "fingerprint"], &[1, 2], &cells)
}

/// Where the progress goes: standard error, redrawn in place on a terminal.
enum Screen {
    Live(ProgressBar),
    /// The table that was last said to be begun.
    Plain(Option<(&'static str, &'static str)>),
}

impl Screen {
    fn new(terminal: bool) -> Self {
        if !terminal {
            return Self::Plain(None);
        }
        let bar = ProgressBar::new(0);
        bar.set_style(
            ProgressStyle::with_template("{spinner} {bar:30} {msg}   {human_pos} of {human_len}")
                .expect("the template is a constant"),
        );
        bar.enable_steady_tick(TICK);
        Self::Live(bar)
    }

    fn show(&mut self, progress: Progress<'_>) {
        let (what, table, rows, of) = match progress {
            Progress::Copying { table, rows, of } => ("copying", table, rows, of),
            Progress::Verifying { table, rows, of } => ("verifying", table, rows, of),
            Progress::Looking { replica } => {
                let line = format!("the replica {replica} has not left: looking whether it lives");
                match self {
                    Self::Live(bar) => bar.println(line),
                    // Whoever closed standard error does not want to know.
                    Self::Plain(_) => writeln!(io::stderr(), "{line}").unwrap_or_default(),
                }
                return;
            }
        };
        match self {
            Self::Live(bar) => {
                bar.set_length(of);
                bar.set_position(rows);
                bar.set_message(format!("{what} {table}"));
            }
            Self::Plain(said) => {
                if *said != Some((what, table)) && of > 0 {
                    writeln!(io::stderr(), "{what} {table}: {of} rows").ok();
                }
                *said = Some((what, table));
            }
        }
    }

    fn clear(&self) {
        if let Self::Live(bar) = self {
            bar.finish_and_clear();
        }
    }
}

const TICK: Duration = Duration::from_millis(120);
