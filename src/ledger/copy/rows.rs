//! Rows on their way from one database to the other, and what they are together.

use std::{fmt::Write as _, hash::Hasher as _};

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{
    super::sql::{Connection, Row, json, query},
    tables::{Kind, Table},
};

/// The values of a row, in the order of its table's columns.
pub(super) type Values = Vec<Value>;

/// A value, which may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bytes(Option<Vec<u8>>),
    Integer(Option<i64>),
    Text(Option<String>),
}

/// A walk through a table, in the order of its ids if it has any.
pub(super) struct Walk {
    table: &'static Table,
    after: i64,
    is_done: bool,
}

impl Walk {
    pub(super) const fn new(table: &'static Table) -> Self {
        Self { table, after: i64::MIN, is_done: false }
    }

    /// The next rows; none at the end.
    pub(super) async fn next(&mut self, connection: &mut Connection) -> sqlx::Result<Vec<Values>> {
        if self.is_done {
            return Ok(Vec::new());
        }
        let Some(ids) = &self.table.ids else {
            // A few rows for each feed, or a window of one.
            self.is_done = true;
            let rows = query(self.table.read).fetch_all(connection).await?;
            return rows.iter().map(|row| values(self.table, row)).collect();
        };
        let rows = query(self.table.read).bind(self.after).bind(ids.page);
        let rows = rows.fetch_all(connection).await?;
        match rows.last() {
            Some(last) => self.after = last.try_get("id")?,
            None => self.is_done = true,
        }
        rows.iter().map(|row| values(self.table, row)).collect()
    }
}

/// How many rows a table has.
pub(super) async fn count(connection: &mut Connection, table: &Table) -> sqlx::Result<u64> {
    let row = query(table.count).fetch_one(connection).await?;
    super::super::rows::number(&row, "rows")
}

/// Whether a table is still what it was. One that may be large is only counted: whoever writes beside
/// a copy without being a replica adds rows to it or removes some.
pub(super) async fn is_still(
    connection: &mut Connection,
    table: &'static Table,
    was: Fingerprint,
) -> sqlx::Result<bool> {
    if table.ids.is_some() {
        return Ok(count(connection, table).await? == was.rows);
    }
    let mut is = Fingerprint::default();
    Walk::new(table).next(connection).await?.iter().for_each(|row| is.add(row));
    Ok(is == was)
}

/// Adds rows to a table, some at a time.
pub(super) async fn write(
    connection: &mut Connection,
    table: &'static Table,
    rows: &[Values],
) -> sqlx::Result<()> {
    for some in rows.chunks(AT_ONCE) {
        let lines: Vec<_> = some.iter().map(|values| Line { table, values }).collect();
        query(table.write).bind(json(&lines)?).execute(&mut *connection).await?;
    }
    Ok(())
}

fn values(table: &Table, row: &Row) -> sqlx::Result<Values> {
    let value = |(name, kind): &(&str, Kind)| {
        Ok(match kind {
            Kind::Bytes => Value::Bytes(row.try_get(name)?),
            Kind::Integer => Value::Integer(row.try_get(name)?),
            Kind::Text => Value::Text(row.try_get(name)?),
        })
    };
    table.columns.iter().map(value).collect()
}

/// Rows, whatever their order: how many, and the sum of what each hashes to. Rows that come twice
/// count twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) rows: u64,
    pub(super) sum: u128,
}

impl Fingerprint {
    pub(super) fn add(&mut self, row: &Values) {
        // Against mistakes and not against malice, so it needs no secret.
        let mut hasher = SipHasher24::new();
        for value in row {
            let (kind, bytes) = match value {
                Value::Bytes(value) => (1, value.as_deref().map(<[u8]>::to_vec)),
                Value::Integer(value) => (2, value.map(|value| value.to_le_bytes().to_vec())),
                Value::Text(value) => (3, value.as_ref().map(|value| value.clone().into_bytes())),
            };
            hasher.write_u8(kind);
            hasher.write_u64(bytes.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64));
            hasher.write(&bytes.unwrap_or_default());
        }
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hasher.finish128().as_u128());
    }
}

/// A row as it is written.
struct Line<'a> {
    table: &'static Table,
    values: &'a Values,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(Some(self.values.len()))?;
        for ((name, _), value) in self.table.columns.iter().zip(self.values) {
            match value {
                Value::Bytes(value) => {
                    line.serialize_entry(name, &value.as_deref().map(hexadecimal))?;
                }
                Value::Integer(value) => line.serialize_entry(name, value)?,
                Value::Text(value) => line.serialize_entry(name, value)?,
            }
        }
        line.end()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes what it is given");
        text
    })
}

/// Rows in one statement.
const AT_ONCE: usize = 1000;
