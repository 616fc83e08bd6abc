//! The real `HAProxy` with the configuration that is shipped.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use tokio::net::TcpStream;

use super::{eventually, ports, processes::Process};

/// A load balancer that ends TLS. Dropping it kills it.
pub struct Haproxy {
    pub port: SocketAddr,
    _process: Process,
}

impl Haproxy {
    /// Starts it with this certificate and key before up to three collectors, which have their admin
    /// ports at the same number, and waits until it listens. What it says is in the folder.
    pub async fn start(
        folder: &Path,
        (certificate, key): (&Path, &Path),
        collectors: &[SocketAddr],
        admin_port: u16,
    ) -> Self {
        let both = folder.join("certificate.pem");
        let text = [certificate, key].map(|file| fs::read(file).expect("it was made")).concat();
        fs::write(&both, text).expect("the folder is writable");
        let port = ports::free();
        let file = |name| fs::File::create(folder.join(name)).expect("the folder is writable");
        let mut command = Command::new("/usr/sbin/haproxy");
        command
            .arg("-db")
            .arg("-f")
            .arg(configuration())
            .env("M365_BIND", port.to_string())
            .env("M365_CERTIFICATE", &both)
            .env("M365_ADMIN_PORT", admin_port.to_string())
            .stdout(file("haproxy.out"))
            .stderr(file("haproxy.err"));
        for (name, collector) in NAMES.iter().zip(collectors) {
            command.env(name, collector.to_string());
        }
        let process = Process::start(&mut command);
        eventually("haproxy listens", async || TcpStream::connect(port).await.is_ok()).await;
        Self { port, _process: process }
    }
}

fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose/haproxy.cfg")
}

const NAMES: [&str; 3] = ["M365_WEBHOOK", "M365_WEBHOOK_2", "M365_WEBHOOK_3"];
