//! The real load balancers with the configurations that are shipped.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use tokio::net::TcpStream;

use super::{eventually, ports, processes::Process};

/// A load balancer. Dropping it kills it.
pub struct Balancer {
    pub port: SocketAddr,
    _process: Process,
}

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `HAProxy` that ends TLS, and writes a PROXY header.
    Haproxy,
    /// `HAProxy` that passes TLS through, after a PROXY header.
    Passthrough,
    /// nginx that ends TLS, and writes `X-Forwarded-For`.
    Nginx,
}

impl Kind {
    /// The keys of a collector behind it, which has this certificate and key where it needs one.
    pub fn keys(self, (certificate, key): (&Path, &Path)) -> Vec<(&'static str, String)> {
        let header = if self == Self::Nginx { "off" } else { "required" };
        let mut keys = vec![("webhook.proxy_protocol", header.to_owned())];
        if self == Self::Passthrough {
            keys.push(("webhook.tls.cert", certificate.display().to_string()));
            keys.push(("webhook.tls.key", key.display().to_string()));
        }
        keys
    }

    fn configuration(self) -> PathBuf {
        let name = match self {
            Self::Haproxy => "compose/haproxy.cfg",
            Self::Passthrough => "balancer/haproxy-passthrough.cfg",
            Self::Nginx => "balancer/nginx.conf.template",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
    }
}

impl Balancer {
    /// Starts it with this certificate and key before up to three collectors, which have their admin
    /// ports at the same number, and waits until it listens. What it says is in the folder.
    pub async fn start(
        kind: Kind,
        folder: &Path,
        (certificate, key): (&Path, &Path),
        collectors: &[SocketAddr],
        admin_port: u16,
    ) -> Self {
        let both = folder.join("certificate.pem");
        let text = [certificate, key].map(|file| fs::read(file).expect("it was made")).concat();
        fs::write(&both, text).expect("the folder is writable");
        let port = ports::free();
        let mut variables = vec![
            ("M365_BIND", port.to_string()),
            ("M365_CERTIFICATE", both.display().to_string()),
            ("M365_ADMIN_PORT", admin_port.to_string()),
        ];
        variables.extend(NAMES.into_iter().zip(collectors.iter().map(ToString::to_string)));
        let mut command = if kind == Kind::Nginx {
            nginx(&kind.configuration(), folder, &variables)
        } else {
            let mut command = Command::new("/usr/sbin/haproxy");
            command.args(["-db", "-f"]).arg(kind.configuration()).envs(variables);
            command
        };
        let file = |name| fs::File::create(folder.join(name)).expect("the folder is writable");
        command.stdout(file("balancer.out")).stderr(file("balancer.err"));
        let process = Process::start(&mut command);
        eventually("the balancer listens", async || TcpStream::connect(port).await.is_ok()).await;
        Self { port, _process: process }
    }
}

/// As the official image starts it, in one process.
fn nginx(template: &Path, folder: &Path, variables: &[(&str, String)]) -> Command {
    let mut text = fs::read_to_string(template).expect("it is shipped");
    for (name, value) in variables {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    // Fewer than three have fewer lines.
    let rest = text.lines().filter(|line| !line.contains("server ${M365_WEBHOOK"));
    let rest = rest.collect::<Vec<_>>().join("\n");
    assert!(!rest.contains("${M365"), "every place has its value");
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, rest).expect("the folder is writable");
    let mut command = Command::new("/usr/sbin/nginx");
    let pid = folder.join("nginx.pid");
    command.arg("-c").arg(configuration).arg("-g");
    command.arg(format!("daemon off; master_process off; pid {};", pid.display()));
    command
}

const NAMES: [&str; 3] = ["M365_WEBHOOK", "M365_WEBHOOK_2", "M365_WEBHOOK_3"];
