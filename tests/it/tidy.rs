//! What the compiler does not check: who may know whom, and how a file looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Part → the parts it may use. The table of `src/lib.rs`, as data.
fn arrows() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let vocabulary = ["content", "moment", "printable", "reason"];
    let pure =
        ["aadsts", "notification", "redirect", "split", "route", "frame", "identity", "backoff"];
    let needs = ["clock", "watched", "secret", "shutdown", "tls", "outcomes", "roster"];
    let base: Vec<_> = vocabulary.iter().chain(&pure).chain(&needs).copied().collect();
    let with = |own: &str, more: &[&'static str]| -> BTreeSet<&'static str> {
        base.iter().chain(more).copied().filter(|part| *part != own).collect()
    };
    let activity = ["ledger", "microsoft", "deliver", "http"];
    let mut arrows = BTreeMap::new();
    arrows.insert("content", BTreeSet::new());
    arrows.insert("moment", BTreeSet::new());
    arrows.insert("printable", BTreeSet::new());
    arrows.insert("reason", BTreeSet::from(["content"]));
    for part in pure {
        let pure = vocabulary.iter().chain(&pure).copied().filter(|other| *other != part);
        arrows.insert(part, pure.collect());
    }
    for part in needs {
        let other = vocabulary.iter().chain(&needs).copied().filter(|other| *other != part);
        arrows.insert(part, other.collect());
    }
    for part in activity {
        arrows.insert(part, with(part, &[]));
    }
    for part in ["webhook", "pipeline", "expiry", "stats", "logbook"] {
        arrows.insert(part, with(part, &activity));
    }
    arrows.insert("duties", with("duties", &["ledger", "microsoft"]));
    for part in ["sweep", "subscriptions"] {
        arrows.insert(part, with(part, &[&activity[..], &["duties"]].concat()));
    }
    arrows.insert("consent", with("consent", &["http"]));
    // It compares, page by page, what the sweep's reader lists.
    arrows.insert("completeness", with("completeness", &["ledger", "microsoft", "sweep"]));
    // The admin port shows what others observed; it asks nothing of them but their word.
    let observers = ["subscriptions", "expiry", "completeness", "duties"];
    arrows.insert("admin", with("admin", &[&activity[..], &observers].concat()));
    // The doctor looks at everything from outside, and lets the webhook stand in for the service.
    arrows.insert(
        "doctor",
        with("doctor", &["ledger", "microsoft", "deliver", "webhook", "subscriptions", "app"]),
    );
    arrows.insert("simulator", BTreeSet::from(["content", "tls", "shutdown", "clock"]));
    arrows
}

/// Crate → the only parts that may name it.
const CONFINED: &[(&str, &[&str])] = &[
    ("anyhow", &["main"]),
    ("clap", &["cli", "main"]),
    ("hyper", &["http", "webhook", "admin", "consent", "microsoft", "simulator"]),
    ("hyper_util", &["http", "webhook", "admin", "microsoft", "simulator"]),
    ("indicatif", &["demo", "cli"]),
    ("opentelemetry", &["cli", "microsoft"]),
    ("opentelemetry_otlp", &["cli"]),
    ("opentelemetry_sdk", &["cli", "microsoft"]),
    ("rcgen", &["simulator"]),
    ("reqwest", &["microsoft"]),
    ("sqlx", &["ledger"]),
    ("tracing_opentelemetry", &["cli", "microsoft"]),
    ("tokio_rustls", &["deliver", "microsoft", "simulator", "tls"]),
    ("x509_parser", &["tls"]),
];

/// Parts that decide: neither runtime, nor I/O, nor clock.
const PURE: &[&str] = &[
    "content",
    "moment",
    "printable",
    "reason",
    "aadsts",
    "notification",
    "redirect",
    "split",
    "route",
    "frame",
    "identity",
    "backoff",
];

struct Source {
    part: String,
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap();
        let part = first.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        Source { part, path, text }
    };
    let sources: Vec<_> = found.into_iter().map(read).collect();
    assert!(sources.len() > 30, "the walk found the sources");
    sources
}

impl Source {
    /// The text without tests, which may know more, and without comments.
    fn code(&self) -> String {
        if self.path.file_name().is_some_and(|name| name == "tests.rs")
            || self.path.iter().any(|folder| folder == "tests")
        {
            return String::new();
        }
        let code = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The first segments of paths that begin with `crate::`, also inside `use crate::{…}`.
    fn crate_parts(&self) -> BTreeSet<String> {
        let code = self.code();
        let mut parts = BTreeSet::new();
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let mut depth = 0;
                let mut segment = String::new();
                for character in list.chars() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            parts.insert(first_segment(&segment));
                            segment.clear();
                            continue;
                        }
                        _ => {}
                    }
                    segment.push(character);
                }
                parts.insert(first_segment(&segment));
            } else {
                parts.insert(first_segment(rest));
            }
        }
        parts.remove("");
        parts
    }
}

fn first_segment(path: &str) -> String {
    let path = path.trim();
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(path.len());
    path[..end].to_owned()
}

#[test]
fn arrows_point_down() {
    let arrows = arrows();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(allowed) = arrows.get(source.part.as_str()) else { continue };
        for part in source.crate_parts() {
            if part != source.part && !allowed.contains(part.as_str()) {
                wrong.push(format!("{} uses {part}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        let code = source.code();
        for (name, parts) in CONFINED {
            let named = code.lines().any(|line| {
                line.match_indices(&format!("{name}::")).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                })
            });
            if named && !parts.contains(&source.part.as_str()) {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
        if PURE.contains(&source.part.as_str()) {
            for name in ["tokio::", "std::fs", "std::net", "std::io", "crate::clock"] {
                if code.contains(name) {
                    wrong.push(format!("{} is pure and names {name}", source.path.display()));
                }
            }
        }
        if !["config", "main", "cli"].contains(&source.part.as_str()) && code.contains("env::var") {
            wrong.push(format!("{} reads the environment", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_are_small_and_say_what_they_own() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > 400 {
            wrong.push(format!("{} has {lines} lines", source.path.display()));
        }
        // The tests of a module are introduced by the module.
        let is_tests = source.path.file_name().is_some_and(|name| name == "tests.rs");
        if !is_tests && !source.text.starts_with("//!") {
            wrong.push(format!("{} does not say what it owns", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_top_level_holds_nothing_else() {
    let known =
        ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "src", "deploy", "tests", "target"];
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let extra: Vec<_> =
        names.filter(|n| !n.starts_with('.') && !known.contains(&n.as_str())).collect();
    assert!(extra.is_empty(), "{extra:?}");
}
