//! The configuration as a tree of TOML values that knows where each value was written.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    key::Key,
    problem::{Place, Problem, Problems},
};

/// The values of the file and of the overrides, with their places.
pub(super) struct Document {
    file: PathBuf,
    root: Value,
    places: BTreeMap<Key, Place>,
    /// The text of overrides, for keys whose value turns out to be meant literally.
    literal: BTreeMap<Key, String>,
}

impl Document {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, Problems> {
        let text = read_capped(path).map_err(|found| {
            let place = Place::File { file: path.to_owned() };
            Problems::new(vec![Problem::new(place, "", found, EXPECTED_FILE)])
        })?;
        Self::parse(path, &text)
    }

    /// Parses the text; `path` only names it.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // The error's own text shows the line, which may hold a secret; its message does not.
            let problems = errors.iter().map(|error| {
                let offset = error.span().map_or(0, |span| span.start);
                let place = place(path, text, offset, true);
                let (wrong, expected) = match error.message().split_once(", expected ") {
                    Some((wrong, expected)) => (wrong, expected),
                    None => (error.message(), "valid TOML"),
                };
                let found = format!("text that is no TOML ({wrong})");
                Problem::new(place, "", found, expected)
            });
            return Err(Problems::new(problems.collect()));
        }
        let mut document = Self {
            file: path.to_owned(),
            root: Value::Table(Table::new()),
            places: BTreeMap::new(),
            literal: BTreeMap::new(),
        };
        document.root = Value::Table(document.table(&Key::default(), tree.get_ref(), text));
        Ok(document)
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The directory that relative paths start from.
    pub(super) fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    pub(super) fn root_mut(&mut self) -> &mut Value {
        &mut self.root
    }

    /// Whether the file or an override sets the key, whatever its value.
    pub(super) fn sets(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// The keys set, in no useful order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.places.keys()
    }

    /// Where the key, or else the nearest thing around it, was written.
    pub(super) fn place(&self, key: &Key) -> Place {
        key.ancestry()
            .find_map(|key| self.places.get(&key).cloned())
            .unwrap_or_else(|| Place::File { file: self.file.clone() })
    }

    /// Whether an override set exactly this key.
    pub(super) fn is_override(&self, key: &Key) -> bool {
        matches!(self.places.get(key), Some(Place::Variable { .. }))
    }

    /// Notes that an override made the table or array at the key.
    pub(super) fn created(&mut self, key: Key, variable: &str) {
        let name = variable.to_owned();
        self.places.insert(key, Place::Variable { name });
    }

    /// Notes that an override set the key and everything below it, and with which text.
    pub(super) fn overridden(&mut self, key: Key, variable: &str, text: &str) {
        self.places.retain(|other, _| !other.is_within(&key));
        if let Some(value) = key.find(&self.root) {
            let below = keys_below(&key, value);
            for key in below {
                self.created(key, variable);
            }
        }
        self.literal.insert(key.clone(), text.to_owned());
        self.created(key, variable);
    }

    /// The text of the override of exactly this key.
    pub(super) fn literal(&self, key: &Key) -> Option<&str> {
        self.literal.get(key).map(String::as_str)
    }

    fn table(&mut self, at: &Key, table: &DeTable<'_>, text: &str) -> Table {
        let mut values = Table::new();
        for (name, value) in table {
            let key = at.child(name.get_ref().as_ref());
            let place = place(&self.file, text, name.span().start, false);
            self.places.insert(key.clone(), place);
            let value = self.value(&key, value, text);
            values.insert(name.get_ref().to_string(), value);
        }
        values
    }

    fn value(&mut self, at: &Key, value: &Spanned<DeValue<'_>>, text: &str) -> Value {
        match value.get_ref() {
            DeValue::String(string) => Value::String(string.to_string()),
            DeValue::Integer(integer) => {
                // Beyond 64 bits only the magnitude is kept; no key takes such a number.
                i64::from_str_radix(integer.as_str(), integer.radix())
                    .map_or(Value::Float(f64::INFINITY), Value::Integer)
            }
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(datetime) => Value::Datetime(*datetime),
            DeValue::Array(array) => {
                let elements = array.iter().enumerate().map(|(index, element)| {
                    let key = at.child(index);
                    let place = place(&self.file, text, element.span().start, false);
                    self.places.insert(key.clone(), place);
                    self.value(&key, element, text)
                });
                Value::Array(elements.collect())
            }
            DeValue::Table(table) => Value::Table(self.table(at, table, text)),
        }
    }
}

fn keys_below(at: &Key, value: &Value) -> Vec<Key> {
    let children: Vec<(Key, &Value)> = match value {
        Value::Array(array) => {
            array.iter().enumerate().map(|(index, value)| (at.child(index), value)).collect()
        }
        Value::Table(table) => {
            table.iter().map(|(name, value)| (at.child(name.as_str()), value)).collect()
        }
        _ => Vec::new(),
    };
    children
        .into_iter()
        .flat_map(|(key, value)| {
            let mut keys = keys_below(&key, value);
            keys.push(key);
            keys
        })
        .collect()
}

fn read_capped(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    match read {
        Ok(length) if u64::try_from(length).is_ok_and(|length| length <= MAX_FILE) => Ok(text),
        Ok(_) => Err("more than 1 MiB of text".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("no such file".to_owned()),
        Err(error) => Err(format!("an unreadable file ({error})")),
    }
}

fn place(file: &Path, text: &str, offset: usize, show_column: bool) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place::Line {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
        show_column,
    }
}

const EXPECTED_FILE: &str =
    "a readable TOML file (`m365-collector config sample` writes one to start from)";

/// A thousand tenants fit; a wrong path must not pull a large file into memory.
const MAX_FILE: u64 = 1024 * 1024;
