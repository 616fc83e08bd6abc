//! The binary under test, alone in the world: neither Microsoft nor Devo can be reached.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::Process;

/// The running binary.
pub(crate) struct Collector {
    pub(crate) process: Process,
    /// Its public port.
    pub(crate) address: SocketAddr,
    /// What content uris begin with.
    pub(crate) management: String,
    folder: TempDir,
}

impl Collector {
    /// Starts it and waits until it answers.
    pub(crate) async fn start() -> Self {
        // Not below /tmp, which may be memory: commits are to reach a disk.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the folder is ours");
        let [address, admin, microsoft, devo] = ports();
        let management = format!("https://{microsoft}");
        let config = folder.path().join("m365-collector.toml");
        let text = format!(
            r#"
[webhook]
listen = "{address}"
address = "https://collector.example.com{PATH}"
auth_id = "{AUTH_ID}"
[admin]
listen = "{admin}"
[ledger]
url = "sqlite:ledger.db"
[microsoft]
management_url = "{management}"
login_url = "{management}"
[subscriptions]
manage = false
[sweep]
interval = "1h"
[devo]
endpoint = "tcp://{devo}"
[log]
filter = "error"
[[tenants]]
id = "{TENANT}"
client_id = "{CLIENT}"
client_secret = "not asked for by anybody"
"#
        );
        fs::write(&config, text).expect("the folder is ours");
        let said = File::create(folder.path().join("said")).expect("the folder is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_m365-collector"));
        command.args(["run", "--config"]).arg(&config).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let process = Process::start(&mut command);
        let mut collector = Self { process, address, management, folder };
        let listening = timeout(SOON, async {
            while !is_listening(address).await {
                assert!(collector.process.is_running(), "{}", collector.said());
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(listening.await.is_ok(), "{}", collector.said());
        collector
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }
}

/// Whether a validation is answered with 200.
async fn is_listening(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nwebhook-authid: {AUTH_ID}\r\n\
         webhook-validationcode: x\r\ncontent-length: 0\r\n\r\n"
    );
    let mut answer = [0; 12];
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_exact(&mut answer).await.is_ok()
        && &answer == b"HTTP/1.1 200"
}

/// Loopback addresses nobody listens on. All are held until the last one is found, so they differ.
fn ports<const N: usize>() -> [SocketAddr; N] {
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("one is free"));
    held.map(|listener| listener.local_addr().expect("it is bound"))
}

/// The path of the registered address.
pub(crate) const PATH: &str = "/webhook";
pub(crate) const AUTH_ID: &str = "auth-id-of-the-benchmark";
pub(crate) const TENANT: &str = "11111111-2222-4333-8444-555555555555";
pub(crate) const CLIENT: &str = "66666666-7777-4888-9999-000000000000";

const SOON: Duration = Duration::from_secs(30);
