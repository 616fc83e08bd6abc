//! The queries for Devo: they find the numbers in an event of ours.

use std::{fs, process::Command};

use super::{deployed, python, success};

const EVENT: &str = r#"{"version":"0.1.0","window_start":"2026-01-31T10:00:00Z","window_end":"2026-01-31T10:01:00Z","draining":false,"messages_successfully_processed":12,"messages_unsuccessfully_processed":3,"tenants":[{"tenant":"a","messages_successfully_processed":5,"messages_unsuccessfully_processed":1}]}"#;

#[test]
fn the_patterns_of_the_queries_find_the_totals() {
    let mut found = 0;
    for name in ["unsuccessful.linq", "counters.linq"] {
        let query = fs::read_to_string(deployed("devo").join(name)).unwrap();
        assert!(query.starts_with("from my.app.m365_collector.stats\n"), "{name}");
        for part in query.split("re(\"").skip(1) {
            let pattern = part.split_once("\")").unwrap().0;
            let script = "import re, sys; print(re.search(sys.argv[1], sys.argv[2])[1])";
            let said =
                success(Command::new(python("python")).args(["-c", script]).args([pattern, EVENT]));
            let expected = if pattern.contains("unsuccessfully") { "3\n" } else { "12\n" };
            assert_eq!(String::from_utf8_lossy(&said.stdout), expected, "{name}: {pattern}");
            found += 1;
        }
    }
    assert_eq!(found, 3);
}

#[test]
fn the_documentation_names_every_query_and_shows_an_event_of_ours() {
    let text = fs::read_to_string(deployed("devo/README.md")).unwrap();
    for entry in fs::read_dir(deployed("devo")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || text.contains(&format!("]({name})")), "{name}");
    }
    let event = text.lines().find(|line| line.starts_with('{')).unwrap();
    let keys = |json: &str| -> Vec<String> {
        let event: serde_json::Value = serde_json::from_str(json).unwrap();
        event.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(event), keys(EVENT));
}
