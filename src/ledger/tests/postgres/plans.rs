//! What runs all the time reads what it is asked for, however much is in the ledger.
//!
//! Each statement is run, with its values at hand and as it is prepared for any, and the pages that
//! the server touched are counted. `M365_TEST_LEDGER_ROWS` says how much there is to be settled; a
//! tenth as much waits.

use sqlx::Row as _;

use super::{
    super::hot::{Hot, Size, fill, hot},
    *,
};

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the figures are of interest")]
async fn what_runs_all_the_time_touches_what_it_is_asked_for() {
    let settled = std::env::var("M365_TEST_LEDGER_ROWS").ok().and_then(|text| text.parse().ok());
    let settled = settled.unwrap_or(SETTLED);
    let size = Size { waiting: settled / 10, settled };
    let running = Running::start().await;
    let mut tool = running.tool().await;
    let Connection::Postgres(tool) = &mut tool else { panic!("it is a server") };
    let mut run =
        async |sql: String| sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut **tool).await.unwrap();
    run("SET statement_timeout = 0; SET synchronous_commit = off".to_owned()).await;
    run(fill(size)).await;
    let mut wrong = Vec::new();
    for (number, Hot { name, statement, types, values, rows, once }) in
        hot(size).into_iter().enumerate()
    {
        run(format!("PREPARE statement{number} {types} AS {}", statement.postgres)).await;
        let values = if values.is_empty() { values } else { format!("({values})") };
        let modes = if once { &MODES[..1] } else { &MODES };
        for mode in modes {
            run(format!("SET plan_cache_mode = {mode}")).await;
            run("BEGIN".to_owned()).await;
            let explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF)";
            let plan = run(format!("{explain} EXECUTE statement{number}{values}")).await;
            run("ROLLBACK".to_owned()).await;
            let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
            let plan = plan.join("\n");
            let each = if statement.postgres.starts_with("SELECT") { READ } else { WRITTEN };
            let (pages, most) = (pages(&plan), FEW + each * rows);
            if settled != SETTLED {
                let time = plan.lines().rev().find(|line| line.starts_with("Execution Time"));
                eprintln!(
                    "{name:18} {mode:18} {pages:8} pages of {most:8}  {}",
                    time.unwrap_or("")
                );
            }
            let scan = ["content", "identity", "dead_letter"]
                .into_iter()
                .find(|table| plan.contains(&format!("Seq Scan on {table}")))
                // All of it is what is asked for.
                .filter(|_| name != "number of identities");
            if scan.is_some() || pages > most {
                wrong.push(format!("{name}, {mode}: {pages} pages, at most {most}\n{plan}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Pages that were touched, in memory or not.
fn pages(plan: &str) -> i64 {
    // The first line of them is of the whole plan.
    let line = plan.lines().find(|line| line.trim_start().starts_with("Buffers: shared"));
    let shared = line.unwrap_or_default().split(',').next();
    let words = shared.unwrap_or_default().split_whitespace();
    let counts = words.filter_map(|word| word.strip_prefix("hit=").or(word.strip_prefix("read=")));
    counts.map(|count| count.parse::<i64>().expect("it is a number")).sum()
}

/// With its values at hand, and for any.
const MODES: [&str; 2] = ["force_custom_plan", "force_generic_plan"];

/// So much that reading all of it is no small matter.
const SETTLED: i64 = 1_000_000;

/// Pages that are touched for nothing found: the ways down some indexes, and catalogs.
const FEW: i64 = 200;

/// Pages for a row that is read: the way down an index, and the row.
const READ: i64 = 8;

/// Pages for a row that is written: the same in every index.
const WRITTEN: i64 = 40;
