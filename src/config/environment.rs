//! Overrides from the environment: `M365_COLLECTOR__SECTION__KEY`.
//!
//! `__` separates the steps, a number is an index, and letters may have any case. The value is read
//! as a TOML value where it is one; otherwise, and where the key turns out to want a text, it is
//! taken literally. An index one past the end of an array adds an element.

use toml::{Table, Value};

use super::{
    document::Document,
    key::{Key, Step},
    problem::{Place, Problem},
};

/// Applies every override, and returns what is wrong with the variables themselves. A variable that
/// names an unknown key is put into the tree like an unknown key of the file, and found there.
pub(super) fn apply<'v>(
    document: &mut Document,
    variables: impl Iterator<Item = (&'v str, &'v str)>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut overrides = Vec::new();
    for (variable, text) in variables {
        let Some(path) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        if path.split("__").any(str::is_empty) {
            problems.push(problem(variable, "an empty step between `__`", EXPECTED_NAME));
        } else {
            let path: Key = path.split("__").map(step).collect();
            overrides.push((path, variable, text));
        }
    }
    // Elements are added in the order of their index, and a table is set before its own keys.
    overrides.sort_by_cached_key(|(path, ..)| path.folded());
    for (path, variable, text) in overrides {
        if let Err((found, expected)) = set(document, &path, variable, text) {
            problems.push(problem(variable, found, expected));
        }
    }
    problems
}

fn set(
    document: &mut Document,
    path: &Key,
    variable: &str,
    text: &str,
) -> Result<(), (String, &'static str)> {
    let mut key = Key::default();
    let mut created = Vec::new();
    let mut value = document.root_mut();
    for (depth, step) in path.steps().iter().enumerate() {
        let empty = match path.steps().get(depth + 1) {
            Some(Step::Index(_)) => Value::Array(Vec::new()),
            Some(Step::Name(_)) | None => Value::Table(Table::new()),
        };
        value = match (value, step) {
            (Value::Table(table), step) => {
                let name = spelled(table, &key, step);
                key = key.child(name.as_str());
                if !table.contains_key(&name) {
                    created.push(key.clone());
                }
                table.entry(name).or_insert(empty)
            }
            (Value::Array(array), Step::Index(index)) => {
                if *index > array.len() {
                    let found = format!("index {index} in {key}, which has {}", array.len());
                    return Err((found, "the index of an element, or the next one"));
                }
                key = key.child(*index);
                if *index == array.len() {
                    created.push(key.clone());
                    array.push(empty);
                }
                array
                    .get_mut(*index)
                    .expect("the index is in bounds, or its element was added above")
            }
            (other, _) => {
                let found = format!("a key below {key}, which is {}", kind(other));
                return Err((found, "the name of a key"));
            }
        };
    }
    *value = text.parse().unwrap_or_else(|_| Value::String(text.to_owned()));
    if document.literal(&key).is_some() {
        let found = format!("a second variable for {key}");
        return Err((found, "one variable for each key"));
    }
    for created in created {
        document.created(created, variable);
    }
    document.overridden(key, variable, text);
    Ok(())
}

/// The name as the table spells it, if it has it in any case; `Workload` names are not lower case.
fn spelled(table: &Table, at: &Key, step: &Step) -> String {
    let name = match step {
        Step::Index(index) => return index.to_string(),
        Step::Name(name) => name,
    };
    match table.keys().find(|key| key.eq_ignore_ascii_case(name)) {
        Some(key) => key.clone(),
        None if *at == Key::from("devo.tables.workload") => name.clone(),
        None => name.to_ascii_lowercase(),
    }
}

fn step(text: &str) -> Step {
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(index) = text.parse()
    {
        Step::Index(index)
    } else {
        Step::Name(text.to_owned())
    }
}

fn problem(variable: &str, found: impl Into<String>, expected: &str) -> Problem {
    let name = variable.to_owned();
    Problem::new(Place::Variable { name }, "", found, expected)
}

/// What a value is, without its value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "an array",
        Value::Table(_) => "a table",
    }
}

const PREFIX: &str = "M365_COLLECTOR__";

const EXPECTED_NAME: &str = "M365_COLLECTOR__SECTION__KEY";
