//! The systemd unit.

use std::{fs, process::Command};

use super::{deployed, output, success};
use crate::support::collector::BINARY;

#[test]
fn systemd_finds_no_fault_in_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(deployed("m365-collector.service")).unwrap();
    let file = folder.path().join("m365-collector.service");
    // It looks whether the program is there.
    fs::write(&file, unit.replace("/usr/local/bin/m365-collector", BINARY)).unwrap();
    let said = success(Command::new("systemd-analyze").arg("verify").arg(&file));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let ours: Vec<_> = said.lines().filter(|line| line.contains("m365-collector")).collect();
    assert!(ours.is_empty(), "{ours:#?}");

    // A slip is found, or the above says nothing.
    fs::write(&file, unit.replace("Restart=always", "Restart=allways")).unwrap();
    let said = output(Command::new("systemd-analyze").arg("verify").arg(&file));
    assert!(String::from_utf8_lossy(&said.stderr).contains("allways"), "{said:?}");
}

#[test]
fn its_exposure_is_what_the_documentation_says() {
    let said = success(
        Command::new("systemd-analyze")
            .args(["security", "--no-pager", "--offline=true", "--threshold=11"])
            .arg(deployed("m365-collector.service")),
    );
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("m365-collector.service: 1.1 OK"), "{said}");
    for file in ["../README.md", "m365-collector.service"] {
        let text = fs::read_to_string(deployed(file)).unwrap();
        assert!(text.contains("1.1, OK"), "{file}");
    }
}
