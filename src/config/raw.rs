//! The configuration file as it is written: every key, its type, its default and its description.
//!
//! The JSON Schema is made from these structs. A missing key is its default, or `None` where it has
//! none; whether a key must be there, and what it means beside others, is for `check`.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

mod delivery;
mod inbound;
mod microsoft;
mod storage;

pub(super) use delivery::{Devo, Tables};
pub(super) use inbound::{Admin, ClientCertificate, Webhook, WebhookTls};
pub(super) use microsoft::{Certificate, Fetch, Microsoft, Subscriptions, Sweep, Tenant};
pub(super) use storage::{Ledger, Log, Records};

/// The whole file.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, title = "m365-collector", extend("required" = ["tenants", "devo"]))]
pub(super) struct Raw {
    /// The public port that Microsoft calls. Without it the service collects by sweep alone.
    pub(super) webhook: Option<Section<Webhook>>,
    /// The port for operators: metrics, health, status. Keep it off the internet.
    pub(super) admin: Section<Admin>,
    /// The durable store of what was announced and what became of it.
    pub(super) ledger: Section<Ledger>,
    /// The management API and its token endpoint.
    pub(super) microsoft: Section<Microsoft>,
    /// The subscriptions kept at Microsoft.
    pub(super) subscriptions: Section<Subscriptions>,
    /// The organisations whose records are collected, at least one.
    pub(super) tenants: Vec<Section<Tenant>>,
    /// Getting content from Microsoft.
    pub(super) fetch: Section<Fetch>,
    /// The listing that finds what no notification announced.
    pub(super) sweep: Section<Sweep>,
    /// The window of record identities, by which a repeated record is recognised.
    pub(super) records: Section<Records>,
    /// The receiver of the records.
    pub(super) devo: Section<Devo>,
    /// The program's own log, on standard error.
    pub(super) log: Section<Log>,
}

/// A table of the file. Derived structs can also be read from an array, position by position,
/// which would take `webhook = ["0.0.0.0:80"]` for a section.
#[derive(Default)]
pub(super) struct Section<T>(T);

impl<T> Deref for Section<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SectionVisitor(PhantomData)).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Section<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

struct SectionVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SectionVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
