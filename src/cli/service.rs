//! `run`: the log, the signals, and the app between them.

use std::{
    io::{self, Write},
    process,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tracing::info;

use super::{CommandError, Exit, Outside, log};
use crate::{app::App, clock::Clock, config::Config, shutdown::Shutdown};

/// Runs the service until it is asked to stop.
pub(super) async fn run(config: Config, outside: &Outside) -> Result<Exit, CommandError> {
    let log = log::start(&config.log, config.logbook.as_ref(), outside)?;
    info!(version = env!("CARGO_PKG_VERSION"), "m365-collector starts");
    let shutdown = Shutdown::new();
    let mut signals = JoinSet::new();
    signals.spawn(stop_on_signal(shutdown.clone())?);
    let app = App::bind(config.into(), Clock::system()).await?;
    let ended = app.run(shutdown).await;
    log.end().await;
    ended?;
    Ok(Exit::Success)
}

/// Listens for SIGTERM and SIGINT: the first asks for a drain, the second ends the process.
pub(super) fn stop_on_signal(shutdown: Shutdown) -> io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if shutdown.is_requested() {
                writeln!(
                    io::stderr(),
                    "asked twice to stop: ending at once, what is unsettled will be sent again"
                )
                .ok();
                process::exit(1);
            }
            shutdown.request();
        }
    })
}
