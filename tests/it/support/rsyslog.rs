//! The real rsyslogd as receiver: what it writes down is what a relay in front of Devo would have.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{eventually, ports, processes::Process};
use m365_collector::simulator::certificates::Material;

/// What rsyslogd speaks TLS with, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    Gtls,
    Ossl,
    Plain,
}

/// A running rsyslogd. Dropping it kills it.
pub struct Rsyslog {
    driver: Driver,
    endpoint: String,
    folder: TempDir,
    _process: Process,
}

impl Rsyslog {
    /// Starts one with certificates of its own making and waits until it listens.
    pub async fn start(driver: Driver) -> Self {
        require("/usr/sbin/rsyslogd", "rsyslog");
        match driver {
            Driver::Gtls => require_module("lmnsd_gtls.so", "rsyslog-gnutls"),
            Driver::Ossl => require_module("lmnsd_ossl.so", "rsyslog-openssl"),
            Driver::Plain => {}
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path();
        Material::open(Some(path)).expect("certificates can be made");
        let address = ports::free();
        let config = path.join("rsyslog.conf");
        fs::write(&config, text(driver, path, address.port())).expect("the folder is writable");
        let said = fs::File::create(path.join("said")).expect("the folder is writable");
        let process = Process::start(
            Command::new("/usr/sbin/rsyslogd")
                .arg("-n")
                .arg("-f")
                .arg(&config)
                .arg("-i")
                .arg(path.join("pid"))
                .stdin(Stdio::null())
                .stdout(said.try_clone().expect("a handle can be copied"))
                .stderr(said),
        );
        let scheme = if driver == Driver::Plain { "tcp" } else { "tls" };
        let rsyslog =
            Self { driver, endpoint: format!("{scheme}://{address}"), folder, _process: process };
        eventually("rsyslogd listens", async || {
            let listens = TcpStream::connect(address).await.is_ok();
            assert!(listens || !rsyslog.said().contains("error"), "{}", rsyslog.said());
            listens
        })
        .await;
        rsyslog
    }

    /// What `devo.endpoint` must be.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The keys of `[devo]` that make the collector trusted and trust this.
    pub fn keys(&self) -> Vec<(&'static str, String)> {
        if self.driver == Driver::Plain {
            return Vec::new();
        }
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("devo.ca", file("chain.crt")),
            ("devo.cert", file("domain.crt")),
            ("devo.key", file("domain.key")),
        ]
    }

    /// Every line written down so far, complete or not, without its newline.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.output()).unwrap_or_default();
        let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // What follows the last newline is a line only if it holds something.
        lines.pop_if(|last| last.is_empty());
        lines
    }

    /// Waits until so many lines were written.
    pub async fn wait_for(&self, lines: usize) {
        eventually("the lines are in rsyslog's file", async || {
            let bytes = tokio::fs::read(self.output()).await.unwrap_or_default();
            memchr::memchr_iter(b'\n', &bytes).count() >= lines
        })
        .await;
    }

    /// What rsyslogd had to say, for the message of a failure.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("records")
    }
}

/// The way Devo's own relay is fed: TLS with a client certificate of the same authority, and
/// nothing in the message touched.
fn text(driver: Driver, folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let (global, module) = match driver {
        Driver::Plain => (String::new(), String::new()),
        Driver::Gtls | Driver::Ossl => {
            let name = if driver == Driver::Gtls { "gtls" } else { "ossl" };
            (
                format!(
                    r#"
    defaultNetstreamDriver="{name}"
    defaultNetstreamDriverCAFile="{folder}/chain.crt"
    defaultNetstreamDriverCertFile="{folder}/devo.crt"
    defaultNetstreamDriverKeyFile="{folder}/devo.key""#
                ),
                format!(
                    r#" streamDriver.name="{name}" streamDriver.mode="1" streamDriver.authMode="x509/certvalid""#
                ),
            )
        }
    };
    format!(
        r#"
global(
    workDirectory="{folder}"
    maxMessageSize="1m"
    parser.escapeControlCharactersOnReceive="off"
    parser.escape8BitCharactersOnReceive="off"{global}
)
module(load="imtcp"{module})
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="received")
template(name="received" type="string" string="%rawmsg%\n")
ruleset(name="received") {{
    action(type="omfile" file="{folder}/records" template="received")
}}
action(type="omfile" file="{folder}/said")
"#
    )
}

fn require(program: &str, package: &str) {
    assert!(Path::new(program).exists(), "{program} is missing: install the package {package}");
}

fn require_module(name: &str, package: &str) {
    let folders = fs::read_dir("/usr/lib").expect("/usr/lib can be read").flatten();
    let found = folders.map(|folder| folder.path().join("rsyslog").join(name)).any(|m| m.exists());
    assert!(found, "{name} is missing: install the package {package}");
}
