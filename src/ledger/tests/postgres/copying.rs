//! From a file to a server, and back.

use std::collections::BTreeSet;

use super::*;
use crate::{
    identity::Key,
    ledger::{
        Backfill, Beat, Completed, Copied, CopyError, DeadLetters, DeadRecord, Filter, Identities,
        Onboarding, OpenError, Progress, Start, StoredTenant, SweepDepth, Swept, Use, Wanted, copy,
        copy::tables::{Kind, LEFT, LEFT_COLUMNS, TABLES},
        sql,
    },
    reason::Reason,
};

mod meanwhile;

/// A table or column that a later step adds is to be taken along, or left on purpose.
#[tokio::test]
async fn every_table_and_column_is_known() {
    let of_file = "SELECT it.name AS holder, of_it.name AS name, of_it.type AS kind \
         FROM sqlite_schema AS it JOIN pragma_table_info(it.name) AS of_it \
         WHERE it.type = 'table' AND it.name NOT LIKE 'sqlite_%'";
    let of_server = "SELECT CAST(table_name AS TEXT) AS holder, CAST(column_name AS TEXT) AS name, \
         CAST(data_type AS TEXT) AS kind FROM information_schema.columns \
         WHERE table_schema = current_schema()";
    let (_file, file) = On::<File>::start().await.stop().await;
    let (_server, server) = Running::start().await.stop().await;
    let known: BTreeSet<_> = TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(|column| (table.name, column.0, Some(column.1))))
        .chain(LEFT_COLUMNS.map(|(table, column)| (table, column, None)))
        .map(|(table, column, kind)| (table.to_owned(), column.to_owned(), kind))
        .collect();
    for (config, statement) in [(file, of_file), (server, of_server)] {
        let rows = query(statement).fetch_all(&mut tool(&config).await).await.unwrap();
        let text = |row: &sql::Row, name| row.try_get::<String>(name).unwrap();
        let mut found = BTreeSet::new();
        for row in &rows {
            let (holder, name) = (text(row, "holder"), text(row, "name"));
            if LEFT.contains(&&*holder) {
                continue;
            }
            let kind = match text(row, "kind").to_uppercase().as_str() {
                "BIGINT" | "INTEGER" => Kind::Integer,
                "BLOB" | "BYTEA" => Kind::Bytes,
                "TEXT" => Kind::Text,
                other => panic!("{holder}.{name} is {other}"),
            };
            let is_left = LEFT_COLUMNS.contains(&(&holder, &name));
            found.insert((holder, name, (!is_left).then_some(kind)));
        }
        assert_eq!(found, known);
    }
}

/// A file with something in every table: contents in every state, one of them leased, one that is
/// only partly delivered, and gaps where rows were pruned.
async fn filled() -> (TempDir, Config) {
    let running = On::<File>::start().await;
    running.announce(&["delivered", "partly", "dead", "retried", "leased", "gone"], 0).await;
    let ledger = &running.ledger;
    in_time(ledger.announce(
        Via::Sweep,
        vec![content(TENANT, "partly"), content(2, "other")],
        at(5),
    ))
    .await
    .unwrap();
    for lease in running.claim(5, 10).await {
        let key = Key::from_bytes([u8::try_from(lease.key.content).unwrap(); 16]);
        let keys: Arc<[Key]> = Arc::from(vec![key; 3]);
        let lost = DeadRecord { index: 7, reason: Reason::RecordTooLarge };
        let settlement = match lease.announcement.id.as_str() {
            "delivered" => {
                Settlement::Delivered { records: 9, duplicates: 2, dead: Vec::new(), keys }
            }
            "partly" => Settlement::Delivered { records: 5, duplicates: 0, dead: vec![lost], keys },
            "dead" => Settlement::Dead(Reason::Undecodable),
            "retried" => Settlement::Retry { at: at(99), reason: Reason::Timeout },
            _ => continue,
        };
        assert_eq!(running.settle(&lease, settlement, 11).await, Settled::Applied);
    }
    let (tenant, content_type) = (tenant(TENANT), ContentType::Dlp);
    let swept = Swept { content_type, depth: SweepDepth::Week, until: at(1), at: at(2) };
    in_time(ledger.swept(tenant, vec![swept])).await.unwrap();
    in_time(ledger.started(Start { tenant, content_type, at: at(3), allowed: at(4) }))
        .await
        .unwrap();
    in_time(ledger.pause(vec![(tenant, at(60))], at(3))).await.unwrap();
    let mut backfill = Backfill::open(&running.config).await.unwrap();
    let window = Completed { tenant, content_type, start: at(-50), end: at(0) };
    in_time(backfill.complete(window, at(3))).await.unwrap();
    let mut onboarding = Onboarding::open(&running.config).await.unwrap();
    in_time(onboarding.expect("state", at(3), at(900))).await.unwrap();
    let stored = StoredTenant {
        id: tenant,
        name: "Kunde \"ä\"".to_owned(),
        client_id: Uuid::from_u128(3).into(),
        content_types: vec![ContentType::Exchange, content_type],
        added: at(3),
    };
    in_time(onboarding.store(stored)).await.unwrap();
    run(&mut running.tool().await, "DELETE FROM content WHERE content_id IN ('gone', 'other')")
        .await;
    running.stop().await
}

