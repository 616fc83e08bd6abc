//! Whether this version can work with the schema that it finds.
//!
//! Steps of the schema are append-only and numbered alike on both engines. Versions run side by side
//! while the replicas of a database are changed one after another, and an older one may have to come
//! back, so a step *expands*: it adds tables, indexes, and columns that may be left out. A version
//! goes on with newer steps that it does not know. What they make superfluous goes in a step of a
//! later release, when no version that needs it is left: such a step *contracts*, and raises the
//! floor, the last step that a version must know.

use std::collections::BTreeSet;

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use super::{
    dialect::Statement,
    postgres,
    sql::{Connection, query},
    sqlite,
};

/// What was done to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schema {
    applied: BTreeSet<i64>,
    /// The last step that a version must know, from when on there is one.
    floor: Option<i64>,
}

impl Schema {
    /// Reads it; none where there is no ledger.
    pub(super) async fn read(connection: &mut Connection) -> sqlx::Result<Option<Self>> {
        if query(IS_THERE).fetch_optional(&mut *connection).await?.is_none() {
            return Ok(None);
        }
        let applied: BTreeSet<_> = match connection {
            Connection::Postgres(on) => applied(&mut **on, &postgres::MIGRATIONS).await,
            Connection::Sqlite(on, ..) => applied(on, &sqlite::MIGRATIONS).await,
        }?;
        let floor = if applied.contains(&HAS_FLOOR) {
            let row = query("SELECT MAX(step) AS step FROM schema_floor");
            row.fetch_one(connection).await?.try_get("step")?
        } else {
            None
        };
        Ok(Some(Self { applied, floor }))
    }

    /// How it suits a version that knows these steps.
    pub(super) fn fit(&self, known: impl IntoIterator<Item = i64>) -> Fit {
        let known: BTreeSet<_> = known.into_iter().collect();
        let newest = known.last().copied().unwrap_or_default();
        let lacking = known.difference(&self.applied).next().copied();
        let mut unknown = self.applied.difference(&known).copied();
        match (unknown.next(), lacking) {
            (None, None) => Fit::Same,
            (None, Some(step)) => Fit::Older { step },
            // Not a later version, but one that went another way.
            (Some(step), _) if step < newest || lacking.is_some() => Fit::Foreign { step },
            (Some(step), _) => match self.floor {
                Some(floor) if floor <= newest => Fit::Newer { step },
                floor => Fit::Foreign { step: floor.map_or(step, |floor| floor.max(step)) },
            },
        }
    }
}

/// How a schema suits a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It cannot work with it, because of this step.
    Foreign { step: i64 },
    /// It can work with it, and leaves alone what this step and those after it have added.
    Newer { step: i64 },
    /// It lacks this step, and perhaps others after it.
    Older { step: i64 },
    /// It has made it.
    Same,
}

async fn applied<C: Migrate>(
    connection: &mut C,
    migrations: &Migrator,
) -> sqlx::Result<BTreeSet<i64>> {
    match connection.list_applied_migrations(&migrations.table_name).await {
        Err(MigrateError::Execute(error)) => Err(error),
        Err(error) => Err(sqlx::Error::Migrate(Box::new(error))),
        Ok(applied) => Ok(applied.into_iter().map(|step| step.version).collect()),
    }
}

/// Whether there is a table of steps.
const IS_THERE: Statement = Statement {
    postgres: "SELECT 1 WHERE to_regclass('_sqlx_migrations') IS NOT NULL",
    sqlite: "SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations'",
};

/// The step that made the floor. A version that does not know it works beside no newer one.
const HAS_FLOOR: i64 = 9;

#[cfg(test)]
mod tests;
