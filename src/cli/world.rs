//! `demo` and `simulate`: the commands with a simulated world.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{CommandError, Demo, Exit, Outside, Simulate, service::stop_on_signal};
use crate::{
    config::Config,
    demo::{self, Options, SimulateOptions},
    shutdown::Shutdown,
};

/// Shows the whole way and writes the summary to standard output.
pub(super) async fn demo(demo: Demo, outside: &Outside) -> Result<Exit, CommandError> {
    let shutdown = Shutdown::new();
    let mut signals = tokio::task::JoinSet::new();
    signals.spawn(stop_on_signal(shutdown.clone())?);
    let options = Options {
        tenants: usize::try_from(demo.tenants.get()).unwrap_or(usize::MAX),
        rate: f64::from(demo.rate.get()),
        duration: demo.duration.0,
        devo: demo.devo.map(|endpoint| endpoint.to_string()),
        terminal: outside.terminal,
        colour: outside.colour,
    };
    let summary = demo::run(options, shutdown).await?;
    writeln!(io::stdout(), "\n{summary}")?;
    Ok(if summary.is_whole() { Exit::Success } else { Exit::Failed })
}

/// Serves the remote sides a configuration names until asked to stop.
pub(super) async fn simulate(
    config: Config,
    path: &Path,
    simulate: Simulate,
) -> Result<Exit, CommandError> {
    let shutdown = Shutdown::new();
    let mut signals = tokio::task::JoinSet::new();
    signals.spawn(stop_on_signal(shutdown.clone())?);
    let options = SimulateOptions {
        rate: f64::from(simulate.rate.get()),
        duration: simulate.duration.map(|duration| duration.0),
        records: simulate.records,
        count: simulate.count,
        devo: !simulate.without_devo,
    };
    demo::simulate(config.into(), path, options, shutdown).await?;
    Ok(Exit::Success)
}
