//! The values of statements.

use std::borrow::Cow;

use serde::Serialize;

/// What can be bound.
#[derive(Clone, Debug)]
pub(in crate::ledger) enum Value<'q> {
    Bytes(Cow<'q, [u8]>),
    Integer(Option<i64>),
    Text(Option<Cow<'q, str>>),
}

impl Value<'_> {
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Bytes(value) => Value::Bytes(Cow::Owned(value.into_owned())),
            Self::Integer(value) => Value::Integer(value),
            Self::Text(value) => Value::Text(value.map(|text| Cow::Owned(text.into_owned()))),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(value: &'q str) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(Cow::Owned(value)))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(value: Option<&'q str>) -> Self {
        Self::Text(value.map(Cow::Borrowed))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(value: Option<String>) -> Self {
        Self::Text(value.map(Cow::Owned))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(value))
    }
}

/// A list, as [`crate::ledger::dialect::statement`] takes it.
pub(in crate::ledger) fn json<T: Serialize>(list: &[T]) -> sqlx::Result<String> {
    serde_json::to_string(list).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Binds values in their order, on whichever engine.
macro_rules! bind {
    ($query:expr, $values:expr) => {
        $values.into_iter().fold($query, |query, value| match value {
            $crate::ledger::sql::Value::Bytes(value) => query.bind(value.into_owned()),
            $crate::ledger::sql::Value::Integer(value) => query.bind(value),
            $crate::ledger::sql::Value::Text(value) => {
                query.bind(value.map(std::borrow::Cow::into_owned))
            }
        })
    };
}

pub(super) use bind;
