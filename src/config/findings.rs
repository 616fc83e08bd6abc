//! Collects what is wrong, so that one look shows everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use toml::Value;

use super::{
    document::Document,
    key::Key,
    problem::{Problem, Warning, quoted},
    value::{ByteSize, Count, FilePath, HumanDuration, SecretSource},
};
use crate::secret::Secret;

/// The problems and warnings met so far.
///
/// A key is complained about once: what follows from a value already refused is not said.
pub(super) struct Findings<'d> {
    document: &'d Document,
    environment: &'d BTreeMap<String, String>,
    complained: BTreeSet<Key>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl<'d> Findings<'d> {
    pub(super) fn new(
        document: &'d Document,
        environment: &'d BTreeMap<String, String>,
        problems: Vec<Problem>,
    ) -> Self {
        Self { document, environment, complained: BTreeSet::new(), problems, warnings: Vec::new() }
    }

    /// The problems, and the warnings in the order of the file.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Warning>) {
        let mut warnings = self.warnings;
        warnings.sort_by(|a, b| a.place().cmp(b.place()));
        (self.problems, warnings)
    }

    pub(super) fn problem(
        &mut self,
        key: &Key,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        if key.ancestry().any(|key| self.complained.contains(&key)) {
            return;
        }
        self.complained.insert(key.clone());
        let place = self.document.place(key);
        self.problems.push(Problem::new(place, key, found, expected));
    }

    pub(super) fn warning(&mut self, key: &Key, text: impl Into<String>) {
        let place = self.document.place(key);
        self.warnings.push(Warning::new(place, key, text));
    }

    /// Whether the file or an override sets the key.
    pub(super) fn sets(&self, key: &Key) -> bool {
        self.document.sets(key)
    }

    /// Whether its value is not from the file.
    pub(super) fn is_override(&self, key: &Key) -> bool {
        self.document.is_override(key)
    }

    /// The value as it is written; a default as it is shown.
    pub(super) fn written(&self, key: &Key, value: &dyn fmt::Display) -> String {
        match key.find(self.document.root()) {
            Some(Value::String(text)) => quoted(text),
            Some(_) | None => value.to_string(),
        }
    }

    /// The keys set directly below the given one.
    pub(super) fn keys_below(&self, parent: &Key) -> Vec<Key> {
        self.document.keys().filter(|key| key.parent().as_ref() == Some(parent)).cloned().collect()
    }

    /// A value that must be given.
    pub(super) fn required<T>(&mut self, key: &Key, value: Option<T>, expected: &str) -> Option<T> {
        // A value that was set and could not be read has been complained about.
        if value.is_none() && !self.sets(key) {
            self.problem(key, "nothing", expected);
        }
        value
    }

    pub(super) fn duration(
        &mut self,
        key: &Key,
        value: HumanDuration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        if !range.contains(&value.0) {
            let (least, most) = (HumanDuration(*range.start()), HumanDuration(*range.end()));
            self.problem(key, self.written(key, &value), format!("{least} to {most}"));
        }
        value.0
    }

    pub(super) fn size(&mut self, key: &Key, value: ByteSize, range: RangeInclusive<u64>) -> u64 {
        if !range.contains(&value.0) {
            let (least, most) = (ByteSize(*range.start()), ByteSize(*range.end()));
            self.problem(key, self.written(key, &value), format!("{least} to {most}"));
        }
        value.0
    }

    pub(super) fn count(&mut self, key: &Key, value: Count, range: RangeInclusive<u64>) -> u64 {
        if !range.contains(&value.0) {
            let (least, most) = (range.start(), range.end());
            self.problem(key, self.written(key, &value), format!("{least} to {most}"));
        }
        value.0
    }

    /// A file that is there and can be read.
    pub(super) fn file(&mut self, key: &Key, path: &FilePath) -> PathBuf {
        let path = self.resolve(&path.0);
        let readable = File::open(&path).and_then(|file| file.metadata());
        match readable {
            Ok(metadata) if metadata.is_dir() => {
                let found = format!("{}, a directory", quoted_path(&path));
                self.problem(key, found, "a readable file");
            }
            Ok(_) => {}
            Err(error) => {
                let found = format!("{} ({error})", quoted_path(&path));
                self.problem(key, found, "a readable file");
            }
        }
        path
    }

    /// A path as it is meant: relative to the directory of the configuration file.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.document.directory().join(path)
    }

    /// A secret that is there now. `acceptable` looks at its value and says what is expected.
    pub(super) fn secret(
        &mut self,
        key: &Key,
        source: &SecretSource,
        acceptable: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Option<Secret> {
        let secret = match source {
            SecretSource::Env(name) => {
                // A name that cannot be one may be the secret itself, in the wrong place.
                let (found, expected) = match self.environment.get(name) {
                    Some(value) if !value.trim().is_empty() => {
                        return self.accept(key, Secret::fixed(value.trim()), acceptable);
                    }
                    Some(_) => {
                        (format!("environment variable {}, empty", name.escape_debug()), "a value")
                    }
                    None if is_variable(name) => {
                        (format!("environment variable {name}, not set"), "a variable that is set")
                    }
                    None => {
                        ("a text that is no name".to_owned(), "the name of an environment variable")
                    }
                };
                self.problem(key, found, expected);
                return None;
            }
            SecretSource::File(path) => Secret::file(self.file(key, &FilePath(path.clone()))),
            SecretSource::Plain(value) => {
                if !self.document.is_override(key) {
                    self.warning(
                        key,
                        "the secret itself is in the file; use { file = \"…\" } or { env = \"…\" }",
                    );
                }
                Secret::fixed(value.expose_secret())
            }
        };
        self.accept(key, secret, acceptable)
    }

    fn accept(
        &mut self,
        key: &Key,
        secret: Secret,
        acceptable: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Option<Secret> {
        let verdict = match secret.current() {
            Ok(value) => acceptable(SecretString::expose_secret(&value))
                .map_err(|expected| ("a value that does not fit (not shown)".to_owned(), expected)),
            Err(error) => {
                let cause = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), ToString::to_string);
                Err((
                    format!("a file that cannot be used ({cause})"),
                    "a readable file that holds the secret",
                ))
            }
        };
        match verdict {
            Ok(()) => Some(secret),
            Err((found, expected)) => {
                self.problem(key, found, expected);
                None
            }
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn quoted_path(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
