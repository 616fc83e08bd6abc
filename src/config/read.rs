//! From the tree to [`Raw`], with every wrong type and every unknown key found in one go.
//!
//! Deserialisation ends at the first error. So each error is noted with its key, its value is taken
//! out of a copy of the tree, and the rest is read again, until nothing is refused any more.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use toml::Value;

use super::{
    document::Document,
    environment::kind,
    findings::Findings,
    key::{Key, Step},
    problem::quoted,
    raw::Raw,
    schema,
};

/// Reads the whole tree. What could not be read is reported, and missing in the result.
pub(super) fn read(document: &Document, findings: &mut Findings<'_>) -> (Raw, Elements) {
    let mut tree = document.root().clone();
    dates_to_fractions(&mut tree);
    let mut elements = Elements::default();
    loop {
        let (key, expected) = match attempt(tree.clone()) {
            Ok((raw, unknown)) => {
                for key in unknown {
                    let key = elements.as_written(&key);
                    let (found, expected) = describe_unknown(&key);
                    findings.problem(&key, found, expected);
                }
                return (raw, elements);
            }
            Err(refused) => refused,
        };
        let written = elements.as_written(&key);
        // `client_secret=12345` in the environment is a number only by accident.
        if let Some(text) = document.literal(&written)
            && let Some(value) = key.find_mut(&mut tree)
            && value.as_str() != Some(text)
        {
            *value = Value::String(text.to_owned());
            continue;
        }
        let found = written
            .find(document.root())
            .map_or("nothing".to_owned(), |value| describe(&written, value));
        findings.problem(&written, found, expected);
        if key.remove(&mut tree).is_none() {
            // Only a key that is not in the tree gets here, and then nothing else can be read.
            return (Raw::default(), elements);
        }
        elements.removed(&key);
    }
}

/// Which elements of arrays were taken out, so that the others keep the numbers they are written
/// under.
#[derive(Default)]
pub(super) struct Elements(BTreeMap<Key, Vec<usize>>);

impl Elements {
    /// The key in the file of a key in what was read.
    pub(super) fn as_written(&self, key: &Key) -> Key {
        key.steps().iter().fold(Key::default(), |array, step| match step {
            Step::Index(index) => {
                let gone = self.0.get(&array).map_or(&[][..], Vec::as_slice);
                let index =
                    gone.iter().fold(*index, |index, gone| index + usize::from(*gone <= index));
                array.child(index)
            }
            Step::Name(name) => array.child(name.as_str()),
        })
    }

    fn removed(&mut self, key: &Key) {
        let written = self.as_written(key);
        if let (Some(array), Some(Step::Index(index))) = (written.parent(), written.steps().last())
        {
            let gone = self.0.entry(array).or_default();
            gone.push(*index);
            gone.sort_unstable();
        }
    }
}

/// The result, with the keys nobody asked for; or the key that was refused and what was expected.
fn attempt(tree: Value) -> Result<(Raw, Vec<Key>), (Key, String)> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(tree, &mut track);
    let mut ignored = |path: serde_ignored::Path<'_>| unknown.push(Key::from(&path));
    let result = Raw::deserialize(serde_ignored::Deserializer::new(deserializer, &mut ignored));
    match result {
        Ok(raw) => Ok((raw, unknown)),
        Err(error) => Err((Key::from(&track.path()), expected(error.message()))),
    }
}

/// The part of serde's message that says what is expected, in the words of TOML.
fn expected(message: &str) -> String {
    let expected = message.rsplit_once(", expected ").map_or(message, |(_, expected)| expected);
    match expected {
        "a boolean" => "true or false",
        "a map" => "a table",
        "a sequence" => "an array",
        other => other,
    }
    .to_owned()
}

/// No key takes a date or a fraction. serde shows a date as a table, which some keys do take.
fn dates_to_fractions(value: &mut Value) {
    match value {
        Value::Datetime(_) => *value = Value::Float(f64::NAN),
        Value::Array(array) => array.iter_mut().for_each(dates_to_fractions),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| dates_to_fractions(value)),
        _ => {}
    }
}

/// A value as it may be shown: scalars, unless they belong to a secret.
fn describe(key: &Key, value: &Value) -> String {
    if key.ancestry().any(|key| key.name().is_some_and(is_secret)) {
        return match value {
            Value::String(text) if text.trim().is_empty() => "an empty string".to_owned(),
            other => kind(other).to_owned(),
        };
    }
    match value {
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Datetime(datetime) => datetime.to_string(),
        Value::Float(float) if float.is_infinite() => "a number that is too large".to_owned(),
        Value::Float(float) => float.to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) | Value::Table(_) => kind(value).to_owned(),
    }
}

pub(super) fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

fn describe_unknown(key: &Key) -> (String, String) {
    let name = key.name().unwrap_or_default();
    let parent = key.parent().unwrap_or_default();
    let siblings = schema::keys_below(&parent);
    let near = siblings
        .iter()
        .map(|sibling| (distance(name, sibling), sibling))
        .filter(|(distance, sibling)| *distance <= sibling.len().min(name.len()) / 3 + 1)
        .min()
        .map(|(_, sibling)| parent.child(sibling.as_str()).to_string());
    let meant = near.or_else(|| schema::path_of(name));
    let found = match meant {
        Some(meant) => format!("an unknown key (did you mean {meant}?)"),
        None => "an unknown key".to_owned(),
    };
    (found, format!("one of {}", siblings.join(", ")))
}

/// How many characters must be put in, taken out or replaced (Levenshtein), `-` being `_`.
fn distance(a: &str, b: &str) -> usize {
    let a = a.to_ascii_lowercase().replace('-', "_");
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replaced.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The keys whose values are never shown.
const SECRETS: &[&str] =
    &["auth_id", "client_secret", "federated_token", "password", "previous_auth_id"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [
            ("listen", "listen", 0),
            ("listn", "listen", 1),
            ("adress", "address", 1),
            ("max-body", "max_body", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn elements_keep_their_numbers_when_others_are_taken_out() {
        let mut elements = Elements::default();
        let written = |elements: &Elements, index: usize| {
            elements.as_written(&Key::from("list").child(index)).to_string()
        };
        elements.removed(&Key::from("list[1]"));
        assert_eq!(written(&elements, 0), "list[0]");
        assert_eq!(written(&elements, 1), "list[2]");
        elements.removed(&Key::from("list[1]"));
        elements.removed(&Key::from("list[0]"));
        assert_eq!(written(&elements, 0), "list[3]");
    }
}
