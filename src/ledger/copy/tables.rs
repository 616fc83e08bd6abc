//! What a copy knows of the tables: which it takes along, with which columns, and which it leaves.
//!
//! A test compares both lists with the schema, so that a table or column that is added later is not
//! forgotten.

use super::super::{
    dialect::Statement,
    sql::{Connection, query},
};

/// A table that is taken along.
pub(in crate::ledger) struct Table {
    pub(in crate::ledger) name: &'static str,
    pub(in crate::ledger) columns: &'static [(&'static str, Kind)],
    pub(super) ids: Option<Ids>,
    /// Whether the schema fills it, with what the source has otherwise.
    pub(super) is_made: bool,
    /// All rows; where there are ids, up to $2 of them after the id $1.
    pub(super) read: Statement,
    pub(super) write: Statement,
    pub(super) count: Statement,
    pub(super) any: Statement,
    pub(super) clear: Statement,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ledger) enum Kind {
    Bytes,
    Integer,
    Text,
}

/// The ids of a table, which are never used twice.
pub(super) struct Ids {
    /// Rows read at once.
    pub(super) page: i64,
    last: Statement,
    forget: Statement,
    go_on: Statement,
}

impl Ids {
    /// The highest that was ever used.
    pub(super) async fn last(&self, connection: &mut Connection) -> sqlx::Result<i64> {
        query(self.last).fetch_one(connection).await?.try_get("last")
    }

    /// Has new rows begin after it.
    pub(super) async fn continue_after(
        &self,
        connection: &mut Connection,
        last: i64,
    ) -> sqlx::Result<()> {
        if last > 0 {
            query(self.forget).execute(&mut *connection).await?;
            query(self.go_on).bind(last).execute(connection).await?;
        }
        Ok(())
    }
}

/// Declares a table: `name paged rows { column: Kind, … }`, or `name whole { … }`. A column may say
/// what is read in its place.
macro_rules! table {
    ($name:literal paged $page:literal { $($columns:tt)+ }) => {
        Table {
            ids: Some(Ids {
                page: $page,
                last: Statement {
                    postgres: concat!(
                        "SELECT GREATEST(COALESCE(MAX(id), 0), COALESCE(pg_sequence_last_value(CAST(\
                         pg_get_serial_sequence('", $name, "', 'id') AS REGCLASS)), 0)) AS last \
                         FROM ", $name
                    ),
                    sqlite: concat!(
                        "SELECT MAX((SELECT COALESCE(MAX(id), 0) FROM ", $name, "), \
                         COALESCE((SELECT MAX(seq) FROM sqlite_sequence WHERE name = '", $name,
                        "'), 0)) AS last"
                    ),
                },
                forget: Statement {
                    postgres: "SELECT 1",
                    sqlite: concat!("DELETE FROM sqlite_sequence WHERE name = '", $name, "'"),
                },
                go_on: Statement {
                    postgres: concat!(
                        "SELECT setval(pg_get_serial_sequence('", $name, "', 'id'), $1)"
                    ),
                    sqlite: concat!(
                        "INSERT INTO sqlite_sequence (name, seq) VALUES ('", $name, "', $1)"
                    ),
                },
            }),
            ..table!(@ $name, false, " WHERE id > $1 ORDER BY id LIMIT $2", $($columns)+)
        }
    };
    ($name:literal whole { $($columns:tt)+ }) => {
        table!(@ $name, false, "", $($columns)+)
    };
    ($name:literal made { $($columns:tt)+ }) => {
        table!(@ $name, true, "", $($columns)+)
    };
    (@ $name:literal, $made:literal, $which:literal,
     $first:ident: $first_kind:ident $(, $column:ident: $kind:ident $(= $instead:literal)?)*) => {
        Table {
            name: $name,
            columns: &[
                (stringify!($first), Kind::$first_kind),
                $((stringify!($column), Kind::$kind)),*
            ],
            ids: None,
            is_made: $made,
            read: both(concat!(
                "SELECT ", stringify!($first),
                $(", ", $($instead, " AS ",)? stringify!($column),)* " FROM ", $name, $which
            )),
            write: Statement {
                postgres: concat!(
                    "INSERT INTO ", $name, " (", stringify!($first),
                    $(", ", stringify!($column),)* ") SELECT ",
                    table!(postgres $first $first_kind) $(, ", ", table!(postgres $column $kind))*,
                    " FROM jsonb_array_elements(CAST($1 AS JSONB)) AS item (value)"
                ),
                sqlite: concat!(
                    "INSERT INTO ", $name, " (", stringify!($first),
                    $(", ", stringify!($column),)* ") SELECT ",
                    table!(sqlite $first $first_kind) $(, ", ", table!(sqlite $column $kind))*,
                    " FROM json_each($1) AS item"
                ),
            },
            count: both(concat!("SELECT COUNT(*) AS rows FROM ", $name)),
            any: both(concat!("SELECT 1 FROM ", $name, " LIMIT 1")),
            clear: both(concat!("DELETE FROM ", $name)),
        }
    };
    ($engine:ident $column:ident Integer) => {
        concat!("CAST(item.value ->> '", stringify!($column), "' AS BIGINT)")
    };
    ($engine:ident $column:ident Text) => {
        concat!("item.value ->> '", stringify!($column), "'")
    };
    (postgres $column:ident Bytes) => {
        concat!("decode(item.value ->> '", stringify!($column), "', 'hex')")
    };
    (sqlite $column:ident Bytes) => {
        concat!("unhex(item.value ->> '", stringify!($column), "')")
    };
}

