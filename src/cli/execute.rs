//! From a parsed command line to what it does.

use std::io::{self, Write};

#[cfg(feature = "demo")]
use super::world;
use super::{
    Check, Cli, Command, CommandError, ConfigCommand, Exit, LedgerCommand, Outside, backfill,
    check, consent, health, import, ledger,
    offline::{self, auth_id, sample, schema, show},
    service, subscriptions, tenants,
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
        Command::Backfill(command) => match load_all(&path, &outside).await? {
            Ok(config) => backfill::announce(config, command, &outside).await,
            Err(exit) => Ok(exit),
        },
        Command::Check(Check { offline: true, json, .. }) => {
            if json {
                check::file(&path, &outside)?;
            }
            Ok(offline::check(&path, outside.variables, &mut io::stderr())?)
        }
        Command::Check(Check { record, json, .. }) => {
            match Config::load(&path, outside.variables.iter().cloned()) {
                Ok(loaded) => {
                    // What is wrong with the ledger is one of the findings.
                    tenants::take_up(&loaded.config).await.ok();
                    check::walk(loaded, path, record, json, &outside).await
                }
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
        Command::Config(ConfigCommand::Import { file }) => {
            import::carry_over(&file, &mut io::stdout(), &mut io::stderr())
        }
        Command::Config(ConfigCommand::Sample) => {
            sample(&mut io::stdout())?;
            Ok(Exit::Success)
        }
        Command::Config(ConfigCommand::Schema) => {
            schema(&mut io::stdout())?;
            Ok(Exit::Success)
        }
        Command::Config(ConfigCommand::Show) => {
            Ok(show(&path, outside.variables, &mut io::stdout(), &mut io::stderr())?)
        }
        Command::Consent(command) => match load(&path, &outside)? {
            Ok(config) => consent::ask(config, command).await,
            Err(exit) => Ok(exit),
        },
        #[cfg(feature = "demo")]
        Command::Demo(demo) => world::demo(demo, &outside).await,
        Command::Health => match Config::load(&path, outside.variables.iter().cloned()) {
            // It is asked every few seconds; `run` has said what there is to say.
            Ok(loaded) => health::ask(loaded.config.admin.listen).await,
            Err(problems) => {
                writeln!(io::stderr(), "{problems}")?;
                Ok(Exit::InvalidConfiguration)
            }
        },
        Command::Ledger(command) => {
            let loaded = match command {
                // The configured ledger may be the one that is still to be made.
                LedgerCommand::Copy(_) => load(&path, &outside)?,
                _ => load_all(&path, &outside).await?,
            };
            match loaded {
                Ok(config) => ledger::execute(config, command, &outside).await,
                Err(exit) => Ok(exit),
            }
        }
        Command::Run => match load(&path, &outside)? {
            Ok(config) => service::run(config, &outside).await,
            Err(exit) => Ok(exit),
        },
        #[cfg(feature = "demo")]
        Command::Simulate(simulate) => {
            crate::demo::place_certificates(&path)?;
            if simulate.prepare {
                return Ok(Exit::Success);
            }
            match load(&path, &outside)? {
                Ok(config) => world::simulate(config, &path, simulate).await,
                Err(exit) => Ok(exit),
            }
        }
        Command::Subscriptions(command) => match load_all(&path, &outside).await? {
            Ok(config) => subscriptions::execute(config, &command).await,
            Err(exit) => Ok(exit),
        },
        Command::Tenants(command) => match load(&path, &outside)? {
            Ok(config) => tenants::execute(config, &command).await,
            Err(exit) => Ok(exit),
        },
    }
}

/// As [`load`], with the tenants the ledger has stored.
async fn load_all(
    path: &std::path::Path,
    outside: &Outside,
) -> Result<Result<Config, Exit>, CommandError> {
    let loaded = load(path, outside)?;
    if let Ok(config) = &loaded {
        tenants::take_up(config).await?;
    }
    Ok(loaded)
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
