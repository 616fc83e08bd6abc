//! The same tests on `PostgreSQL`, and what only a server can do.

use sqlx::AssertSqlSafe;

use super::*;

#[path = "../../../tests/it/support/postgres.rs"]
mod server;

mod away;
mod changing;
mod copying;
mod plans;
mod replicas;
mod secured;

macro_rules! again {
    ($($name:ident $file:literal)+) => {
        $(
            #[expect(clippy::duplicate_mod, reason = "what it tests is another engine")]
            #[path = $file]
            mod $name;
        )+
    };
}

again! {
    announce "announce.rs"
    backfill "backfill.rs"
    claim "claim.rs"
    duties "duties.rs"
    following "following.rs"
    identities "identities.rs"
    letters "letters.rs"
    listed "listed.rs"
    model "model.rs"
    overview "overview.rs"
    prune "prune.rs"
    reader "reader.rs"
    roll "roll.rs"
    tenants "tenants.rs"
}

/// `PostgreSQL`, on a server that all tests share, in a database of its own.
struct Database;

impl Engine for Database {
    // Other replicas may live.
    const TAKES_BACK: bool = false;

    async fn config(directory: &Path) -> Config {
        let address = server::Postgres::shared().database().await;
        let location = Location::Postgres(crate::ledger::Server::parse(&address).unwrap());
        Config { location, ..config(directory) }
    }
}

type Running = On<Database>;
