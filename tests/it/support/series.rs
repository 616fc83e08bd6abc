//! The text of `/metrics`, taken apart.

use std::collections::BTreeMap;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All lines of one answer.
pub struct Scrape(pub Vec<Series>);

impl Scrape {
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(lines.map(parse_line).collect())
    }

    /// The sum of all series of this name that have at least these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |series: &&Series| {
            series.name == name
                && labels.iter().all(|(label, value)| {
                    series.labels.get(*label).is_some_and(|found| found == value)
                })
        };
        self.0.iter().filter(has).map(|series| series.value).sum()
    }
}

/// Each family with its kind and the names of its labels, one line each.
pub fn outline(text: &str) -> String {
    let Scrape(series) = Scrape::parse(text);
    let mut outline = String::new();
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = family.split_once(' ').expect("a TYPE line has a kind");
        let of_family = |series: &&Series| {
            let rest = series.name.strip_prefix(name);
            rest.is_some_and(|rest| ["", "_bucket"].contains(&rest))
        };
        let first = series.iter().find(of_family).expect("a family has series");
        let labels: Vec<_> = first.labels.keys().map(String::as_str).collect();
        outline.push_str(&format!("{name} {kind} {{{}}}\n", labels.join(", ")));
    }
    outline
}

/// Our label values are names and closed words: nothing in them is ever escaped.
fn parse_line(line: &str) -> Series {
    let (series, value) = line.rsplit_once(' ').expect("a line has a value");
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("labels end")),
        None => (series, ""),
    };
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
        let (name, value) = label.split_once('=').expect("a label has a value");
        assert!(!value.contains('\\'), "{line}");
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    let value = value.parse().expect("a value is a number");
    Series { name: name.to_owned(), labels: labels.collect(), value }
}
