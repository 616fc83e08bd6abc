//! The commands that need no service: checking the file, and writing a sample and a schema.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{CommandError, Exit};
use crate::{
    config::{Config, Loaded, SAMPLE, json_schema},
    tls,
};

/// Checks the configuration file, and says on `human` what is wrong or that nothing is.
///
/// # Errors
///
/// Only when `human` cannot be written to.
pub(super) fn check(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
    human: &mut impl Write,
) -> io::Result<Exit> {
    let Loaded { config, warnings } = match Config::load(path, environment) {
        Ok(loaded) => loaded,
        Err(problems) => {
            writeln!(human, "{problems}")?;
            let (count, noun) = (problems.iter().count(), "problem");
            writeln!(
                human,
                "configuration is invalid: {}; `m365-collector config sample` explains every key",
                counted(count, noun)
            )?;
            return Ok(Exit::InvalidConfiguration);
        }
    };
    for warning in &warnings {
        writeln!(human, "warning: {warning}")?;
    }
    let subscriptions = config.tenants.iter().map(|tenant| tenant.content_types.len()).sum();
    writeln!(
        human,
        "configuration is valid: {}, {}, {} to {}",
        counted(config.tenants.len(), "tenant"),
        counted(subscriptions, "subscription"),
        counted(config.deliver.connections.get(), "connection"),
        config.deliver.endpoint,
    )?;
    Ok(Exit::Success)
}

/// Writes an auth id that nobody guesses.
///
/// # Errors
///
/// When the system has no randomness, or `output` cannot be written to.
pub(super) fn auth_id(output: &mut impl Write) -> Result<(), CommandError> {
    let random = tls::random::<32>()?;
    writeln!(output, "{}", random.map(|byte| format!("{byte:02x}")).concat())?;
    Ok(())
}

/// Writes the sample configuration.
///
/// # Errors
///
/// When `output` cannot be written to.
pub(super) fn sample(output: &mut impl Write) -> io::Result<()> {
    output.write_all(SAMPLE.as_bytes())
}

/// Writes what is in force, without secrets.
///
/// # Errors
///
/// When a stream cannot be written to.
pub(super) fn show(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
    output: &mut impl Write,
    human: &mut impl Write,
) -> io::Result<Exit> {
    match Config::show(path, environment) {
        Ok((text, warnings)) => {
            for warning in &warnings {
                writeln!(human, "warning: {warning}")?;
            }
            output.write_all(text.trim_start().as_bytes())?;
            Ok(Exit::Success)
        }
        Err(problems) => {
            writeln!(human, "{problems}")?;
            Ok(Exit::InvalidConfiguration)
        }
    }
}

/// Writes the JSON Schema of the configuration file.
///
/// # Errors
///
/// When `output` cannot be written to.
pub(super) fn schema(output: &mut impl Write) -> io::Result<()> {
    writeln!(output, "{}", json_schema())
}

fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
