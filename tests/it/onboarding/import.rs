//! `config import`, `config show`: by the real binary, and accepted by it.

use std::fs;

use m365_collector::simulator::certificates::Material;

use crate::support::collector::command;

const FILE: &str = r#"{
  "global_overrides": { "debug": false },
  "inputs": {
    "office365": {
      "id": "12345", "enabled": true, "environment": "prod", "requests_per_second": 5,
      "credentials": {
        "tenant_id": "11111111-1111-1111-1111-111111111111",
        "client_id": "22222222-2222-2222-2222-222222222222",
        "client_secret": "from-the-old-file"
      },
      "services": {
        "azure_active_directory": { "request_period_in_seconds": 300 },
        "dlp": { "obfuscation_data": [{ "name": ["UserId"], "value": "***" }] },
        "uri_retry": {}
      }
    }
  }
}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_parameters_file_becomes_a_configuration_that_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |arguments: &[&str]| command(folder.path(), arguments, &[]).await;
    fs::write(folder.path().join("config.json"), FILE).unwrap();
    let said = run(&["config", "import", "config.json"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    for left in ["environment", "requests_per_second", "services.dlp.obfuscation_data"] {
        let line = said.err.lines().find(|line| line.contains(left));
        let line = line.unwrap_or_else(|| panic!("{left} is not named:\n{}", said.err));
        assert!(line.starts_with("not carried over: inputs.office365."), "{line}");
    }
    assert!(!said.err.contains("from-the-old-file"));
    assert!(said.err.contains("outputs: none; set devo.endpoint"), "{}", said.err);
    fs::write(folder.path().join("m365-collector.toml"), &said.out).unwrap();
    drop(Material::open(Some(folder.path())).expect("certificates can be made"));
    let said = run(&["check", "--offline"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("configuration is valid: 1 tenant, 2 subscriptions"), "{}", said.err);

    // What is in force then, without the secret, and from where.
    let shown =
        command(folder.path(), &["config", "show"], &[("M365_COLLECTOR__SWEEP__INTERVAL", "3m")])
            .await;
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    for line in [
        "interval = \"3m\"  # M365_COLLECTOR__SWEEP__INTERVAL",
        "concurrency = 32  # default",
        "login_url = \"https://login.microsoftonline.com/\"  # default of microsoft.cloud",
    ] {
        assert!(shown.out.lines().any(|found| found == line), "{line}\n{}", shown.out);
    }
    assert!(!shown.out.contains("from-the-old-file"), "{}", shown.out);

    // Nothing that can be collected is a failure, also to a script.
    let nobody = FILE.replace("22222222-2222-2222-2222-222222222222", "");
    fs::write(folder.path().join("nobody.json"), nobody).unwrap();
    let said = run(&["config", "import", "nobody.json"]).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("inputs: no input names a tenant"), "{}", said.err);

    // Files that are none of these say so.
    fs::write(folder.path().join("other.json"), "{}").unwrap();
    let said = run(&["config", "import", "other.json"]).await;
    assert!(said.code == Some(1) && said.err.contains("has no \"inputs\""), "{}", said.err);
    fs::write(folder.path().join("other.yaml"), "inputs:\n  a: b\n").unwrap();
    let said = run(&["config", "import", "other.yaml"]).await;
    assert!(said.code == Some(1) && said.err.contains("is not JSON"), "{}", said.err);
    let said = run(&["config", "import", "missing.json"]).await;
    assert!(said.code == Some(1) && said.err.contains("missing.json"), "{}", said.err);
}
