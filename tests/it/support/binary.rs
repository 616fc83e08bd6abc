//! The real binary as a process of its own, in a world simulated by the test's process.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
};

use m365_collector::{
    content::TenantId,
    demo::Setup,
    simulator::{self, Simulator},
};
use tempfile::TempDir;

use super::{eventually, free_port, processes::Process, tenant};

/// `m365-collector run`, killed with its test.
pub struct Binary {
    pub simulator: Simulator,
    pub tenant: TenantId,
    pub admin: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Binary {
    /// Starts the process with one tenant and waits until every subscription is registered.
    pub async fn start(overrides: &[(&str, &str)]) -> Self {
        let tenants = [tenant(0)];
        let world = simulator::Config::new(vec![tenants[0].1.clone()]);
        let simulator = Simulator::start(world).await.expect("loopback ports are free");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (webhook, admin) = (free_port(), free_port());
        simulator.set_edge(webhook);
        let setup = Setup {
            simulator: &simulator,
            tenants: &tenants,
            folder: folder.path(),
            webhook: Some(webhook),
            admin,
            devo: None,
        };
        let path = setup.write().expect("the folder can be written to");
        let mut command = Command::new(env!("CARGO_BIN_EXE_m365-collector"));
        command.arg("run").arg("--config").arg(path).stdin(Stdio::null());
        command.env("M365_COLLECTOR__LOG__FILTER", "warn").envs(overrides.iter().copied());
        let process = Process::start(&mut command);
        let tenant = tenants[0].1.id;
        let binary = Self { simulator, tenant, admin, process, _folder: folder };
        eventually("every subscription is registered", async || {
            let subscriptions = binary.simulator.microsoft().subscriptions();
            subscriptions.iter().filter(|(_, state)| state.webhook.is_some()).count() == 5
        })
        .await;
        binary
    }

    /// The most memory the process ever had resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let text = line.expect("the kernel knows the peak").trim();
        text.trim_end_matches(" kB").parse().expect("the peak is a number")
    }
}
