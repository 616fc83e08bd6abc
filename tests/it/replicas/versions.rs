//! An older version beside a newer one on the same schema, and back again.
//!
//! The older one is the present binary, and the newer one's schema is made up, unless
//! `M365_TEST_PREVIOUS` names the binary of an earlier version (`tests/rolling` builds one): then the
//! present binary is the newer one, and changes the schema while the earlier one works. Where it adds
//! nothing, the schema of one that is newer than both is made up.

use std::{env, path::PathBuf};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{
    books::{Load, again, all_taken, arrivals, say},
    fleet::Fleet,
    watch::Ledger,
};
use crate::support::{collector::binary, eventually, get, postgres::Postgres};

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_work_side_by_side_and_the_older_one_may_come_back() {
    let earlier = env::var_os("M365_TEST_PREVIOUS").map(PathBuf::from);
    let older = earlier.clone().unwrap_or_else(binary);
    let database = Postgres::shared().database().await;
    let mut fleet = Fleet::new(&database, 2, 2, |_| ()).await;
    fleet.site.set("sweep.interval", "2s");
    fleet.places.iter_mut().for_each(|place| place.binary.clone_from(&older));
    fleet.start().await;
    let mut ledger = Ledger::new(&database);
    let before = steps(&database).await;
    let load = Load::start(&fleet, 20);
    works(&fleet, &database).await;

    // The newer version comes, and changes the schema under the hands of the older one.
    fleet.stop(0).await;
    if earlier.is_none() {
        expand(&database).await;
    }
    fleet.places[0].binary = binary();
    fleet.join(0).await;
    if steps(&database).await == before {
        // The earlier version knows every step of this one, so a later one's are made up here, too.
        expand(&database).await;
    }
    let added: Vec<_> = steps(&database).await.split_off(before.len());
    assert!(!added.is_empty(), "the schema has changed");
    works(&fleet, &database).await;

    // The older one starts on the newer schema, and is alone on it.
    fleet.stop(1).await;
    fleet.join(1).await;
    works(&fleet, &database).await;
    fleet.places[0].binary.clone_from(&older);
    fleet.stop(0).await;
    fleet.join(0).await;
    works(&fleet, &database).await;

    let book = load.stop().await;
    let arrivals = book.delivered(&fleet, &mut ledger).await;
    assert_eq!(again(&arrivals).count(), 0, "nothing comes twice");
    say(&format!(
        "{} worked beside the steps {added:?}; {} notifications, all answered with 200",
        if earlier.is_some() { "the earlier version" } else { "this version" },
        all_taken(&fleet)
    ));

    // What takes something away is not worked beside, and the schema says from when on.
    fleet.stop(0).await;
    run(&database, "UPDATE schema_floor SET step = 9999").await;
    let keys = [("ledger.url", database.clone())];
    for arguments in [&["run"][..], &["ledger", "status"]] {
        let said = fleet.site.spawn_as(&older, arguments, &keys).said().await;
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(said.err.contains("is of a newer or different version"), "{}", said.err);
        assert!(said.err.contains("step 9999"), "{}", said.err);
    }
    fleet.finish().await;
}

/// Waits until everybody who runs has delivered something more, and a sweep has come to its end.
async fn works(fleet: &Fleet, database: &str) {
    let swept = "SELECT COALESCE(MAX(at), 0) FROM sweep";
    let before = numbers(database, swept).await;
    eventually("a sweep ends", async || numbers(database, swept).await > before).await;
    let names: Vec<_> = fleet.running().iter().map(|at| fleet.life(*at).name.clone()).collect();
    let by = |name: &String| {
        let arrivals = arrivals(fleet);
        arrivals.values().flatten().filter(|sender| *sender == name).count()
    };
    let before: Vec<_> = names.iter().map(by).collect();
    eventually("everybody delivers", async || {
        names.iter().zip(&before).all(|(name, before)| by(name) > *before)
    })
    .await;
    for place in fleet.running() {
        let (status, page) = get(fleet.places[place].admin, "/readyz").await;
        assert_eq!(status, 200, "{page}");
    }
}

/// What a version of later may have added: to every table a column, or two, and a table, indexes.
async fn expand(database: &str) {
    for table in [
        "content",
        "dead_letter",
        "identity",
        "backlog",
        "sweep",
        "backfill",
        "tenant",
        "consent",
        "start",
        "replica",
        "duty",
        "roll",
        "pause",
        "probe",
    ] {
        run(database, &format!("ALTER TABLE {table} ADD COLUMN later TEXT")).await;
        let default = "ADD COLUMN much_later BIGINT NOT NULL DEFAULT 7";
        run(database, &format!("ALTER TABLE {table} {default}")).await;
    }
    run(database, "CREATE TABLE later (id BIGINT PRIMARY KEY, content BIGINT)").await;
    run(database, "CREATE INDEX CONCURRENTLY content_later ON content (tenant, later)").await;
    run(database, "CREATE INDEX CONCURRENTLY identity_later ON identity (number, later)").await;
    run(
        database,
        "INSERT INTO _sqlx_migrations SELECT 9000, 'later', installed_on, success, checksum, \
         execution_time FROM _sqlx_migrations LIMIT 1",
    )
    .await;
}

async fn run(database: &str, statement: &str) {
    let mut connection = PgConnection::connect(database).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn steps(database: &str) -> Vec<i64> {
    numbers(database, "SELECT version FROM _sqlx_migrations ORDER BY version").await
}

async fn numbers(database: &str, statement: &'static str) -> Vec<i64> {
    let mut connection = PgConnection::connect(database).await.unwrap();
    sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap()
}
