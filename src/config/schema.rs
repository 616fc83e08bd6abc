//! The JSON Schema of the configuration file, for editors and for finding what a wrong key meant.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{
    key::{Key, Step},
    raw::Raw,
};

/// The schema as JSON text.
pub fn json() -> String {
    format!("{:#}", *SCHEMA)
}

/// Every key that can be set, as `tenants[].id`; sections and keys of free tables are not among
/// them.
pub(super) fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    collect(&SCHEMA, "", &mut paths);
    paths
}

/// The names of the keys that may be below the given one.
pub(super) fn keys_below(key: &Key) -> Vec<String> {
    let section = key.steps().iter().try_fold(&*SCHEMA, |schema, step| match step {
        Step::Index(_) => schema.get("items"),
        Step::Name(name) => schema.get("properties")?.get(name),
    });
    section
        .and_then(properties)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// Where a key of this name belongs.
pub(super) fn path_of(name: &str) -> Option<String> {
    paths().into_iter().find(|path| path.rsplit('.').next() == Some(name))
}

fn collect(schema: &Value, prefix: &str, paths: &mut Vec<String>) {
    for (name, schema) in properties(schema).into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let items = schema.get("items").filter(|items| properties(items).is_some());
        match items {
            Some(items) => collect(items, &format!("{path}[]"), paths),
            None if properties(schema).is_some() => collect(schema, &path, paths),
            None => paths.push(path),
        }
    }
}

pub(super) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

/// TOML has no null, so a key that may be missing is not one that may be null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(without_null),
        Value::Object(object) => {
            object.retain(|name, value| !(name == "default" && value.is_null()));
            object.values_mut().for_each(without_null);
            if let Some(Value::Array(kinds)) = object.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [kind] = kinds.as_slice() {
                    let kind = kind.clone();
                    object.insert("type".to_owned(), kind);
                }
            }
            let Some(Value::Array(choices)) = object.get_mut("anyOf") else {
                return;
            };
            choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
            if let [Value::Object(only)] = choices.as_mut_slice() {
                let only = std::mem::take(only);
                object.remove("anyOf");
                for (name, value) in only {
                    // What is said of the key goes before what is said of its type.
                    object.entry(name).or_insert(value);
                }
            }
        }
        _ => {}
    }
}

pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<Raw>().to_value();
    without_null(&mut schema);
    schema
});
