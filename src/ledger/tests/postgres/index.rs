//! What runs all the time reads no table as a whole, however much is in it.

use sqlx::Row as _;

use super::*;
use crate::ledger::{backlog, dialect::Statement, listed, rows};

#[tokio::test]
async fn what_runs_all_the_time_is_served_by_an_index() {
    let running = Running::start().await;
    let mut tool = running.tool().await;
    run(
        &mut tool,
        "INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, \
         expires, announced, state, due, settled) SELECT 't' || n % 10, 'Audit.Exchange', \
         'c' || n, 'c' || n, 'sweep', n, n, n, CASE WHEN n % 5 = 0 THEN 'waiting' \
         ELSE 'delivered' END, n, CASE WHEN n % 5 = 0 THEN NULL ELSE n END \
         FROM generate_series(1, 60000) AS n; \
         INSERT INTO backlog SELECT tenant, 0, COUNT(*) FROM content WHERE state = 'waiting' \
         GROUP BY tenant; ANALYZE",
    )
    .await;
    let cases: [(Statement, &str, &str); 5] = [
        (rows::DUE, "'t5', 30000, 32, 0", "content_waiting"),
        (rows::PROGRESS, "'[5, 10, 15]'", "content_pkey"),
        (listed::KNOWN, "'t5', 'Audit.Exchange', '[\"c5\", \"c6\"]'", "content_tenant"),
        (backlog::TENANTS_DUE, "30000, '[\"t5\", \"t7\"]'", "content_waiting"),
        (backlog::DEPTH.into(), "", "content_oldest"),
    ];
    let Connection::Postgres(tool) = &mut tool else { panic!("it is a server") };
    for (number, (statement, values, index)) in cases.into_iter().enumerate() {
        let name = format!("statement{number}");
        let prepare = AssertSqlSafe(format!("PREPARE {name} AS {}", statement.postgres));
        sqlx::raw_sql(prepare).execute(&mut **tool).await.unwrap();
        let values = if values.is_empty() { String::new() } else { format!("({values})") };
        // With the values at hand, and for whatever values may come.
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let set = AssertSqlSafe(format!("SET plan_cache_mode = {mode}"));
            sqlx::raw_sql(set).execute(&mut **tool).await.unwrap();
            let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE {name}{values}"));
            let plan = sqlx::raw_sql(explain).fetch_all(&mut **tool).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
            let plan = plan.join("\n");
            assert!(!plan.contains("Seq Scan on content"), "{mode}: {plan}");
            assert!(plan.contains(index), "{mode}: {plan}");
        }
    }
}
