//! Why a command cannot be carried out, and how that is said.

use std::{
    error::Error,
    io::{self, Write},
};

use super::{consent::ConsentError, import::ImportError};
#[cfg(feature = "demo")]
use crate::demo::{DemoError, SimulateError};
use crate::{
    app::{RunError, StartError},
    config::Problems,
    ledger::{CopyError, LedgerError, OpenError, StoreError},
    microsoft::ClientError,
    sweep::BackfillError,
    tls::TlsError,
};

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The backfill was not finished.
    #[error(transparent)]
    Backfill(#[from] BackfillError),
    /// The ledger was not copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The demo could not be shown.
    #[cfg(feature = "demo")]
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// There is no time between the two.
    #[error("nothing lies between --from and --to")]
    EmptyRange,
    /// A standard stream or a file.
    #[error("cannot read or write")]
    Io(#[from] io::Error),
    /// The result cannot be written as JSON.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// A consent was not given, or cannot be asked for.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The file of Devo's collector cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Spans cannot be exported as the environment wants it.
    #[cfg(feature = "otel")]
    #[error("cannot export spans")]
    Telemetry(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log filter is none.
    #[error("log.filter cannot be used")]
    LogFilter(#[from] tracing_subscriber::filter::ParseError),
    /// The API client cannot be built.
    #[error(transparent)]
    Microsoft(#[from] ClientError),
    /// Nothing that is collected is selected.
    #[error("no configured tenant collects what --tenant and --type select")]
    NoFeed,
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
    /// The crypto provider does not work.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A tenant cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tenant of the configuration cannot be removed by a command.
    #[error("{0} is in the configuration; take it out there and start the service again")]
    Configured(String),
    /// No tenant has this name or id.
    #[error("no tenant is configured with the name or id {0:?}")]
    UnknownTenant(String),
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