async fn empty() -> (TempDir, Config) {
    Running::site().await
}

async fn copied(from: &Config, to: &Config) -> Result<Vec<Copied>, CopyError> {
    in_time(copy(&from.location, &to.location, |_| ())).await
}

/// How much of it there is.
async fn contents(config: &Config) -> i64 {
    number(&mut tool(config).await, "SELECT COUNT(*) FROM content").await
}

async fn keys(ledger: &Ledger) -> Vec<Key> {
    let mut walk: Identities = ledger.identities(at(0), 1000).await.unwrap();
    let mut keys = Vec::new();
    while let Some(page) = walk.next().await.unwrap() {
        keys.extend(page.into_iter().flat_map(|remembered| remembered.keys));
    }
    keys
}

#[tokio::test]
async fn everything_is_there_and_the_work_goes_on() {
    let (_file, source) = filled().await;
    let (folder, target) = empty().await;
    let mut said = Vec::new();
    let told = |progress: Progress<'_>| said.push(format!("{progress:?}"));
    let tables = in_time(copy(&source.location, &target.location, told)).await.unwrap();
    let rows: Vec<_> = tables.iter().map(|copied| (copied.table, copied.rows)).collect();
    assert_eq!(
        rows,
        [
            ("content", 5),
            ("dead_letter", 2),
            ("identity_secret", 1),
            ("identity", 2),
            ("sweep", 1),
            ("backfill", 1),
            ("tenant", 1),
            ("consent", 1),
            ("start", 1),
            ("pause", 1),
        ]
    );
    assert!(said.iter().any(|said| said == "Copying { table: \"content\", rows: 5, of: 5 }"));
    assert!(said.iter().any(|said| said == "Verifying { table: \"content\", rows: 5, of: 5 }"));

    // The file is as it was, and its service finds there what the server's finds.
    let (old, _writer) = Ledger::open(&source).await.unwrap();
    let (new, writer) = Ledger::open(&target).await.unwrap();
    let (before, after) = (old.reader(), new.reader());
    assert_eq!(after.status(at(20)).await.unwrap(), before.status(at(20)).await.unwrap());
    let any = Filter::default();
    let pending = before.pending(any, 9, at(20)).await.unwrap();
    assert_eq!(after.pending(any, 9, at(20)).await.unwrap(), pending);
    assert_eq!(new.depth().await.unwrap(), old.depth().await.unwrap());
    let letters = async |config| {
        let letters = DeadLetters::open(config).await.unwrap();
        letters.list(Wanted::default(), None).await.unwrap()
    };
    assert_eq!(letters(&target).await, letters(&source).await);
    assert_eq!(keys(&new).await, keys(&old).await);
    assert_eq!(keys(&new).await.len(), 6);
    assert_eq!(new.stored_tenants().await.unwrap(), old.stored_tenants().await.unwrap());
    assert_eq!(
        new.sweeps(tenant(TENANT)).await.unwrap(),
        old.sweeps(tenant(TENANT)).await.unwrap()
    );
    assert_eq!(
        new.starts(tenant(TENANT)).await.unwrap(),
        old.starts(tenant(TENANT)).await.unwrap()
    );
    let secret = "SELECT secret AS value FROM identity_secret";
    let secret = async |config| {
        let row = query(secret).fetch_one(&mut tool(config).await).await.unwrap();
        row.first::<Vec<u8>>().unwrap()
    };
    assert_eq!(secret(&target).await, secret(&source).await);
    drop((old, before));

    let running = Running::with(folder, target, new, writer);
    // What was leased waits for nobody, and the old holder can do it no harm.
    let leased = running.claim(9, 20).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].announcement.id.as_str(), "leased");
    assert_eq!(leased[0].last_reason, Some(Reason::LeaseLost));
    // An id is not used twice, not even that of a row that is gone.
    running.announce(&["new"], 30).await;
    let new = running.claim(9, 30).await.remove(0);
    assert_eq!(new.key.content, 8);
    assert_eq!(running.settle(&new, Settlement::Dead(Reason::Timeout), 31).await, Settled::Applied);
    assert_eq!(number(&mut running.tool().await, "SELECT MAX(id) FROM dead_letter").await, 3);
    assert_eq!(running.announce(&["delivered", "partly", "dead"], 40).await, [Recorded::Known; 3]);
}

#[tokio::test]
async fn there_and_back_is_the_same() {
    let (_file, source) = filled().await;
    let (_server, server) = empty().await;
    let there = copied(&source, &server).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let back = config(folder.path());
    assert_eq!(copied(&server, &back).await.unwrap(), there);
    let (ledger, writer) = Ledger::open(&back).await.unwrap();
    let running = On::<File>::with(folder, back, ledger, writer);
    running.announce(&["new"], 30).await;
    assert_eq!(number(&mut running.tool().await, "SELECT MAX(id) FROM content").await, 8);
}

