//! From a parsed command line to what it does.

use std::io::{self, Write};

#[cfg(feature = "demo")]
use super::world;
use super::{
    Check, Cli, Command, CommandError, ConfigCommand, Exit, Outside, SubscriptionsCommand,
    backfill, check, ledger,
    offline::{self, auth_id, sample, schema},
    service, subscriptions,
};
use crate::config::{Config, Loaded};

/// Does what was asked.
///
/// # Errors
///
/// [`CommandError`] when a run or a check cannot be made; what a check finds is its [`Exit`].
pub async fn execute(cli: Cli, outside: Outside) -> Result<Exit, CommandError> {
    let path = cli.config;
    match cli.command {
        Command::Backfill(command) => match load(&path, &outside)? {
            Ok(config) => backfill::announce(config, command, &outside).await,
            Err(exit) => Ok(exit),
        },
        Command::Check(Check { offline: true, .. }) => {
            Ok(offline::check(&path, outside.variables, &mut io::stderr())?)
        }
        Command::Check(Check { record, json, .. }) => {
            match Config::load(&path, outside.variables.iter().cloned()) {
                Ok(loaded) => check::walk(loaded, path, record, json, &outside).await,
                Err(problems) => {
                    if json {
                        check::problems(&problems, &path)?;
                    }
                    Ok(offline::check(&path, outside.variables, &mut io::stderr())?)
                }
            }
        }
        Command::Config(ConfigCommand::AuthId) => {
            auth_id(&mut io::stdout())?;
            Ok(Exit::Success)
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
            Ok(config) => ledger::execute(config, command, &outside).await,
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
