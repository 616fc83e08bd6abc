//! The rules by themselves: promtool's word on them, and what an alert has to say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn every_alert_fires_does_not_and_resolves() {
    for file in ["rules.test.yml", "silence.test.yml"] {
        let mut promtool = Command::new("promtool");
        promtool.args(["test", "rules"]).arg(folder().join(file));
        let said = promtool.output().expect("promtool is missing: install the package prometheus");
        assert!(said.status.success(), "{file}: {}", String::from_utf8_lossy(&said.stderr));
    }
    let tests = ["rules.test.yml", "silence.test.yml"].map(|file| read(&folder().join(file)));
    for name in alerts().keys() {
        let cases: Vec<_> = tests.iter().flat_map(|text| cases(text, name)).collect();
        let fires = cases.iter().position(|fires| *fires).expect("it fires");
        assert!(cases[..fires].iter().any(|fires| !fires), "{name}: when does it not fire?");
        assert!(cases[fires..].iter().any(|fires| !fires), "{name}: when does it resolve?");
    }
}

#[test]
fn every_alert_says_what_to_do_and_the_runbook_has_no_other() {
    let sections: BTreeSet<_> = read(&folder().join("runbook.md"))
        .lines()
        .filter_map(|line| line.strip_prefix("## ").map(str::to_owned))
        .collect();
    let alerts = alerts();
    assert_eq!(sections, alerts.keys().cloned().collect());
    for (name, rule) in &alerts {
        let link = format!("runbook_url: 'runbook.md#{}'", name.to_lowercase());
        assert!(rule.contains(&link), "{name} links to its section");
        let severity = ["severity: critical", "severity: warning"];
        assert!(severity.iter().any(|severity| rule.contains(severity)), "{name} has a severity");
        let said = |key: &str| {
            let text = rule.split(&format!("{key}: '")).nth(1).map(|text| text.lines().next());
            text.flatten().unwrap_or_else(|| panic!("{name} has a {key}")).to_owned()
        };
        assert!(!said("summary").is_empty());
        assert!(said("description").contains("$value"), "{name} says the value");
    }
}

/// Each alert with the text of its rule.
pub fn alerts() -> BTreeMap<String, String> {
    let text = read(&rules());
    let rules = text.split("      - alert: ").skip(1);
    let named = rules.map(|rule| {
        let name = rule.lines().next().expect("a rule has a name");
        (name.to_owned(), rule.to_owned())
    });
    named.collect()
}

/// The file that operators load.
pub fn rules() -> PathBuf {
    folder().join("rules.yml")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// Whether it is expected to fire, for each case of an alert in the order of the file.
fn cases(text: &str, name: &str) -> Vec<bool> {
    let cases = text
        .split("      - ")
        .filter(|case| case.split([' ', ',', '\n', '}']).any(|word| word == name));
    cases.map(|case| case.contains("exp_alerts")).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
