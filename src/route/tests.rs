use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn a_workload_names_its_table() {
    let tables = Tables::try_new(Config::default()).unwrap();
    let check = |workload: &str, expected: &str| {
        let table = tables.table(ContentType::General, Some(workload.as_bytes()));
        assert_eq!(table.as_str(), expected, "{workload:?}");
        assert_eq!(tables.label(&table), expected, "{workload:?}");
    };
    check("Exchange", "exchange");
    check("MicrosoftTeams", "microsoftteams");
    check("AzureActiveDirectory", "azure_active_directory");
    check("AZUREactiveDIRECTORY", "azure_active_directory");
    check("Power-Platform v2.1_x", "powerplatformv21_x");
    check("Wörk\n", "wrk");
    check(&"X".repeat(70), &"x".repeat(64));
    check(&format!("{}Y", "- ".repeat(100)), "y");
}

proptest! {
    #[test]
    fn what_was_seen_is_routed_as_before(
        workloads in proptest::collection::vec(proptest::option::of("[A-D]{0,2}"), 0..60),
    ) {
        let tables = Arc::new(Tables::try_new(Config::default()).unwrap());
        let mut routes = Routes::new(tables.clone(), ContentType::Exchange);
        for workload in &workloads {
            let workload = workload.as_deref().map(str::as_bytes);
            let expected = tables.table(ContentType::Exchange, workload);
            prop_assert_eq!(routes.table(workload), &expected);
            prop_assert!(routes.seen.len() <= MAX_SEEN);
        }
    }
}

#[test]
fn without_a_workload_the_content_type_decides() {
    let tables = Tables::try_new(Config::default()).unwrap();
    for (content_type, expected) in [
        (ContentType::AzureActiveDirectory, "azure_active_directory"),
        (ContentType::Dlp, "other"),
        (ContentType::Exchange, "exchange"),
        (ContentType::General, "other"),
        (ContentType::SharePoint, "sharepoint"),
    ] {
        for workload in [None, Some(""), Some("--"), Some("é")] {
            let table = tables.table(content_type, workload.map(str::as_bytes));
            assert_eq!(table.as_str(), expected, "{content_type} {workload:?}");
        }
    }
}

#[test]
fn a_mapping_holds_for_what_the_content_type_implies_as_well() {
    let tables =
        Tables::try_new(config(&[("exchange", "mail"), ("Threat Intelligence", "ti")])).unwrap();
    let table = |workload: Option<&str>| {
        tables.table(ContentType::Exchange, workload.map(str::as_bytes)).to_string()
    };
    assert_eq!(table(Some("Exchange")), "mail");
    assert_eq!(table(None), "mail");
    assert_eq!(table(Some("THREAT Intelligence")), "ti");
    assert_eq!(table(Some("ThreatIntelligence")), "threatintelligence");
    assert_eq!(table(Some("AzureActiveDirectory")), "azureactivedirectory");
}

#[test]
fn labels_are_bounded_and_routing_is_not() {
    let tables = Tables::try_new(config(&[("Late", "mapped_late")])).unwrap();
    let mut labels = HashSet::new();
    for number in 0..2 * MAX_KNOWN {
        let workload = format!("Workload{number}");
        let table = tables.table(ContentType::Dlp, Some(workload.as_bytes()));
        assert_eq!(table.as_str(), workload.to_lowercase());
        assert_eq!(table, tables.table(ContentType::Dlp, Some(workload.as_bytes())));
        labels.insert(tables.label(&table).to_owned());
    }
    assert!(labels.len() <= MAX_KNOWN, "{}", labels.len());
    assert!(labels.contains("other"));
    assert_eq!(tables.known.read().unwrap().len(), MAX_KNOWN);
    // What is configured or implied was known before.
    for (content_type, workload, label) in [
        (ContentType::Dlp, Some("Late"), "mapped_late"),
        (ContentType::SharePoint, None, "sharepoint"),
    ] {
        let table = tables.table(content_type, workload.map(str::as_bytes));
        assert_eq!(tables.label(&table), label);
    }
}

#[test]
fn names_that_cannot_be_part_of_a_tag_are_refused() {
    let default = Config::default;
    let prefix = |prefix: &str| Config { prefix: prefix.to_owned(), ..default() };
    let fallback = |fallback: &str| Config { fallback: fallback.to_owned(), ..default() };
    let long = "x".repeat(1024);
    for (config, keys) in [
        (prefix(""), &["prefix"][..]),
        (prefix("cloud"), &["prefix"]),
        (prefix("cloud."), &["prefix"]),
        (prefix("cloud..management"), &["prefix"]),
        (prefix("Cloud.office365"), &["prefix"]),
        (prefix("cloud.office 365"), &["prefix"]),
        (prefix(&format!("a.{}", &"x".repeat(958))), &["prefix"]),
        (fallback(""), &["fallback"]),
        (fallback("a.b"), &["fallback"]),
        (fallback("Ä"), &["fallback"]),
        (fallback(&long), &["fallback"]),
        (config(&[("Exchange", "mail box")]), &["workload.Exchange"]),
        (config(&[("Exchange", &long)]), &["workload.Exchange"]),
        (config(&[("", "mail")]), &["workload."]),
        (config(&[("A", "a"), ("a", "b")]), &["workload.a"]),
        (
            Config {
                prefix: "x".to_owned(),
                fallback: "-".to_owned(),
                ..config(&[("A", "A"), ("B", "")])
            },
            &["prefix", "workload.A", "workload.B", "fallback"],
        ),
    ] {
        let problems = config.problems();
        let found: Vec<_> = problems.iter().map(|problem| &problem.key).collect();
        assert_eq!(found, keys, "{config:?}");
        assert_eq!(Tables::try_new(config).unwrap_err(), problems[0]);
    }
    for config in [
        default(),
        prefix("my.app"),
        prefix(&format!("a.{}", &"x".repeat(957))),
        fallback("unknown_7"),
    ] {
        assert_eq!(config.problems(), []);
    }
}

proptest! {
    #[test]
    fn every_record_has_a_table_that_fits_a_tag(
        kind in prop::sample::select(ContentType::ALL.to_vec()),
        workload: Option<Vec<u8>>,
    ) {
        let tables = Tables::try_new(Config::default()).unwrap();
        let table = tables.table(kind, workload.as_deref());
        prop_assert!((1..=64).contains(&table.as_str().len()));
        let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        prop_assert!(table.as_str().bytes().all(fits));
    }
}

fn config(workload: &[(&str, &str)]) -> Config {
    let owned = |(workload, table): &(&str, &str)| ((*workload).to_owned(), (*table).to_owned());
    Config { workload: workload.iter().map(owned).collect::<BTreeMap<_, _>>(), ..Config::default() }
}
