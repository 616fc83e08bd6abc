//! The manifests: built by kustomize, of the form that Kubernetes takes, and true of each other and
//! of the configuration in them.

use std::{fs, path::PathBuf, process::Command};

use expect_test::expect_file;
use serde_json::Value;

use super::{beside_the_build, checked, deployed, output, python, success, walk, yaml};

const OVERLAYS: [&str; 3] = ["base", "sqlite", "postgres"];

/// The oldest that is still looked after somewhere, and the newest there are schemas of.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

#[test]
fn kubernetes_takes_them() {
    for overlay in OVERLAYS {
        let built = Built::new(overlay);
        let mut native = Vec::new();
        for document in &built.documents {
            let kind = document["kind"].as_str().unwrap();
            if document["apiVersion"] == "monitoring.coreos.com/v1" {
                taken_by_the_operator(document);
                continue;
            }
            let file = built.folder.path().join(format!("{}-{kind}.json", native.len()));
            fs::write(&file, document.to_string()).unwrap();
            native.push(file);
        }
        assert!(native.len() >= 8, "{overlay}: {}", native.len());
        for version in VERSIONS {
            success(&mut validate(version, &native));
        }
    }
}

#[test]
fn a_slip_is_found() {
    let mut built = Built::new("base");
    let file = built.folder.path().join("slip.json");
    let set = built.one_mut("StatefulSet");
    set["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFileSystem"] = true.into();
    fs::write(&file, set.to_string()).unwrap();
    assert!(!output(&mut validate(VERSIONS[1], &[file])).status.success());
}

#[test]
fn their_configuration_is_valid_and_its_ports_and_paths_are_those_of_the_others() {
    for overlay in OVERLAYS {
        let built = Built::new(overlay);
        let text = built.one("ConfigMap")["data"]["m365-collector.toml"].as_str().unwrap();
        let container = built.container();
        let set = |entry: &Value| {
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            (text("name"), text("value"))
        };
        let variables: Vec<_> =
            container["env"].as_array().into_iter().flatten().map(set).collect();
        assert_eq!(!variables.is_empty(), overlay == "postgres");
        let said = checked(text, "/run/secrets/m365-collector", &variables);
        assert!(said.status.success(), "{overlay}: {}", String::from_utf8_lossy(&said.stderr));

        let config: toml::Table = text.parse().unwrap();
        let port = |section: &str| {
            let listen = config[section]["listen"].as_str().unwrap();
            listen.rsplit_once(':').unwrap().1.parse::<u64>().unwrap()
        };
        let open = |name: &str| {
            let ports = container["ports"].as_array().unwrap();
            ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].as_u64()
        };
        assert_eq!(open("webhook"), Some(port("webhook")));
        assert_eq!(open("admin"), Some(port("admin")));
        for (service, name) in [("m365-collector", "webhook"), ("m365-collector-replicas", "admin")]
        {
            let service = built.named("Service", service);
            assert_eq!(service["spec"]["ports"][0]["targetPort"], name);
        }
        let allowed: Vec<_> = built.one("NetworkPolicy")["spec"]["ingress"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["ports"][0]["port"].as_u64().unwrap())
            .collect();
        assert_eq!(allowed, [port("webhook"), port("admin")]);

        let address = config["webhook"]["address"].as_str().unwrap();
        let rule = &built.one("Ingress")["spec"]["rules"][0];
        let backend = &rule["http"]["paths"][0];
        let path = backend["path"].as_str().unwrap();
        assert_eq!(address, format!("https://{}{path}", rule["host"].as_str().unwrap()));
        assert_eq!(backend["backend"]["service"]["port"]["name"], "webhook");
    }
}

