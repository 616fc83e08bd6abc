//! `config import`: a parameters file of Devo's own collector as our configuration.
//!
//! The shape of such files is known only in outline, so what is not understood is said, never
//! refused: every key of the file is either carried over or named on standard error with the reason
//! why it is not.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{CommandError, Exit};
use crate::content::{ContentType, TenantId};

mod outputs;
mod tenant;

use tenant::Tenant;

/// Writes the configuration to `output`, and what is not in it to `human`.
pub(super) fn carry_over(
    path: &Path,
    output: &mut impl Write,
    human: &mut impl Write,
) -> Result<Exit, CommandError> {
    let Converted { text, left, tenants } = convert(&read(path)?);
    output.write_all(text.as_bytes())?;
    for note in &left {
        writeln!(human, "not carried over: {note}")?;
    }
    writeln!(human, "{NEXT}")?;
    Ok(if tenants == 0 { Exit::Failed } else { Exit::Success })
}

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no JSON.
    #[error("{} is not JSON; convert a YAML file first, such as with `yq -o json`", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it ends to be JSON.
        source: serde_json::Error,
    },
    /// It names no inputs.
    #[error("{} has no \"inputs\" object, so it is no parameters file of a collector", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
    },
}

fn read(path: &Path) -> Result<Map<String, Value>, ImportError> {
    let failed = |source| ImportError::File { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text)).map_err(failed)?;
    let value = serde_json::from_slice(&text)
        .map_err(|source| ImportError::Json { path: path.to_owned(), source })?;
    match value {
        Value::Object(root) if root.get("inputs").is_some_and(Value::is_object) => Ok(root),
        _ => Err(ImportError::Shape { path: path.to_owned() }),
    }
}

/// What became of a file.
#[derive(Debug)]
struct Converted {
    /// The configuration.
    text: String,
    /// What is not in it.
    left: Vec<String>,
    /// How many tenants are.
    tenants: usize,
}

/// What of a file could not be carried over, with its place in it.
#[derive(Debug, Default)]
struct LeftOut(Vec<String>);

impl LeftOut {
    fn note(&mut self, at: &str, why: &str) {
        self.0.push(format!("{at}: {why}"));
    }
}

fn convert(root: &Map<String, Value>) -> Converted {
    let mut left = LeftOut::default();
    let mut debug = false;
    for (name, value) in root {
        match name.as_str() {
            "inputs" | "outputs" => {}
            "global_overrides" | "globals" => debug |= globals(name, value, &mut left),
            _ => left.note(name, "unknown"),
        }
    }
    let devo = outputs::read(root.get("outputs"), &mut left);
    let inputs = root.get("inputs").and_then(Value::as_object);
    let mut tenants: Vec<Tenant> = Vec::new();
    for (name, input) in inputs.into_iter().flatten() {
        let Some(tenant) = tenant::read(name, input, &mut left) else { continue };
        match tenants.iter_mut().find(|other| other.id == tenant.id) {
            Some(same) => same.merge(tenant, &mut left),
            None => tenants.push(tenant),
        }
    }
    for index in 1..tenants.len() {
        let (before, rest) = tenants.split_at_mut(index);
        let Some(tenant) = rest.first_mut() else { break };
        if before.iter().any(|other| other.name == tenant.name) {
            tenant.name = tenant.id.label();
        }
    }
    let mut text = HEAD.to_owned();
    tenants.iter().for_each(|tenant| tenant.write(&mut text));
    devo.write(&mut text);
    if debug {
        text.push_str("\n[log]\nfilter = \"debug\"\n");
    }
    if tenants.is_empty() {
        left.note("inputs", "no input names a tenant, an application and its secret");
    }
    Converted { text, left: left.0, tenants: tenants.len() }
}

/// Says whether debugging was on.
fn globals(at: &str, value: &Value, left: &mut LeftOut) -> bool {
    let mut debug = false;
    for (name, value) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match name.as_str() {
            "id" | "name" => {}
            "debug" => debug = value.as_bool().unwrap_or_default(),
            "persistence" => left.note(&at, "the ledger is one of its own, see [ledger]"),
            "multiprocessing"
            | "queue_max_size_in_messages"
            | "queue_max_size_in_mb"
            | "queue_max_elapsed_time_in_sec"
            | "queue_wrap_max_size_in_messages" => {
                left.note(&at, "there is no queue to size");
            }
            _ => left.note(&at, "unknown"),
        }
    }
    debug
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

const HEAD: &str = "\
# Made from a parameters file of Devo's collector; `m365-collector config sample` explains every key.
# Everything is found by listing. For notifications, which are faster, add:
#[webhook]
#address = \"https://m365.example.com/webhook\"
#auth_id = { file = \"auth-id\" }
";

const NEXT: &str = "\
the secrets stand in the result as they stood in the file; better move each to a file of its own: \
client_secret = { file = \"…\" }. Stop the old collector first, or every record arrives twice. Then: \
m365-collector check";

/// Such a file has a few kilobytes.
const MAX_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