#[tokio::test]
async fn pages_end_where_they_end() {
    let (_file, source) = On::<File>::start().await.stop().await;
    run(
        &mut tool(&source).await,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
         INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, \
         expires, announced, state, due) SELECT 'x', 'y', i, i, 'sweep', 0, 0, 0, 'waiting', 0 \
         FROM n; \
         INSERT INTO identity (content, at, number, keys) SELECT id, id, 1, randomblob(16) \
         FROM content LIMIT 129",
    )
    .await;
    let (_server, target) = empty().await;
    let tables = copied(&source, &target).await.unwrap();
    let rows = |name| tables.iter().find(|copied| copied.table == name).unwrap().rows;
    assert_eq!((rows("content"), rows("identity")), (2000, 129));
    assert_eq!(contents(&target).await, 2000);
}

#[tokio::test]
async fn a_ledger_that_is_used_is_not_copied() {
    let running = On::<File>::start().await;
    let (_server, target) = empty().await;
    let refused = copied(&running.config, &target).await.unwrap_err();
    assert!(matches!(refused, CopyError::Open(OpenError::InUse { .. })), "{refused:?}");
    let (_file, source) = running.stop().await;
    let refused = copied(&source, &source).await.unwrap_err();
    assert!(matches!(refused, CopyError::Same { .. }), "{refused:?}");
    let (_nothing, missing) = On::<File>::site().await;
    let refused = copied(&missing, &target).await.unwrap_err();
    assert!(matches!(refused, CopyError::Open(OpenError::Missing { .. })), "{refused:?}");

    let (_other, used) = Running::start().await.stop().await;
    run(&mut tool(&used).await, "INSERT INTO sweep VALUES ('t', 'c', 'week', 0, 0)").await;
    let refused = copied(&source, &used).await.unwrap_err();
    assert!(matches!(refused, CopyError::Occupied { table: "sweep", .. }), "{refused:?}");

    run(
        &mut tool(&source).await,
        "INSERT INTO _sqlx_migrations SELECT 9000, 'later', installed_on, success, checksum, \
         execution_time FROM _sqlx_migrations LIMIT 1",
    )
    .await;
    let refused = copied(&source, &target).await.unwrap_err();
    assert!(matches!(refused, CopyError::Newer { step: 9000, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_replica_that_lives_is_told_from_one_that_was_killed() {
    let (_file, source) = filled().await;
    let running = Running::start().await;
    let beat = |joins| Beat {
        name: "replica-1".to_owned(),
        address: String::new(),
        version: String::new(),
        term: Duration::from_secs(2),
        joins,
        taking: true,
        budget: Use::default(),
    };
    in_time(running.ledger.beat(beat(true), at(0))).await.unwrap();
    let (ledger, live) = (running.ledger.clone(), beat(false));
    let mut living = JoinSet::new();
    living.spawn(async move {
        loop {
            ledger.beat(live.clone(), at(0)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let refused = copied(&source, &running.config).await.unwrap_err();
    let CopyError::Alive { replica, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(replica, "replica-1");
    assert_eq!(contents(&running.config).await, 0);
    living.shutdown().await;

    let (_folder, target) = running.kill().await;
    let mut said = Vec::new();
    let told = |progress: Progress<'_>| said.push(format!("{progress:?}"));
    in_time(copy(&source.location, &target.location, told)).await.unwrap();
    assert_eq!(said[0], "Looking { replica: \"replica-1\" }");
    assert_eq!(contents(&target).await, 5);
}

#[tokio::test]
async fn what_does_not_go_to_its_end_leaves_nothing() {
    let (_file, source) = filled().await;
    let (_server, target) = Running::start().await.stop().await;
    let mut server = tool(&target).await;
    run(
        &mut server,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'refused'; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON start FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    let refused = copied(&source, &target).await.unwrap_err();
    assert!(matches!(refused, CopyError::Failed { .. }), "{refused:?}");
    assert_eq!(contents(&target).await, 0);
    run(
        &mut server,
        "DROP TRIGGER refuse ON start; \
         CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.records = NEW.records + 1; RETURN NEW; END $$; \
         CREATE TRIGGER spoil BEFORE INSERT ON content FOR EACH ROW EXECUTE FUNCTION spoil()",
    )
    .await;
    let refused = copied(&source, &target).await.unwrap_err();
    assert!(matches!(refused, CopyError::Differs { table: "content", .. }), "{refused:?}");
    assert_eq!(contents(&target).await, 0);
    run(&mut server, "DROP TRIGGER spoil ON content").await;
    copied(&source, &target).await.unwrap();
    assert_eq!(contents(&target).await, 5);
    let refused = copied(&source, &target).await.unwrap_err();
    assert!(matches!(refused, CopyError::Occupied { table: "content", .. }), "{refused:?}");
}
