//! From a parsed command line to what it does.

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
};

use super::{
    Check, Cli, Command, ConfigCommand, Exit, SubscriptionsCommand, check, ledger, sample, schema,
    service, subscriptions,
};
use crate::{
    app::{RunError, StartError},
    config::{Config, Loaded, Problems},
    ledger::{LedgerError, OpenError},
    microsoft::ClientError,
};
#[cfg(feature = "demo")]
use crate::{
    cli::world,
    demo::{DemoError, SimulateError},
};

/// What a command sees of the process. Only the binary makes one from the real thing.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Whether colours are wanted on it.
    pub colour: bool,
}

impl Outside {
    /// That of this process. Variables that are not Unicode cannot be ours.
    pub fn of_process() -> Self {
        let variables: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let terminal = io::stderr().is_terminal();
        // no-color.org: present and not empty, whatever its value.
        let plain = variables.iter().any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
        Self { variables, terminal, colour: terminal && !plain }
    }
}

/// Does what was asked.
///
/// # Errors
///
/// [`CommandError`] when a run or a check cannot be made; what a check finds is its [`Exit`].
pub async fn execute(cli: Cli, outside: Outside) -> Result<Exit, CommandError> {
    let path = cli.config;
    match cli.command {
        Command::Check(Check { offline }) => {
            let human = &mut io::stderr();
            let exit = check(&path, outside.variables, human)?;
            if offline || exit != Exit::Success {
                return Ok(exit);
            }
            // A success would be taken for a word about the connections.
            writeln!(human, "error: {ONLY_OFFLINE}")?;
            Ok(Exit::Failed)
        }
        Command::Config(ConfigCommand::Sample) => {
            sample(&mut io::stdout())?;
            Ok(Exit::Success)
        }
        Command::Config(ConfigCommand::Schema) => {
            schema(&mut io::stdout())?;
            Ok(Exit::Success)
        }
        #[cfg(feature = "demo")]
        Command::Demo(demo) => world::demo(demo, &outside).await,
        Command::Ledger(command) => match load(&path, &outside)? {
            Ok(config) => ledger::look(&config, &command).await,
            Err(exit) => Ok(exit),
        },
        Command::Run => match load(&path, &outside)? {
            Ok(config) => service::run(config, &outside).await,
            Err(exit) => Ok(exit),
        },
        #[cfg(feature = "demo")]
        Command::Simulate(simulate) => {
            crate::demo::place_certificates(&path)?;
            match load(&path, &outside)? {
                Ok(config) => world::simulate(config, &path, simulate).await,
                Err(exit) => Ok(exit),
            }
        }
        Command::Subscriptions(SubscriptionsCommand::List { select }) => {
            match load(&path, &outside)? {
                Ok(config) => subscriptions::list(config, &select).await,
                Err(exit) => Ok(exit),
            }
        }
    }
}

/// Reads the configuration; says what is wrong with it and how to end, if anything is.
fn load(path: &std::path::Path, outside: &Outside) -> Result<Result<Config, Exit>, CommandError> {
    match Config::load(path, outside.variables.iter().cloned()) {
        Ok(Loaded { config, warnings }) => {
            for warning in warnings {
                writeln!(io::stderr(), "warning: {warning}")?;
            }
            Ok(Ok(config))
        }
        Err(problems) => {
            writeln!(io::stderr(), "{problems}")?;
            Ok(Err(Exit::InvalidConfiguration))
        }
    }
}

/// Writes an error and what caused it, one line each.
pub fn complain(human: &mut impl Write, error: &(dyn Error + 'static)) {
    let mut line = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // A transparent error repeats its source.
        if !line.contains(&text) {
            line.push_str("\n  because ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    // Nobody is left to tell when standard error is gone.
    writeln!(human, "{line}").ok();
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The demo could not be shown.
    #[cfg(feature = "demo")]
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// A standard stream or a file.
    #[error("cannot read or write")]
    Io(#[from] io::Error),
    /// The result cannot be written as JSON.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log filter is none.
    #[error("log.filter cannot be used")]
    LogFilter(#[from] tracing_subscriber::filter::ParseError),
    /// The API client cannot be built.
    #[error(transparent)]
    Microsoft(#[from] ClientError),
    /// A metric name is taken.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The generated configuration of the demo is refused.
    #[error("{0}")]
    Problems(#[from] Problems),
    /// A part ended by itself.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The simulated sides cannot be served.
    #[cfg(feature = "demo")]
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// The service cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No tenant has this name or id.
    #[error("no tenant is configured with the name or id {0:?}")]
    UnknownTenant(String),
}

const ONLY_OFFLINE: &str = "only the file was checked, because connections cannot be checked yet; \
                            `check --offline` asks for no more than that";
