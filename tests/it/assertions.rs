//! Client assertions as others see them: what we sign is verified by `PyJWT` with the certificate
//! alone, and `msal`, Microsoft's own library, signs one of the same form, which the simulated Entra
//! takes.
//!
//! `tests/run` installs both from `PyPI` beside the build; without them these tests fail.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use m365_collector::content::ContentType;
use serde_json::Value;

use crate::support::collector::Site;

#[tokio::test(flavor = "multi_thread")]
async fn ours_is_verified_by_pyjwt() {
    for form in ["sha1", "sha256"] {
        let world = World::new(form).await;
        let assertion = world.ours().await;
        let seen = json(&world.verify(&world.certificate[0], &world.endpoint(), &assertion));
        let expected = match form {
            "sha1" => ("RS256", ["alg", "typ", "x5t"]),
            _ => ("PS256", ["alg", "typ", "x5t#S256"]),
        };
        assert_eq!(seen["header"]["alg"], expected.0);
        assert_eq!(names(&seen["header"]), expected.1.map(str::to_owned).into());
        let minutes =
            seen["claims"]["exp"].as_i64().unwrap() - seen["claims"]["iat"].as_i64().unwrap();
        assert_eq!(minutes, 600);

        // What verifies anything would have verified this as well.
        let other = tempfile::tempdir().unwrap();
        let other = m365_collector::simulator::certificates::Material::open(Some(other.path()));
        let [other, _] = other.unwrap().application().unwrap();
        for (certificate, endpoint) in [
            (&other, world.endpoint()),
            (&world.certificate[0], "https://login.example.com/".to_owned()),
        ] {
            let refused = world.verify(certificate, &endpoint, &assertion);
            assert!(!refused.status.success(), "{refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_of_msal_has_the_same_form_and_is_taken_by_the_simulated_entra() {
    for form in ["sha1", "sha256"] {
        let world = World::new(form).await;
        let assertion = world.ours().await;
        let ours = json(&world.verify(&world.certificate[0], &world.endpoint(), &assertion));
        let theirs = json(&world.sign(form));
        assert_eq!(theirs["status"], 200, "{theirs}");

        let mut header = names(&theirs["header"]);
        // The certificate itself, which Entra has.
        header.remove("x5c");
        assert_eq!(names(&ours["header"]), header, "{form}");
        for name in header {
            // PyJWT keeps the padding that the standard leaves out.
            let text = |seen: &Value| {
                seen["header"][&name].as_str().unwrap().trim_end_matches('=').to_owned()
            };
            assert_eq!(text(&ours), text(&theirs), "{form} {name}");
        }
        let mut claims = names(&theirs["claims"]);
        // Ours says from when on it is valid, as Microsoft's reference has it.
        claims.insert("nbf".to_owned());
        assert_eq!(names(&ours["claims"]), claims, "{form}");
        for name in ["aud", "iss", "sub"] {
            assert_eq!(ours["claims"][name], theirs["claims"][name], "{form} {name}");
        }
        let is_id = |seen: &Value| seen["claims"]["jti"].as_str().unwrap().len() == 36;
        assert!(is_id(&ours) && is_id(&theirs), "{ours} {theirs}");
        let life = |seen: &Value| {
            let at = |name: &str| seen["claims"][name].as_f64().unwrap();
            (at("exp") - at("iat")).round()
        };
        assert!((life(&ours) - life(&theirs)).abs() < 1.5, "{ours} {theirs}");
    }
}

/// A site whose tenant has a certificate.
struct World {
    site: Site,
    /// With its key.
    certificate: [PathBuf; 2],
}

impl World {
    async fn new(form: &str) -> Self {
        let site = Site::start(1, None, |_| ()).await;
        let certificate = site.simulator.material().application().unwrap();
        let microsoft = site.simulator.microsoft();
        microsoft.register_certificates(site.tenant(0), &[&certificate[0]]).unwrap();
        if form == "sha256" {
            microsoft.demand_sha256(site.tenant(0));
        }
        let [cert, key] = certificate.each_ref().map(|path| path.display());
        site.prove(0, &format!("certificate = {{ cert = \"{cert}\", key = \"{key}\" }}"));
        Self { site, certificate }
    }

    /// The assertion that the binary got its token for.
    async fn ours(&self) -> String {
        let collector = self.site.run().await;
        self.site.registered(ContentType::ALL.len()).await;
        let said = collector.stop().await;
        assert_eq!(said.code, Some(0), "{}", said.err);
        let assertion = self.site.simulator.microsoft().latest_assertion(self.site.tenant(0));
        let assertion = assertion.expect("a token was granted");
        assert!(!said.err.contains(&assertion), "{}", said.err);
        assertion
    }

    fn endpoint(&self) -> String {
        format!("{}{}/oauth2/token", self.site.simulator.login_url(), self.site.tenant(0))
    }

    fn client(&self) -> String {
        self.site.tenants[0].1.client_id.to_string()
    }

    fn verify(&self, certificate: &Path, endpoint: &str, assertion: &str) -> Output {
        let mut command = python();
        command.arg("verify").arg(certificate).args([endpoint, &self.client()]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(assertion.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn sign(&self, form: &str) -> Output {
        let mut command = python();
        command.arg("sign").args(&self.certificate).args([self.endpoint(), self.client()]);
        command.arg(self.site.simulator.ca_path()).arg(form);
        command.output().unwrap()
    }
}

/// The script, in the environment that `tests/run` made.
fn python() -> Command {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python/bin/python");
    assert!(python.exists(), "no {}: tests/run installs it with PyJWT and msal", python.display());
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/assertions/others.py"));
    // Neither a proxy nor a library of somebody else's.
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}
