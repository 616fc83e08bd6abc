//! The configuration: one TOML file and its overrides, read into checked settings.
//!
//! # What it does
//!
//! The file is parsed into a tree that knows its lines (`document`); variables of the form
//! `M365_COLLECTOR__SECTION__KEY` are put over it (`environment`); the tree is read into plain
//! structs (`read`, `raw`); and those are checked against each other and turned into what each
//! module takes (`check`, [`settings`]). Each of these steps goes on after a problem, so that an
//! operator sees everything at once ([`Problems`]).
//!
//! # Guarantees
//!
//! Whoever holds a [`Config`] may rely on it: files named in it were there, secrets could be read,
//! and values lie within their bounds. No secret is part of any text that is printed (I9). No
//! module knows this one.
//!
//! # What it does not do
//!
//! It reads no environment, the caller passes it in; it opens no connection; it does not look into
//! certificates but those of tenants, that is for whoever uses them. Relative paths are relative to the directory of
//! the configuration file.

use std::{collections::BTreeMap, path::Path};

mod check;
mod document;
mod environment;
mod findings;
mod key;
mod problem;
mod raw;
mod read;
mod sample;
mod schema;
pub mod settings;
mod show;
mod value;

#[cfg(test)]
mod tests;

use document::Document;
use findings::Findings;
pub use problem::{Problem, Problems, Warning};
pub use sample::SAMPLE;
pub use schema::json as json_schema;
use settings::log;
pub use value::{HumanDuration, InvalidDuration};

use crate::{
    admin, app, content::Tenants, deliver, identity, ledger, logbook, microsoft, pipeline, route,
    stats, subscriptions, sweep, webhook,
};

/// The settings of every module.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public port; none: everything is found by listing.
    pub webhook: Option<webhook::Config>,
    /// The port for operators.
    pub admin: admin::Config,
    /// The durable store.
    pub ledger: ledger::Config,
    /// The management API and its token endpoint.
    pub microsoft: microsoft::Config,
    /// The subscriptions kept at Microsoft.
    pub subscriptions: subscriptions::Config,
    /// The way from a claim to a sent record.
    pub pipeline: pipeline::Config,
    /// The sessions to Devo.
    pub deliver: deliver::Config,
    /// The table of a record.
    pub route: route::Config,
    /// The listing of what Microsoft has.
    pub sweep: sweep::Config,
    /// The window of record identities.
    pub records: identity::Config,
    /// Telling Devo our own counters; none: not.
    pub stats: Option<stats::Config>,
    /// The program's own log.
    pub log: log::Config,
    /// Telling Devo that log; none: not.
    pub logbook: Option<logbook::Config>,
    /// The organisations whose records are collected.
    pub tenants: Tenants,
}

impl Config {
    /// Reads the file at `path`, with overrides and secrets from `environment`.
    ///
    /// # Errors
    ///
    /// [`Problems`] with everything that is wrong; the caller ends with exit code 78.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Problems> {
        Self::assemble(Document::read(path)?, environment)
    }

    /// Reads a text as the file at `path`, which need not exist.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn from_text(
        path: &Path,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Problems> {
        Self::assemble(Document::parse(path, text)?, environment)
    }

    fn assemble(
        mut document: Document,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Problems> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let variables = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let problems = environment::apply(&mut document, variables);
        let mut findings = Findings::new(&document, &environment, problems);
        let (raw, elements) = read::read(&document, &mut findings);
        let config = check::check(&raw, &elements, &mut findings);
        let (problems, warnings) = findings.into_parts();
        if !problems.is_empty() {
            return Err(Problems::new(problems));
        }
        let mut config = config.expect("a part is missing only where a problem was found");
        config.admin.file = Some(document.file().to_owned());
        Ok(Loaded { config, warnings })
    }
}

impl From<Config> for app::Config {
    fn from(config: Config) -> Self {
        Self {
            admin: config.admin,
            deliver: config.deliver,
            ledger: config.ledger,
            logbook: config.logbook,
            microsoft: config.microsoft,
            pipeline: config.pipeline,
            records: config.records,
            route: config.route,
            stats: config.stats,
            subscriptions: config.subscriptions,
            sweep: config.sweep,
            tenants: config.tenants,
            webhook: config.webhook,
        }
    }
}

/// A configuration that can be used, and what deserves a look.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What works and might not be meant, in the order of the file.
    pub warnings: Vec<Warning>,
}
