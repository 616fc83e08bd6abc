//! The real binary in a simulated world: its configuration, its runs, what it writes.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use m365_collector::{
    content::TenantId,
    demo::Setup,
    simulator::{self, SimulatedTenant, Simulator},
};
use tempfile::TempDir;

use super::{eventually, get, ports, processes::Process, rsyslog::Rsyslog, tenant};

/// A simulated world, and a configuration file for a collector in it.
pub struct Site {
    pub simulator: Simulator,
    pub tenants: Vec<(String, SimulatedTenant)>,
    pub folder: TempDir,
    pub config: PathBuf,
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
    variables: Vec<(String, String)>,
}

impl Site {
    /// The world as `change` makes it, with the simulated Devo unless another receiver is given.
    pub async fn start(
        tenants: usize,
        receiver: Option<&Rsyslog>,
        change: impl FnOnce(&mut simulator::Config),
    ) -> Self {
        let tenants: Vec<_> = (0..tenants).map(tenant).collect();
        let of = tenants.iter().map(|(_, tenant)| tenant.clone());
        let mut world = simulator::Config::new(of.collect());
        if receiver.is_some() {
            world.devo = None;
        }
        let (webhook, admin) = (ports::free(), ports::free());
        world.edge = Some(webhook);
        change(&mut world);
        let simulator = Simulator::start(world).await.expect("loopback ports are free");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let setup = Setup {
            simulator: &simulator,
            tenants: &tenants,
            folder: folder.path(),
            webhook: Some(webhook),
            admin,
            devo: receiver.map(Rsyslog::endpoint),
        };
        let config = setup.write().expect("the folder can be written to");
        let mut site =
            Self { simulator, tenants, folder, config, webhook, admin, variables: vec![] };
        for (key, value) in receiver.into_iter().flat_map(Rsyslog::keys) {
            site.set(key, &value);
        }
        site
    }

    /// Overrides a key through the environment of what is started from now on.
    pub fn set(&mut self, key: &str, value: &(impl ToString + ?Sized)) {
        self.export(&variable(key), value);
    }

    /// Puts a variable into the environment of what is started from now on.
    pub fn export(&mut self, name: &str, value: &(impl ToString + ?Sized)) {
        self.variables.push((name.to_owned(), value.to_string()));
    }

    /// Has a tenant prove itself with this line instead of its client secret.
    pub fn prove(&self, index: usize, line: &str) {
        let text = fs::read_to_string(&self.config).expect("the file was written");
        let secret = format!("client_secret = {{ file = \"{}.secret\" }}", self.tenants[index].0);
        assert!(text.contains(&secret), "the tenant has a secret");
        fs::write(&self.config, text.replace(&secret, line)).expect("the file is writable");
    }

    pub fn tenant(&self, index: usize) -> TenantId {
        self.tenants[index].1.id
    }

    /// Waits until Microsoft has validated so many subscriptions.
    pub async fn registered(&self, wanted: usize) {
        eventually("every subscription is registered", async || {
            let subscriptions = self.simulator.microsoft().subscriptions();
            subscriptions.iter().filter(|(_, state)| state.webhook.is_some()).count() == wanted
        })
        .await;
    }

    /// Starts `run` and waits until it listens.
    pub async fn run(&self) -> Collector {
        self.listening(self.spawn(&["run"])).await
    }

    /// As [`Site::run`], from a shell that was told this before.
    pub async fn run_after(&self, script: &str) -> Collector {
        self.listening(self.spawn_after(script, &["run"])).await
    }

    /// As [`Site::spawn`], from a shell that was told this before.
    pub fn spawn_after(&self, script: &str, arguments: &[&str]) -> Collector {
        let mut command = Command::new("/bin/sh");
        let script = format!("{script}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, BINARY]).args(arguments).arg("--config").arg(&self.config);
        command.env_clear().envs(self.variables.iter().cloned());
        Collector::start(command, self.folder.path())
    }

    async fn listening(&self, mut collector: Collector) -> Collector {
        eventually("the collector listens", async || {
            let running = collector.process.is_running();
            assert!(running, "the collector ended:\n{}", collector.stderr());
            // Another port may be taken between its death and its birth; /livez is ours alone.
            collector.stderr().contains("listening for notifications")
                && get(self.admin, "/livez").await.0 == 200
        })
        .await;
        collector
    }

    /// Starts the binary with this site's configuration, without waiting for anything.
    pub fn spawn(&self, arguments: &[&str]) -> Collector {
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--config").arg(&self.config);
        command.env_clear().envs(self.variables.iter().cloned());
        Collector::start(command, self.folder.path())
    }

    /// As [`Site::spawn`], with keys that only this one has, and perhaps of another build: that of
    /// `M365_TEST_BINARY`.
    pub fn spawn_with(&self, arguments: &[&str], keys: &[(&str, String)]) -> Collector {
        let binary = std::env::var("M365_TEST_BINARY").unwrap_or_else(|_| BINARY.to_owned());
        let mut command = Command::new(binary);
        command.args(arguments).arg("--config").arg(&self.config);
        command.env_clear().envs(self.variables.iter().cloned());
        command.envs(keys.iter().map(|(key, value)| (variable(key), value)));
        Collector::start(command, self.folder.path())
    }

    /// Runs a command to its end.
    pub async fn command(&self, arguments: &[&str]) -> Said {
        self.spawn(arguments).said().await
    }
}

/// What overrides a key.
fn variable(key: &str) -> String {
    format!("M365_COLLECTOR__{}", key.to_uppercase().replace('.', "__"))
}

/// Runs the binary in a folder to its end, in an empty environment but for `variables`.
pub async fn command(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    start(folder, arguments, variables).said().await
}

/// Starts the binary in a folder, without waiting for anything.
pub fn spawn(folder: &Path, arguments: &[&str]) -> Collector {
    start(folder, arguments, &[])
}

fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Collector {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(folder);
    command.env_clear().envs(variables.iter().copied());
    Collector::start(command, folder)
}

/// The binary at work. Dropping it kills it.
pub struct Collector {
    pub process: Process,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Collector {
    /// Starts a command; what it writes goes to files in the folder.
    pub fn start(mut command: Command, folder: &Path) -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        // Files, because a pipe nobody reads would stop it.
        let (stdout, stderr) =
            (folder.join(format!("{run}.out")), folder.join(format!("{run}.err")));
        let file = |path: &Path| fs::File::create(path).expect("the folder is writable");
        command.stdin(Stdio::null()).stdout(file(&stdout)).stderr(file(&stderr));
        Self { process: Process::start(&mut command), stdout, stderr }
    }

    /// Everything it has written to standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// Everything it has written to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// SIGTERM, and its end.
    pub async fn stop(self) -> Said {
        self.process.terminate();
        self.said().await
    }

    /// Waits for its end.
    pub async fn said(mut self) -> Said {
        let code = self.process.ended(BRIEF).await.code();
        Said { code, out: self.stdout(), err: self.stderr() }
    }
}

/// What the binary said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// None: killed.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub const BINARY: &str = env!("CARGO_BIN_EXE_m365-collector");

/// Most commands are done in no time; this is for a machine that is busy.
const BRIEF: Duration = Duration::from_secs(30);
