//! Decides which Devo table a record belongs to.
//!
//! [`Head`] reads the few fields of a record that decisions are made on; [`Tables`] turns its
//! workload, or else the content type it came with, into the last level of the tag. Every record
//! has a table: one that names no workload, or cannot be read, goes where its content type says.
//!
//! Workloads come from the network, so what is remembered about them is bounded (I7): when
//! `MAX_KNOWN` tables are known, routing goes on as before, but a further table is made anew for
//! each record and shares the fallback's metric label.

mod config;
mod head;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, RwLock},
};

use crate::content::ContentType;

pub use self::{
    config::{Config, InvalidTable},
    head::Head,
};

/// The tables records are routed to.
#[derive(Debug)]
pub struct Tables {
    prefix: Box<str>,
    fallback: Box<str>,
    /// Workload and table; so few that they are compared one by one.
    mapped: Vec<(String, String)>,
    known: RwLock<HashSet<Arc<str>>>,
}

impl Tables {
    /// What every tag begins with, without the dot before the table.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Checks the configuration and makes its tables known.
    ///
    /// # Errors
    ///
    /// The first of [`Config::problems`].
    pub fn try_new(config: Config) -> Result<Self, InvalidTable> {
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(problem);
        }
        // What is configured keeps its own label, however many tables the network brings.
        let known = config.workload.values().map(|name| Arc::from(&**name));
        let tables = Self {
            known: RwLock::new(known.collect()),
            prefix: config.prefix.into(),
            fallback: config.fallback.into(),
            mapped: config.workload.into_iter().collect(),
        };
        for content_type in ContentType::ALL {
            tables.implied(content_type);
        }
        Ok(tables)
    }

    /// The table of a record that came with this content type and names this workload.
    pub fn table(&self, content_type: ContentType, workload: Option<&[u8]>) -> Table {
        let workload = workload.unwrap_or_default();
        if let Some(name) = self.mapped(workload) {
            return self.know(name);
        }
        match fold(workload, &mut [0; MAX_FOLDED]) {
            "" => self.implied(content_type),
            name => self.know(name),
        }
    }

    /// The metric label of a table: its name, or the fallback's for a table beyond the bound.
    pub fn label<'a>(&'a self, table: &'a Table) -> &'a str {
        if table.known { &table.name } else { &self.fallback }
    }

    fn mapped(&self, workload: &[u8]) -> Option<&str> {
        self.mapped
            .iter()
            .find(|(key, _)| key.as_bytes().eq_ignore_ascii_case(workload))
            .map(|(_, name)| &**name)
    }

    /// The table of records that name no workload. The broad feeds hold those of many workloads.
    fn implied(&self, content_type: ContentType) -> Table {
        let workload = match content_type {
            ContentType::AzureActiveDirectory => "AzureActiveDirectory",
            ContentType::Exchange => "Exchange",
            ContentType::SharePoint => "SharePoint",
            ContentType::Dlp | ContentType::General => return self.know(&self.fallback),
        };
        self.table(content_type, Some(workload.as_bytes()))
    }

    fn know(&self, name: &str) -> Table {
        {
            let known = self.known.read().expect("no holder of this lock panics");
            if let Some(name) = known.get(name) {
                return Table { name: Arc::clone(name), known: true };
            }
            if known.len() >= MAX_KNOWN {
                return Table { name: name.into(), known: false };
            }
        }
        // Threads that passed the check above together may exceed the bound, by their number.
        let mut known = self.known.write().expect("no holder of this lock panics");
        let name = Arc::from(name);
        known.insert(Arc::clone(&name));
        Table { name, known: true }
    }
}

/// Routes the records of one content. They name few workloads, so that most are found by looking at
/// the last ones.
#[derive(Debug)]
pub struct Routes {
    tables: Arc<Tables>,
    content_type: ContentType,
    /// Workloads and their tables, the last one found first.
    seen: Vec<(Box<[u8]>, Table)>,
}

impl Routes {
    /// Knows nothing yet.
    pub const fn new(tables: Arc<Tables>, content_type: ContentType) -> Self {
        Self { tables, content_type, seen: Vec::new() }
    }

    /// The same as [`Tables::table`].
    pub fn table(&mut self, workload: Option<&[u8]>) -> &Table {
        // None and an empty one are routed alike.
        let workload = workload.unwrap_or_default();
        match self.seen.iter().position(|(seen, _)| **seen == *workload) {
            Some(at) => self.seen.swap(0, at),
            None => {
                let table = self.tables.table(self.content_type, Some(workload));
                self.seen.truncate(MAX_SEEN - 1);
                self.seen.insert(0, (workload.into(), table));
            }
        }
        &self.seen[0].1
    }
}

/// A table records are routed to: the last level of their tag. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    name: Arc<str>,
    /// Whether it may be a metric label of its own.
    known: bool,
}

impl Table {
    /// The last level of the tag.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Makes a table's name of a workload: lower case, `[a-z0-9_]` only, of a sane length.
fn fold<'a>(workload: &[u8], folded: &'a mut [u8; MAX_FOLDED]) -> &'a str {
    let kept = workload.iter().filter(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
    let mut length = 0;
    for (slot, byte) in folded.iter_mut().zip(kept) {
        *slot = byte.to_ascii_lowercase();
        length += 1;
    }
    str::from_utf8(&folded[..length]).expect("only ASCII is kept")
}

/// More than a content holds, and quicker to look through than to route again.
const MAX_SEEN: usize = 8;

/// Several times the workloads Microsoft is known to use, and harmless as metric labels.
const MAX_KNOWN: usize = 256;

/// More than twice the longest workload known.
const MAX_FOLDED: usize = 64;
