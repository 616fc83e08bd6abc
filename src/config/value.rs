//! The values a key can have: parsed into types that cannot be wrong, each with the words that say
//! what is expected.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{Error, Unexpected, Visitor},
};

mod address;
mod choice;
mod number;
mod secret;
mod text;

pub use number::{HumanDuration, InvalidDuration};

pub(super) use address::{Cidr, DevoEndpoint, ListenAddress, WebAddress};
pub(super) use choice::{
    Cloud, CompressionChoice, ConfirmChoice, Feed, FormatChoice, ProxyHeaderChoice, SeverityChoice,
};
pub(super) use number::{ByteSize, Count, Expiry};
pub(super) use secret::SecretSource;
pub(super) use text::{FilePath, Filter, Guid, LedgerAddress, Text};

/// A value written as one TOML string or integer.
pub(super) trait Leaf: Sized {
    /// What is expected, after "expected". Must not hold ", expected " itself.
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_integer(_integer: i64) -> Option<Self> {
        None
    }
}

/// Reads a leaf; the error says what is expected and nothing of what was found.
pub(super) fn leaf<'de, L: Leaf, D: Deserializer<'de>>(deserializer: D) -> Result<L, D::Error> {
    deserializer.deserialize_any(LeafVisitor(PhantomData))
}

struct LeafVisitor<L>(PhantomData<L>);

impl<L: Leaf> Visitor<'_> for LeafVisitor<L> {
    type Value = L;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(L::EXPECTED)
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<L, E> {
        L::from_integer(integer).ok_or_else(|| refused::<L, E>())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<L, E> {
        L::from_text(text).ok_or_else(|| refused::<L, E>())
    }
}

fn refused<L: Leaf, E: Error>() -> E {
    E::invalid_value(Unexpected::Other("another value"), &L::EXPECTED)
}

/// Implements what every leaf needs: `Deserialize`, and a schema of a described string.
macro_rules! leaf_traits {
    ($type:ty, $schema:tt) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::value::leaf(deserializer)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

/// Lets schemars show a default the way an operator writes it.
macro_rules! serialize_as_displayed {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

use {leaf_traits, serialize_as_displayed};
