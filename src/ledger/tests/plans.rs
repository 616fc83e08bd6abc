//! How `SQLite` finds what runs all the time, and what it leaves alone.

use sqlx::{AssertSqlSafe, Row as _};

use super::*;
use crate::{
    ledger::{backlog, dialect::Statement, identities, listed, overview, rows},
    reason::Reason,
};

async fn plan(tool: &mut Connection, statement: impl Into<Statement>) -> Vec<String> {
    let Connection::Sqlite(tool, ..) = tool else { panic!("it is a file") };
    let mut plan = Vec::new();
    for part in statement.into().sqlite.split("; ") {
        let sql = format!("EXPLAIN QUERY PLAN {part}");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *tool).await.unwrap();
        plan.extend(rows.iter().map(|row| row.get::<String, _>("detail")));
    }
    plan
}

#[tokio::test]
async fn what_runs_all_the_time_is_served_by_an_index() {
    let running = Running::start().await;
    let mut tool = running.tool().await;
    let waiting = "INDEX content_waiting (tenant=? AND lane=? AND due<?)";
    let (oldest, expiring) =
        ("COVERING INDEX content_oldest (tenant=?)", "COVERING INDEX content_expiring (tenant=?)");
    let known = "INDEX sqlite_autoindex_content_1 (tenant=? AND content_type=? AND canonical_id=?)";
    let expected: [(Statement, &[&str]); 6] = [
        (rows::DUE, &[&format!("SEARCH content USING {waiting}")]),
        (rows::EXPIRED, &["SEARCH content USING INDEX content_expiring (tenant=? AND expires<?)"]),
        (
            backlog::TENANTS_DUE,
            &[
                "SCAN item VIRTUAL TABLE INDEX 1:",
                &format!("SEARCH content EXISTS USING COVERING {waiting}"),
            ],
        ),
        (
            backlog::DEPTH.into(),
            &[
                "SCAN backlog",
                "CORRELATED SCALAR SUBQUERY 1",
                &format!("SEARCH content USING {oldest}"),
                "CORRELATED SCALAR SUBQUERY 2",
                &format!("SEARCH content USING {expiring}"),
            ],
        ),
        // At a start, once: what waits is read, but from the index alone.
        (
            rows::TAKE_BACK.into(),
            &[
                "SEARCH content USING INTEGER PRIMARY KEY (rowid=?)",
                "LIST SUBQUERY 1",
                "SCAN content USING COVERING INDEX content_waiting",
                "CREATE BLOOM FILTER",
            ],
        ),
        (
            listed::KNOWN,
            &["SCAN item VIRTUAL TABLE INDEX 1:", &format!("SEARCH content USING {known}")],
        ),
    ];
    for (sql, expected) in expected {
        assert_eq!(plan(&mut tool, sql).await, expected, "{}", sql.sqlite);
    }
}

#[tokio::test]
async fn nothing_hot_reads_a_whole_table() {
    let running = Running::start().await;
    let mut tool = running.tool().await;
    for hot in hot::hot(hot::Size { waiting: 10, settled: 100 }) {
        let plan = plan(&mut tool, hot.statement).await;
        for table in ["content", "identity", "dead_letter"] {
            let scan = format!("SCAN {table}");
            let scans =
                plan.iter().any(|line| *line == scan || line.starts_with(&(scan.clone() + " ")));
            // The newest ones, one after the other from the end of an index.
            let is_walk = plan.iter().any(|line| line.contains("USING COVERING INDEX identity_at"));
            // Or, of what was announced, from the end of the table.
            let is_walk = is_walk || (hot.name, table) == ("announce", "content") && !sorts(&plan);
            assert!(!scans || is_walk, "{}: {plan:?}", hot.name);
        }
    }
}

/// Whether it reads all of something to find the newest of it.
fn sorts(plan: &[String]) -> bool {
    plan.iter().any(|line| line.contains("TEMP B-TREE"))
}