/// What is taken along, in an order in which rows come after those they name.
pub(in crate::ledger) static TABLES: &[Table] = &[
    table!("content" paged 1000 {
        id: Integer,
        tenant: Text,
        content_type: Text,
        canonical_id: Text,
        content_id: Text,
        via: Text,
        created: Integer,
        expires: Integer,
        announced: Integer,
        state: Text,
        // As a start on a file does it: nobody waits for a lease whose holder is gone.
        due: Integer = "CASE WHEN lease IS NULL THEN due ELSE announced END",
        lease: Integer,
        claims: Integer,
        attempts: Integer,
        last_reason: Text,
        settled: Integer,
        records: Integer,
        duplicates: Integer,
        listed: Integer,
        listed_created: Integer,
        lane: Integer,
        undecodable: Integer
    }),
    table!("dead_letter" paged 1000 {
        id: Integer,
        content: Integer,
        record_index: Integer,
        reason: Text,
        at: Integer
    }),
    table!("identity_secret" made { secret: Bytes }),
    // A row has up to 64 KiB of keys.
    table!("identity" paged 64 {
        id: Integer,
        content: Integer,
        at: Integer,
        number: Integer,
        keys: Bytes
    }),
    table!("sweep" whole {
        tenant: Text,
        content_type: Text,
        depth: Text,
        completed_until: Integer,
        at: Integer
    }),
    table!("backfill" whole {
        tenant: Text,
        content_type: Text,
        window_start: Integer,
        window_end: Integer,
        at: Integer
    }),
    table!("tenant" whole {
        id: Text,
        name: Text,
        client_id: Text,
        content_types: Text,
        added: Integer
    }),
    table!("consent" whole { state: Text, expires: Integer, answer: Text }),
    table!("start" whole {
        tenant: Text,
        content_type: Text,
        at: Integer,
        allowed: Integer
    }),
    table!("pause" whole { tenant: Text, until: Integer }),
];

/// What belongs to processes, is counted anew, or is the schema's own.
#[cfg(test)]
pub(in crate::ledger) const LEFT: [&str; 8] = [
    "_sqlx_migrations",
    "backlog",
    "duty",
    "probe",
    "replica",
    "roll",
    "schema_floor",
    "schema_lock",
];

/// What is left of the tables that are taken along: who stored a row, and as which of its own, is of
/// use to replicas that live.
#[cfg(test)]
pub(in crate::ledger) const LEFT_COLUMNS: [(&str, &str); 2] =
    [("identity", "replica"), ("identity", "seq")];

const fn both(text: &'static str) -> Statement {
    Statement { postgres: text, sqlite: text }
}
