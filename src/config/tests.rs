//! What is accepted, what is refused and in which words.

use std::path::Path;

use super::*;

#[cfg(feature = "demo")]
mod credentials;
mod environment;
mod keys;
mod problems;
mod sample;
mod schema;
mod secrets;
mod values;

/// A directory with the files that configurations name.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        site.write("auth-id", "0123456789abcdef\n");
        site.write("client-secret", "a client secret\n");
        site.write("service-tags.json", SERVICE_TAGS);
        for name in PEM_FILES.into_iter().chain(["empty"]) {
            site.write(name, if name == "empty" { "" } else { "PEM" });
        }
        site
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// An RSA certificate and its key.
    #[cfg(feature = "demo")]
    fn write_pair(&self, name: &str) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &pair.serialize_pem());
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load(&self, text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let document = Document::parse(&self.path().join("c.toml"), text)?;
        Config::assemble(document, environment)
    }

    fn accept(&self, text: &str) -> Config {
        match self.load(text, &[]) {
            Ok(loaded) => loaded.config,
            Err(problems) => panic!("{problems}\n{text}"),
        }
    }

    /// What is said about the text, line by line, without the directory's name.
    fn said(&self, text: &str, environment: &[(&str, &str)]) -> String {
        let said = match self.load(text, environment) {
            Err(problems) => problems.to_string(),
            Ok(loaded) => loaded
                .warnings
                .iter()
                .map(|warning| format!("warning: {warning}"))
                .collect::<Vec<_>>()
                .join("\n"),
        };
        said.replace(&format!("{}/", self.path().display()), "")
    }

    /// What is said about each of the cases, below it.
    fn said_of_each(&self, cases: &[(impl std::fmt::Display, String)]) -> String {
        cases
            .iter()
            .map(|(name, text)| match self.said(text, &[]).as_str() {
                "" => format!("{name}\n  accepted\n"),
                said => format!("{name}\n  {}\n", said.replace('\n', "\n  ")),
            })
            .collect()
    }
}

/// `MINIMAL` with one line put into, or replaced in, a section.
fn with(section: &str, line: &str) -> String {
    let header = match section {
        "tenants" => "[[tenants]]".to_owned(),
        other => format!("[{other}]"),
    };
    if !MINIMAL.contains(&header) {
        return format!("{MINIMAL}\n{header}\n{line}\n");
    }
    let key = line.split('=').next().unwrap_or_default().trim();
    let mut inside = false;
    let mut text = String::new();
    for old in MINIMAL.lines() {
        if old.starts_with('[') {
            inside = old == header;
        }
        let replaced = inside && old.split('=').next().unwrap_or_default().trim() == key;
        if !replaced {
            text.push_str(old);
            text.push('\n');
        }
        if old == header {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

const MINIMAL: &str = r#"
[webhook]
address = "https://m365.example.com/webhook"
auth_id = { file = "auth-id" }
[[tenants]]
id = "11111111-1111-1111-1111-111111111111"
client_id = "22222222-2222-2222-2222-222222222222"
client_secret = { file = "client-secret" }
[devo]
endpoint = "tls://collector-eu.devo.io:443"
"#;

const PEM_FILES: [&str; 6] =
    ["chain.crt", "domain.crt", "domain.key", "microsoft-ca.crt", "webhook.crt", "webhook.key"];

const SERVICE_TAGS: &str = r#"{"values": [{"name": "M365ManagementActivityApiWebhook",
    "properties": {"addressPrefixes": ["192.0.2.0/24"]}}]}"#;
