//! The command line: what can be asked for, and what is done about it.
//!
//! Results go to standard output, everything meant for people to standard error.

#[cfg(feature = "demo")]
use std::num::NonZeroU32;
use std::{path::PathBuf, process::ExitCode};

use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::Timestamp;

#[cfg(feature = "demo")]
use crate::{
    config::HumanDuration,
    deliver::{Endpoint, InvalidEndpoint},
};
use crate::{content::ContentType, doctor::Table};

mod arguments;
mod asking;
mod backfill;
mod check;
mod completeness;
mod consent;
mod copy;
mod error;
mod execute;
mod health;
mod import;
mod ledger;
mod letters;
mod log;
mod offline;
mod outside;
mod replicas;
mod service;
mod subscriptions;
mod table;
#[cfg(feature = "otel")]
mod telemetry;
mod tenants;
#[cfg(feature = "demo")]
mod world;

#[cfg(test)]
mod tests;

pub use arguments::{Consent, Copying, LedgerCommand, SubscriptionsCommand, TenantsCommand};
pub use consent::ConsentError;
pub use error::{CommandError, complain};
pub use execute::execute;
pub use import::ImportError;
pub use outside::Outside;

/// Microsoft 365 audit records, delivered to Devo
///
/// Receives what Microsoft announces about audit records, fetches the records and delivers every
/// one of them to Devo at least once: through crashes, restarts, throttling and outages of either
/// side.
///
/// Try it without an account with `m365-collector demo`; start with `m365-collector config sample`.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// The configuration file
    ///
    /// Every key of it can be overridden by the environment, such as
    /// `M365_COLLECTOR__WEBHOOK__LISTEN`.
    #[arg(long, global = true, value_name = "FILE", default_value = "m365-collector.toml")]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the service
    ///
    /// Serves the public and the admin port until SIGTERM or SIGINT, then finishes what is under
    /// way within 30 seconds. A second signal ends it at once; nothing is lost by that, only sent
    /// again.
    Run,
    /// Show the whole path on this machine, with no account and no file
    ///
    /// A simulated Microsoft side, the real collector and a TLS syslog receiver, with live progress
    /// on a terminal and one summary at the end. Succeeds only if every generated record arrived
    /// exactly once.
    #[cfg(feature = "demo")]
    Demo(Demo),
    /// Simulate only the Microsoft side and the Devo side
    ///
    /// For trying an installation of your own: it serves the addresses that the configuration file
    /// names for Microsoft and Devo, until it is stopped.
    #[cfg(feature = "demo")]
    Simulate(Simulate),
    /// Collect what Microsoft lists for a range of time
    ///
    /// Announces everything of up to the last 7 days to the ledger, where the service claims it
    /// after what comes in live. Works beside a running service and without one; run again after an
    /// interruption, it goes on where it was.
    Backfill(Backfill),
    /// Say in plain words what is wrong, and who has to do what
    ///
    /// First all problems of the configuration file at once, each on its own line. Then every hop is
    /// looked at: files, ledger and ports, Microsoft's hosts, clock, tokens and roles, the public
    /// address, subscriptions and content, Devo. Nothing is started or changed; a service may be
    /// running or not. Fails when anything does not work.
    Check(Check),
    /// Help with the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Have another organisation's administrator consent, and collect its records from then on
    ///
    /// Shows the address that the administrator opens, waits until the browser comes back, finds
    /// out whose consent it is and stores the tenant. A running service collects it within
    /// seconds, with the credential it has for the application.
    Consent(Consent),
    /// Ask the running service whether it is ready, for a container's health check
    ///
    /// Shows what `/readyz` of its admin port says. Fails when it is not ready or nobody answers.
    Health,
    /// Look into the ledger: what arrived, what waits, what is dead; replay what is dead
    ///
    /// Works beside a running service.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Look at the subscriptions Microsoft keeps for us; start and stop them
    #[command(subcommand)]
    Subscriptions(SubscriptionsCommand),
    /// Look at the tenants that are collected; remove one that was added by `consent`
    #[command(subcommand)]
    Tenants(TenantsCommand),
}

/// How the demonstration runs.
#[cfg(feature = "demo")]
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// How many tenants to simulate
    #[arg(long, value_name = "N", default_value = "2")]
    pub tenants: NonZeroU32,
    /// How many blobs to announce in a second, all tenants together
    #[arg(long, value_name = "BLOBS/S", default_value = "20")]
    pub rate: NonZeroU32,
    /// How long to announce new blobs, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", default_value = "20s")]
    pub duration: HumanDuration,
    /// Deliver to this receiver instead of the built-in one
    ///
    /// tls://host:port, tcp://host:port, or host:port for plain TCP.
    #[arg(long, value_name = "ADDR", value_parser = receiver)]
    pub devo: Option<Endpoint>,
}

