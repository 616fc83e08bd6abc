//! What is in force, as a file that says where each value is from.
//!
//! Keys that are not set have the default of the schema. Secrets that are written out are not
//! shown (I9); where they are read from is.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde_json::Value as Json;
use toml::Value;
use url::Url;

use super::{
    Config, Loaded, Problems, Warning,
    document::Document,
    environment,
    key::Key,
    problem::Place,
    read::is_secret,
    schema::{SCHEMA, properties},
};

impl Config {
    /// The file with every key in it that has a value, and what deserves a look.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn show(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(String, Vec<Warning>), Problems> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let Loaded { config, warnings } = Self::load(path, environment.clone())?;
        let mut document = Document::read(path)?;
        let variables = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // Its problems were found by loading.
        environment::apply(&mut document, variables);
        let microsoft = &config.microsoft;
        let computed = BTreeMap::from([
            ("microsoft.management_url", microsoft.management_url.as_str()),
            ("microsoft.login_url", microsoft.login_url.as_str()),
        ]);
        let mut shown = Shown { document: &document, computed, text: String::new() };
        shown.section(&SCHEMA, &Key::default(), "");
        Ok((shown.text, warnings))
    }
}

struct Shown<'a> {
    document: &'a Document,
    /// Values of keys without a default that depend on others.
    computed: BTreeMap<&'static str, &'a str>,
    text: String,
}

impl Shown<'_> {
    /// The values of a section, then the sections in it: TOML wants them in this order.
    fn section(&mut self, schema: &Json, key: &Key, path: &str) {
        let fields = || properties(schema).into_iter().flatten();
        let below = |name: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        for (name, schema) in fields().filter(|(_, schema)| is_value(schema)) {
            self.value(schema, &key.child(name.as_str()), name);
        }
        for (name, schema) in fields().filter(|(_, schema)| !is_value(schema)) {
            let (key, path) = (key.child(name.as_str()), below(name));
            if let Some(items) = schema.get("items") {
                let elements = key.find(self.document.root()).and_then(Value::as_array);
                for index in 0..elements.map_or(0, Vec::len) {
                    self.line(&format!("\n[[{path}]]"));
                    self.section(items, &key.child(index), &path);
                }
            } else if self.document.sets(&key) || !OPTIONAL.contains(&&*path) {
                self.line(&format!("\n[{path}]"));
                self.section(schema, &key, &path);
            }
        }
    }

    fn value(&mut self, schema: &Json, key: &Key, name: &str) {
        let default = schema.get("default").and_then(|json| Value::try_from(json).ok());
        let computed = self.computed.get(key.to_string().as_str());
        let (value, origin) = match key.find(self.document.root()) {
            Some(value) => {
                let origin = match self.document.place(key) {
                    Place::Variable { name } => name,
                    Place::Line { line, .. } => format!("line {line}"),
                    Place::File { .. } => "file".to_owned(),
                };
                (self.meant(schema, key, value, default), origin)
            }
            None => match (default, computed) {
                (Some(default), _) => (default, "default".to_owned()),
                (None, Some(text)) => (Value::from(*text), "default of microsoft.cloud".to_owned()),
                (None, None) => return,
            },
        };
        let value = match value.as_str() {
            Some(_) if is_secret(name) => Value::from(HIDDEN),
            Some(text) => without_password(text).map_or(value, Value::from),
            None => value,
        };
        self.line(&format!("{name} = {value}  # {origin}"));
    }

    /// A value as it is taken: texts of the environment literally, tables with their defaults.
    fn meant(&self, schema: &Json, key: &Key, value: &Value, default: Option<Value>) -> Value {
        let is_text = schema.get("type").is_some_and(|kind| kind == "string");
        match (value, default, self.document.literal(key)) {
            (Value::Table(own), Some(Value::Table(mut all)), _) => {
                all.extend(own.clone());
                Value::Table(all)
            }
            (value, _, Some(text)) if is_text && !value.is_str() => Value::from(text),
            (value, ..) => value.clone(),
        }
    }

    fn line(&mut self, line: &str) {
        // Writing into a string cannot fail.
        let _infallible = writeln!(self.text, "{line}");
    }
}

/// An address without the password in it; none: there is none in it.
fn without_password(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok().filter(|url| url.password().is_some())?;
    url.set_password(Some("hidden")).ok()?;
    Some(url.into())
}

/// Whether a key has a value of its own, and no keys of its own with descriptions.
fn is_value(schema: &Json) -> bool {
    let described = |schema: &Json| properties(schema).is_some();
    !described(schema) && !schema.get("items").is_some_and(described)
}

/// Sections that change what is done by being there.
const OPTIONAL: [&str; 4] =
    ["tenants.certificate", "webhook", "webhook.client_certificate", "webhook.tls"];

const HIDDEN: &str = "(a secret, not shown)";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, variables: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        match Config::show(&path, variables) {
            Ok((text, _)) => text,
            Err(problems) => panic!("{problems}"),
        }
    }

    const MINIMAL: &str = "[[tenants]]\nid = \"11111111-2222-3333-4444-555555555555\"\n\
         client_id = \"11111111-2222-3333-4444-555555555555\"\nclient_secret = \"hush\"\n\
         [devo]\nendpoint = \"tcp://127.0.0.1:13000\"\n[devo.tables.workload]\nYammer = \"y\"\n";

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url = "[ledger]\nurl = \"postgres://joe:hush@db/ledger\"\npassword = \"hush\"\n";
        let text = shown(&format!("{url}{MINIMAL}"), &[]);
        assert!(text.contains("postgres://joe:hidden@db/ledger"), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }

    #[test]
    fn every_value_says_where_it_is_from_and_secrets_are_not_shown() {
        let text = shown(
            MINIMAL,
            &[
                ("M365_COLLECTOR__FETCH__CONCURRENCY", "7"),
                ("M365_COLLECTOR__TENANTS__0__NAME", "007"),
            ],
        );
        for line in [
            "concurrency = 7  # M365_COLLECTOR__FETCH__CONCURRENCY",
            "name = \"007\"  # M365_COLLECTOR__TENANTS__0__NAME",
            "listen = \"127.0.0.1:9464\"  # default",
            "endpoint = \"tcp://127.0.0.1:13000\"  # line 6",
            "client_secret = \"(a secret, not shown)\"  # line 4",
            "management_url = \"https://manage.office.com/\"  # default of microsoft.cloud",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("AzureActiveDirectory") && text.contains("Yammer"), "{text}");
        assert!(!text.contains("hush"), "{text}");
        assert!(!text.contains("[webhook]"), "a section that is not there has no effect:\n{text}");
    }

    #[test]
    fn what_is_shown_is_a_configuration_with_the_same_effect() {
        let once = shown(MINIMAL, &[]);
        let strip = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
        };
        assert_eq!(strip(&shown(&once, &[])), strip(&once));
    }
}
