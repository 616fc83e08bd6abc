//! A configuration file for a collector that uses a simulated world.
//!
//! The demo reads its settings through the same door as an operator's service, so what it shows is
//! what a file can say.

use std::{
    fmt::Write as _,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::simulator::{SimulatedTenant, Simulator};

/// What the file should say beside the addresses of the simulated world.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Where Microsoft and Devo are.
    pub simulator: &'a Simulator,
    /// The tenants to collect, with their names.
    pub tenants: &'a [(String, SimulatedTenant)],
    /// Where the file, the secrets and the ledger go.
    pub folder: &'a Path,
    /// The public port; none: no webhook.
    pub webhook: Option<SocketAddr>,
    /// The admin port.
    pub admin: SocketAddr,
    /// Another receiver than the simulated one.
    pub devo: Option<&'a str>,
}

impl Setup<'_> {
    /// Writes the file and the secrets it names.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written to.
    pub fn write(&self) -> io::Result<PathBuf> {
        fs::write(self.folder.join("auth-id"), AUTH_ID)?;
        for (name, tenant) in self.tenants {
            fs::write(self.folder.join(format!("{name}.secret")), &tenant.client_secret)?;
        }
        let path = self.folder.join("m365-collector.toml");
        fs::write(&path, self.text())?;
        Ok(path)
    }

    fn text(&self) -> String {
        let Self { simulator, webhook, admin, .. } = self;
        let mut text = String::new();
        if let Some(webhook) = webhook {
            let _infallible = write!(
                text,
                r#"[webhook]
listen = "{webhook}"
address = "{ADDRESS}"
auth_id = {{ file = "auth-id" }}
drain_delay = "0s"

"#
            );
        }
        let _infallible = write!(
            text,
            r#"[admin]
listen = "{admin}"

[ledger]
url = "sqlite:ledger.db"

[microsoft]
management_url = "{management}"
login_url = "{login}"
ca = "{ca}"

[fetch]
retry_min = "500ms"
"#,
            management = simulator.management_url(),
            login = simulator.login_url(),
            ca = simulator.ca_path().display(),
        );
        match self.devo {
            Some(endpoint) => {
                let _infallible = write!(text, "\n[devo]\nendpoint = \"{endpoint}\"\n");
            }
            None => {
                let _infallible = write!(
                    text,
                    "\n[devo]\nendpoint = \"{}\"\nca = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n",
                    simulator.devo_endpoint(),
                    simulator.devo_ca_path().display(),
                    simulator.devo_cert_path().display(),
                    simulator.devo_key_path().display(),
                );
            }
        }
        for (name, SimulatedTenant { id, client_id, .. }) in self.tenants {
            let _infallible = write!(
                text,
                "\n[[tenants]]\nid = \"{id}\"\nname = \"{name}\"\nclient_id = \"{client_id}\"\nclient_secret = {{ file = \"{name}.secret\" }}\n"
            );
        }
        text
    }
}

/// The public address the simulated Microsoft is told; it plays the load balancer itself.
const ADDRESS: &str = "https://m365-collector.example.com/webhook";

/// Known to two processes on this machine for as long as the demo lasts.
const AUTH_ID: &str = "demo-auth-id-of-this-machine";