#[test]
fn every_file_is_mounted_and_every_selector_finds_the_pods() {
    for overlay in OVERLAYS {
        let built = Built::new(overlay);
        let set = built.one("StatefulSet");
        let pod = &set["spec"]["template"];
        let labels = pod["metadata"]["labels"].as_object().unwrap();
        for document in &built.documents {
            walk(document, &mut |value| {
                if let Some(wanted) = value.get("matchLabels").and_then(Value::as_object)
                    && wanted.contains_key("app.kubernetes.io/name")
                {
                    assert!(wanted.iter().all(|(name, value)| labels.get(name) == Some(value)));
                }
            });
            assert_eq!(document["metadata"]["labels"]["app.kubernetes.io/name"], "m365-collector");
        }
        let mounts = built.container()["volumeMounts"].as_array().unwrap();
        let mounted = |path: &str| {
            let of = |mount: &&Value| path.starts_with(mount["mountPath"].as_str().unwrap());
            mounts.iter().find(of).map(|mount| mount["name"].as_str().unwrap().to_owned())
        };
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let volume = |name: &str| volumes.iter().find(|volume| volume["name"] == name);
        // The file that is run is a key of the ConfigMap, under the name that kustomize gave it.
        let arguments = built.container()["args"].as_array().unwrap();
        let config = arguments.last().unwrap().as_str().unwrap();
        let config_map = volume(&mounted(config).unwrap()).unwrap();
        assert_eq!(config_map["configMap"]["name"], built.one("ConfigMap")["metadata"]["name"]);
        assert!(mounted("/run/secrets/m365-collector/auth-id").is_some());
        let ledger = mounted("/var/lib/m365-collector/ledger.db");
        let claims = set["spec"]["volumeClaimTemplates"].as_array();
        if overlay == "postgres" {
            assert_eq!((ledger, claims), (None, None));
            assert_eq!(set["spec"].get("replicas"), None, "the autoscaler's");
            assert_eq!(built.one("HorizontalPodAutoscaler")["spec"]["minReplicas"], 3);
            assert_eq!(built.one("PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
        } else {
            assert_eq!(ledger.unwrap(), claims.unwrap()[0]["metadata"]["name"].as_str().unwrap());
            assert_eq!(set["spec"]["replicas"], 1, "one process for each SQLite file");
        }
        // The drain is not cut off.
        assert!(pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap() > 30);
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let ask = &built.container()[probe]["httpGet"];
            assert_eq!(ask["port"], "admin");
            assert!(["/livez", "/readyz"].contains(&ask["path"].as_str().unwrap()));
        }
    }
}

#[test]
fn the_operator_scrapes_every_replica() {
    let built = Built::new("sqlite");
    let monitor = built.one("ServiceMonitor");
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let services = built.documents.iter().filter(|document| document["kind"] == "Service");
    let found: Vec<_> = services
        .filter(|service| {
            wanted
                .iter()
                .all(|(name, value)| service["metadata"]["labels"].get(name) == Some(value))
        })
        .collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], found[0]["spec"]["ports"][0]["name"]);
}

/// `UPDATE_EXPECT=1 cargo test --test it deploy::` writes the rules into the manifest again.
#[test]
fn the_rules_are_those_of_prometheus() {
    let rules = fs::read_to_string(deployed("prometheus/rules.yml")).unwrap();
    let indented = rules.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("  {line}\n"),
    });
    let manifest = format!("{PROMETHEUS_RULE}{}", indented.collect::<String>());
    expect_file![deployed("kubernetes/monitoring/prometheusrule.yaml")].assert_eq(&manifest);
}

fn validate(version: &str, files: &[PathBuf]) -> Command {
    let mut validate = Command::new(python("kubernetes-validate"));
    validate.args(["--quiet", "--strict", "-k", version]).args(files);
    validate
}

/// By the types of the Prometheus Operator.
fn taken_by_the_operator(document: &Value) {
    let kind = document["kind"].as_str().unwrap();
    let script = format!(
        "import {{ {kind} }} from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/{kind}';\n\
         new {kind}(JSON.parse(process.argv[1])).validate();"
    );
    success(
        Command::new("node")
            .args(["--input-type=module", "--eval", &script])
            .arg(document.to_string())
            .current_dir(beside_the_build("node")),
    );
}

/// What kustomize makes of a folder.
struct Built {
    documents: Vec<Value>,
    folder: tempfile::TempDir,
}

impl Built {
    fn new(overlay: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = deployed("kubernetes").join(overlay);
        let said = success(Command::new("kubectl").arg("kustomize").arg(source));
        assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
        let file = folder.path().join("built.yaml");
        fs::write(&file, said.stdout).unwrap();
        Self { documents: yaml(&file), folder }
    }

    fn one(&self, kind: &str) -> &Value {
        let mut found = self.documents.iter().filter(|document| document["kind"] == kind);
        let one = found.next().unwrap_or_else(|| panic!("no {kind}"));
        assert!(found.next().is_none(), "one {kind}");
        one
    }

    fn one_mut(&mut self, kind: &str) -> &mut Value {
        self.documents.iter_mut().find(|document| document["kind"] == kind).unwrap()
    }

    fn named(&self, kind: &str, name: &str) -> &Value {
        let is =
            |document: &&Value| document["kind"] == kind && document["metadata"]["name"] == name;
        self.documents.iter().find(is).unwrap()
    }

    fn container(&self) -> &Value {
        &self.one("StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    }
}

const PROMETHEUS_RULE: &str = "\
# deploy/prometheus/rules.yml as the Prometheus Operator takes it. A test compares them; to write it
# again: UPDATE_EXPECT=1 cargo test --test it deploy::
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: m365-collector
  namespace: m365-collector
spec:
";
