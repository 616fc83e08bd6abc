//! Where a secret comes from.

use std::{fmt, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor},
};

/// `{ file = "…" }`, `{ env = "…" }` or the plain value.
#[derive(Clone, Debug)]
pub(in crate::config) enum SecretSource {
    Env(String),
    File(PathBuf),
    Plain(SecretString),
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

impl JsonSchema for SecretSource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                source("file", "A file that holds nothing but the secret; read again when it changes."),
                source("env", "The name of an environment variable that holds the secret."),
                { "type": "string", "description": "The secret itself; works, with a warning." },
            ]
        })
    }
}

fn source(key: &str, description: &str) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { key: { "type": "string", "description": description } },
        "required": [key],
        "additionalProperties": false,
    })
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SecretSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretSource, E> {
        if text.trim().is_empty() {
            return Err(E::invalid_value(Unexpected::Other("an empty text"), &self));
        }
        Ok(SecretSource::Plain(SecretString::from(text)))
    }

    /// Takes any value for any key first, so that the error is about the secret as a whole and
    /// none of its parts is mistaken for a key that may be shown.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<String, toml::Value>()? {
            entries.push(entry);
        }
        match entries.as_slice() {
            [(key, toml::Value::String(text))] if !text.is_empty() => match key.as_str() {
                "env" => Ok(SecretSource::Env(text.clone())),
                "file" => Ok(SecretSource::File(text.into())),
                _ => Err(A::Error::invalid_value(Unexpected::Map, &self)),
            },
            _ => Err(A::Error::invalid_value(Unexpected::Map, &self)),
        }
    }
}

pub(in crate::config) const EXPECTED: &str =
    "{ file = \"…\" } or { env = \"…\" } (or the secret itself as a string)";