/// What happens at the simulated Microsoft.
#[cfg(feature = "demo")]
#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// How many blobs to publish in a second, all tenants together
    #[arg(long, value_name = "BLOBS/S", default_value = "2")]
    pub rate: NonZeroU32,
    /// How long to publish, such as 30s or 5m; without it until stopped
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<HumanDuration>,
    /// Publish this many generated records, then only serve
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// First publish the records of this file, one JSON object a line, each once
    #[arg(long, value_name = "FILE")]
    pub records: Option<PathBuf>,
    /// Leave Devo's side to a receiver of your own at devo.endpoint
    #[arg(long)]
    pub without_devo: bool,
    /// Only make the certificates and credentials that the configuration names and that are not
    /// there
    #[arg(long)]
    pub prepare: bool,
}

/// Which content is collected.
#[derive(Clone, Debug, Args)]
pub struct Backfill {
    /// The tenant, by its configured name or its id
    #[arg(long, value_name = "T")]
    pub tenant: String,
    /// Only this content type, in any case; without it all of the tenant's
    #[arg(long = "type", value_name = "C", value_parser = content_type(), ignore_case = true)]
    pub content_type: Option<ContentType>,
    /// The first moment: a date (UTC), or a time such as 2026-01-31T13:00:00Z
    #[arg(long, value_name = "TIME", value_parser = backfill::moment)]
    pub from: Timestamp,
    /// The moment after the last; without it now
    #[arg(long, value_name = "TIME", value_parser = backfill::moment)]
    pub to: Option<Timestamp>,
    /// Read days again that were read to their end before, for content that appeared late
    #[arg(long)]
    pub again: bool,
}

/// What is checked.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Check the file only, without any connection
    #[arg(long)]
    pub offline: bool,
    /// Send a test record to this table of Devo: the last level of a tag, or a whole tag such as
    /// test.keep.free
    #[arg(long, value_name = "TABLE", conflicts_with = "offline")]
    pub record: Option<Table>,
    /// Write JSON to standard output instead of a list
    #[arg(long)]
    pub json: bool,
}

/// Help with the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Write a new auth id to standard output: 64 random hexadecimal digits
    ///
    /// Put it into the file that `webhook.auth_id` names. To replace one that is in use, move the
    /// old one to `webhook.previous_auth_id` first; it can go when every subscription was started
    /// again.
    AuthId,
    /// Turn a parameters file of Devo's own collector into ours, on standard output
    ///
    /// Says on standard error what could not be carried over. Fails when no tenant was.
    Import {
        /// The JSON file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write a commented sample to standard output, with every key and its default
    Sample,
    /// Write the JSON Schema of the file to standard output, for editors
    Schema,
    /// Write what is in force: file, environment and defaults together, without secrets
    ///
    /// Every key says in a comment where its value is from.
    Show,
}

/// A selection by tenant and content type, and the form of the result.
#[derive(Clone, Debug, Args)]
pub struct Select {
    /// Only this tenant, by its configured name or its id
    #[arg(long, value_name = "T")]
    pub tenant: Option<String>,
    /// Only this content type, in any case
    #[arg(long = "type", value_name = "C", value_parser = content_type(), ignore_case = true)]
    pub content_type: Option<ContentType>,
    /// Write JSON to standard output instead of a table
    #[arg(long)]
    pub json: bool,
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A run or a check failed.
    Failed,
    /// The configuration is invalid.
    InvalidConfiguration,
    /// All is well.
    Success,
}

impl Exit {
    /// The number the shell sees. 78 is `EX_CONFIG` of `sysexits.h`.
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::InvalidConfiguration => 78,
            Self::Success => 0,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

fn content_type() -> impl TypedValueParser<Value = ContentType> {
    PossibleValuesParser::new(ContentType::ALL.map(ContentType::as_str))
        .try_map(|text| text.parse::<ContentType>())
}

/// Without a scheme only plain TCP can work: there is no place to name an authority.
#[cfg(feature = "demo")]
fn receiver(text: &str) -> Result<Endpoint, &'static str> {
    let plain = |_| format!("tcp://{text}").parse();
    text.parse()
        .or_else(plain)
        .map_err(|_: InvalidEndpoint| "expected tls://host:port, tcp://host:port or host:port")
}

const AFTER_HELP: &str = "\
Examples:
  m365-collector demo --tenants 5 --rate 50 --for 1m
  m365-collector config sample > m365-collector.toml
  m365-collector config auth-id > /run/secrets/auth-id
  m365-collector check
  m365-collector run --config /etc/m365-collector.toml
  m365-collector backfill --tenant contoso --from 2026-01-31
  m365-collector ledger pending --tenant contoso --type Audit.Exchange --json
  m365-collector ledger completeness --from 2026-01-26 --to 2026-01-31

Results are written to standard output, everything else to standard error.

Exit codes:
   0  success
   1  a run or a check failed
   2  the command line is wrong
  78  the configuration is invalid; each problem is on its own line";