#[tokio::test]
async fn no_look_of_the_page_reads_all_of_the_ledger() {
    let running = Running::start().await;
    let mut tool = running.tool().await;
    let ids = "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
    let settled = "USING INDEX content_settled (state=? AND settled>? AND settled<?)";
    for (statement, way) in [
        (overview::ANNOUNCED, ids),
        (overview::BOOKS, ids),
        (overview::DELIVERED, settled),
        (overview::GIVEN_UP, ids),
        (overview::WAITING, "USING INDEX content_oldest (tenant=? AND created>?)"),
    ] {
        let plan = plan(&mut tool, statement).await;
        assert!(plan[0].contains(way), "{statement}: {plan:?}");
        assert!(plan.iter().all(|line| !line.contains("SCAN ")), "{statement}: {plan:?}");
    }
}

#[tokio::test]
async fn a_claim_touches_neither_gauges_nor_what_finds_settled_content() {
    let running = Running::start().await;
    running.announce(&["a"], 0).await;
    let mut tool = running.tool().await;
    // Would be written by anything that writes the state, changed or not.
    run(
        &mut tool,
        "CREATE TRIGGER state_written BEFORE UPDATE OF state, settled, created, expires ON content \
         BEGIN SELECT RAISE(ABORT, 'written'); END",
    )
    .await;
    let lease = running.claim(1, 0).await.remove(0);
    running.ledger.renew(vec![lease.key], at(1)).await.unwrap();
    let again = Settlement::Retry { at: at(2), reason: Reason::Timeout };
    assert_eq!(running.settle(&lease, again, 1).await, Settled::Applied);
    run(&mut tool, "DROP TRIGGER state_written").await;
    let lease = running.claim(1, 2).await.remove(0);
    assert_eq!((lease.attempts, lease.last_reason), (1, Some(Reason::Timeout)));
    assert_eq!(running.settle(&lease, delivered(1), 3).await, Settled::Applied);
    assert_eq!(running.ledger.depth().await.unwrap(), []);
}

#[tokio::test]
async fn reading_costs_nothing_for_what_is_not_read() {
    let running = Running::start().await;
    let mut tool = running.tool().await;
    let beginning = Statement::from(identities::BEGINNING);
    for statement in [identities::NEXT, beginning] {
        let plan = plan(&mut tool, statement).await;
        let plan = plan.join("\n");
        assert!(plan.contains("identity_at"), "{plan}");
        let resumes = plan.contains("identity_at (at=? AND id>?)");
        assert!(statement == beginning || resumes, "{plan}");
        // One row is all that is sorted for the beginning.
        assert!(statement == beginning || !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn a_listing_that_says_nothing_new_is_not_written() {
    let running = Running::start().await;
    running.announce(&["told", "told2"], 0).await;
    let page = |created: i64| {
        let listed = |id: &str| Announcement { created: at(created), ..content(TENANT, id) };
        let other = Announcement { content_type: ContentType::General, ..listed("told") };
        vec![listed("told"), listed("told2"), listed("listed"), other]
    };
    let list = async |created, seconds| {
        let recorded = running.ledger.announce(Via::Sweep, page(created), at(seconds));
        in_time(recorded).await.unwrap()
    };
    // Changes when another connection has written.
    let mut tool = running.tool().await;
    let mut version = async || number(&mut tool, "PRAGMA data_version").await;
    let mut before = version().await;
    let (known, new) = (Recorded::Known, Recorded::New);
    assert_eq!(list(-9, 1).await, [known, known, new, new]);
    assert_ne!(version().await, before, "the first listing is noted");
    before = version().await;
    assert_eq!(list(-9, 2).await, [known; 4]);
    assert_eq!(list(-9, 90_000).await, [known; 4]);
    assert_eq!(version().await, before, "the same again is not");
    assert_eq!(list(-8, 90_001).await, [known; 4]);
    assert_ne!(version().await, before, "another date is");
}
