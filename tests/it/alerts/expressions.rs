//! Every expression of the dashboard and of the rules, asked of a Prometheus that holds data.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{rules, shortened::shortened, stack::Stack};

/// Fails with every expression that has no result. What is there only while something is wrong
/// was there within the last minutes; of alerts, that their series are there.
pub async fn have_results(stack: &Stack) {
    let mut empty = Vec::new();
    for (panel, expression) in of_dashboard() {
        if stack.results(&filled_in(&expression)).await == 0 {
            empty.push(format!("{panel}: {expression}"));
        }
    }
    let text = fs::read_to_string(rules::rules()).unwrap();
    let recorded = text.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    for series in recorded.map(str::to_owned).chain(series_of(&text)) {
        if stack.results(&format!("last_over_time({series}[10m])")).await == 0 {
            empty.push(series);
        }
    }
    assert!(empty.is_empty(), "without a result: {empty:#?}");
}

#[test]
fn the_dashboard_shows_what_it_should() {
    let expressions: BTreeSet<_> = of_dashboard().into_iter().map(|(_, text)| text).collect();
    assert!(expressions.len() > 30, "{}", expressions.len());
    let all: String = expressions.iter().map(String::as_str).collect();
    for wanted in [
        "m365:content_announced:rate5m",
        "m365:content_settled:rate5m",
        "m365_records_duplicate_total",
        "m365:delivery_lag_seconds:p95",
        "m365:feed_last_success_timestamp_seconds",
        "m365_pending_expiry_seconds",
        "m365:attempts_failed:rate5m",
        "m365_throttled_total",
        "m365_devo_connected",
        "process_resident_memory_bytes",
    ] {
        assert!(all.contains(wanted), "{wanted}");
    }
    for variable in variables() {
        assert!(all.contains(&format!("${variable}")), "{variable} is used");
    }
}

/// Each query with the title of its panel.
fn of_dashboard() -> Vec<(String, String)> {
    let panels = dashboard()["panels"].as_array().expect("it has panels").clone();
    let mut expressions = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a panel has a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = target["expr"].as_str().expect("a target has an expression");
            expressions.push((title.to_owned(), text.to_owned()));
        }
    }
    expressions
}

fn variables() -> Vec<String> {
    let list = dashboard()["templating"]["list"].as_array().expect("it has variables").clone();
    let queries = list.iter().filter(|variable| variable["type"] == "query");
    queries.map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
}

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/dashboard.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).expect("the dashboard is JSON")
}

/// As Grafana would ask with everything selected, in the time of the test.
fn filled_in(expression: &str) -> String {
    let mut text = expression.replace("$__rate_interval", "5m");
    for variable in variables() {
        text = text.replace(&format!("${variable}"), ".*");
    }
    shortened(&text)
}

/// The names of the service's series in a text.
fn series_of(text: &str) -> Vec<String> {
    let names = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let names = names.filter(|name| name.starts_with("m365_") && name.len() > 5);
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    names.into_iter().collect()
}
