//! How tables are named, and what makes a name one.

use std::collections::{BTreeMap, HashSet};

/// How records are routed to tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The leading levels of every tag, at least two, of `[a-z0-9_]`.
    pub prefix: String,
    /// The table of records whose workload is not known. `[a-z0-9_]`.
    pub fallback: String,
    /// Tables of workloads that are not just the workload in lower case. Workloads are compared
    /// without case; tables are of `[a-z0-9_]`.
    pub workload: BTreeMap<String, String>,
}

impl Config {
    /// Everything that is wrong with it.
    pub fn problems(&self) -> Vec<InvalidTable> {
        let mut problems = Vec::new();
        let mut report = |key: &str, found: &str, expected| {
            problems.push(InvalidTable { key: key.to_owned(), found: found.to_owned(), expected });
        };

        let levels = self.prefix.split('.');
        if levels.clone().count() < 2 || !levels.clone().all(is_level) {
            report("prefix", &self.prefix, "at least two levels of [a-z0-9_]");
        }
        // The longest level made of a workload must fit behind it, too.
        if !self.fits(super::MAX_FOLDED) {
            report("prefix", &self.prefix, FITTING);
        }

        let mut workloads = HashSet::new();
        for workload in self.workload.keys() {
            let key = format!("workload.{workload}");
            if workload.is_empty() {
                report(&key, workload, "a workload");
            }
            if !workloads.insert(workload.to_ascii_lowercase()) {
                report(&key, workload, "each workload once, whatever its case");
            }
        }

        let mapped =
            self.workload.iter().map(|(workload, table)| (format!("workload.{workload}"), table));
        for (key, table) in mapped.chain([("fallback".to_owned(), &self.fallback)]) {
            if !is_level(table) {
                report(&key, table, "a table of [a-z0-9_]");
            } else if !self.fits(table.len()) {
                report(&key, table, FITTING);
            }
        }
        problems
    }

    /// Whether a table of this length makes a tag that Devo takes.
    fn fits(&self, table: usize) -> bool {
        self.prefix.len() + 1 + table <= MAX_TAG
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: "cloud.office365.management".to_owned(),
            fallback: "other".to_owned(),
            workload: BTreeMap::from([(
                "AzureActiveDirectory".to_owned(),
                "azure_active_directory".to_owned(),
            )]),
        }
    }
}

/// A name that cannot be part of a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: found {found:?}, expected {expected}")]
pub struct InvalidTable {
    /// `prefix`, `fallback` or `workload.…`.
    pub key: String,
    /// What it says.
    pub found: String,
    /// What it should be.
    pub expected: &'static str,
}

fn is_level(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Devo's limit for a whole tag.
const MAX_TAG: usize = 1024;

const FITTING: &str = "a tag of at most 1024 characters";
