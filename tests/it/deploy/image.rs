//! The container image: the real Dockerfile, built by buildah. Its two base images come from a
//! registry; here others stand in for them, with this build's binary where the compiler would be
//! and the libraries it names where the distribution would be.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{deployed, output, success};
use crate::support::{
    collector::{BINARY, Site},
    eventually, get,
    processes::Process,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_image_holds_the_binary_and_runs_as_nobody() {
    let store = Store::new();
    store.stand_ins();
    store.build();
    store.is_configured();

    let image = store.container();
    let said = success(&mut store.run(&image, &[], &[INSIDE, "--version"]));
    let version = format!("m365-collector {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&said.stdout), version);

    // A world, and its files as somebody mounts them.
    let site = Site::start(1, None, |_| ()).await;
    readable(site.folder.path());
    let made = site.simulator.ca_path().parent().unwrap();
    readable(made);
    let config = site.config.to_str().unwrap();
    let mut mounts = vec![site.folder.path(), made];
    mounts.dedup();
    let on_the_volume = "M365_COLLECTOR__LEDGER__URL=sqlite:/var/lib/m365-collector/ledger.db";
    let health = [INSIDE, "health", "--config", config];
    success(&mut store.run(&image, &mounts, &[INSIDE, "check", "--offline", "--config", config]));
    assert!(!output(&mut store.run(&image, &mounts, &health)).status.success(), "none runs");

    let mut service = store.with(
        &image,
        &mounts,
        &["--env", on_the_volume],
        &[INSIDE, "run", "--config", config],
    );
    let log = site.folder.path().join("image.log");
    service.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let mut service = Process::start(&mut service);
    eventually("the service answers", async || {
        let said = fs::read_to_string(&log).unwrap();
        assert!(service.is_running(), "{said}");
        said.contains("listening for notifications") && get(site.admin, "/readyz").await.0 == 200
    })
    .await;
    let said = success(&mut store.run(&image, &mounts, &health));
    assert!(String::from_utf8_lossy(&said.stdout).contains("ready"), "{said:?}");

    let inside = pid_of(config);
    let status = fs::read_to_string(format!("/proc/{inside}/status")).unwrap();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(uid.split_whitespace().nth(1), Some("65532"), "{uid}");
    success(Command::new("sh").args(["-c", "kill -TERM $0", &inside]));
    let ended = service.ended(std::time::Duration::from_secs(35)).await;
    assert!(ended.success(), "{ended}\n{}", fs::read_to_string(&log).unwrap());
}

/// What the base image of the Dockerfile brings: Debian's libc6 and libgcc.
#[test]
fn the_binary_needs_no_library_that_the_base_image_does_not_have() {
    let brought = [
        "ld-linux-x86-64.so.2",
        "libc.so.6",
        "libgcc_s.so.1",
        "libm.so.6",
        "ld-linux-aarch64.so.1",
    ];
    for library in libraries() {
        let name = library.file_name().unwrap().to_str().unwrap();
        assert!(brought.contains(&name), "{name}");
    }
}

/// Images and containers of their own, gone with the test.
struct Store(TempDir);

impl Store {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn buildah(&self) -> Command {
        let mut buildah = Command::new("buildah");
        let at = |name: &str| self.0.path().join(name);
        buildah.arg("--storage-driver").arg("vfs").arg("--root").arg(at("root"));
        buildah.arg("--runroot").arg(at("run"));
        buildah
    }

    /// The two base images.
    fn stand_ins(&self) {
        let builder = self.context("builder");
        let binary = builder.join("m365-collector");
        success(Command::new("strip").arg("-o").arg(&binary).arg(BINARY));
        fs::copy("/bin/busybox", builder.join("busybox")).expect("busybox-static is installed");
        write_executable(&builder.join("cargo"), CARGO);
        for name in ["sh", "mkdir", "cp", "test"] {
            symlink("busybox", builder.join(name)).unwrap();
        }
        self.bud("builder", &builder, "FROM scratch\nCOPY . /bin/\n");

        let runtime = self.context("runtime");
        let file = |path: &Path| {
            let inside = runtime.join(path.strip_prefix("/").unwrap());
            fs::create_dir_all(inside.parent().unwrap()).unwrap();
            fs::copy(path, inside).unwrap();
        };
        libraries().iter().for_each(|library| file(library));
        file(Path::new("/etc/ssl/certs/ca-certificates.crt"));
        fs::create_dir_all(runtime.join("tmp")).unwrap();
        fs::write(runtime.join("etc/passwd"), "nonroot:x:65532:65532::/home/nonroot:/none\n")
            .unwrap();
        self.bud("runtime", &runtime, "FROM scratch\nCOPY . /\n");
    }

    fn context(&self, name: &str) -> PathBuf {
        let folder = self.0.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn bud(&self, name: &str, context: &Path, text: &str) {
        let file = self.0.path().join(format!("{name}.file"));
        fs::write(&file, text).unwrap();
        let mut bud = self.buildah();
        bud.args(["bud", "--isolation", "chroot", "--tag", &format!("localhost/{name}"), "-f"]);
        success(bud.arg(file).arg(context));
    }

    /// The Dockerfile as it is.
    fn build(&self) {
        let mut build = self.buildah();
        build.args(["bud", "--isolation", "chroot", "--format", "docker", "--pull=false"]);
        build.args(["--build-arg", "BUILDER=localhost/builder"]);
        build.args(["--build-arg", "RUNTIME=localhost/runtime"]);
        build.args(["--tag", "localhost/m365-collector", "-f"]).arg(deployed("Dockerfile"));
        success(build.arg(env!("CARGO_MANIFEST_DIR")));
    }

    fn is_configured(&self) {
        let mut inspect = self.buildah();
        let said =
            success(inspect.args(["inspect", "--type", "image", "localhost/m365-collector"]));
        let image: Value = serde_json::from_slice(&said.stdout).unwrap();
        let config = &image["Docker"]["config"];
        assert_eq!(config["User"], "65532:65532");
        assert_eq!(config["Entrypoint"][0], INSIDE);
        assert_eq!(config["Cmd"][0], "run");
        assert_eq!(config["StopSignal"], "SIGTERM");
        assert_eq!(config["Healthcheck"]["Test"][1], INSIDE);
        assert_eq!(config["Healthcheck"]["Test"][2], "health");
        assert!(config["Volumes"].get("/var/lib/m365-collector").is_some(), "{config}");
    }

    /// A container of the image.
    fn container(&self) -> String {
        let mut from = self.buildah();
        let said = success(from.args(["from", "--pull-never", "localhost/m365-collector"]));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    fn run(&self, container: &str, mounts: &[&Path], command: &[&str]) -> Command {
        self.with(container, mounts, &[], command)
    }

    fn with(&self, container: &str, mounts: &[&Path], more: &[&str], command: &[&str]) -> Command {
        let mut run = self.buildah();
        run.args(["run", "--isolation", "chroot"]).args(more);
        for mount in mounts {
            let mount = mount.display();
            run.arg("--volume").arg(format!("{mount}:{mount}:ro"));
        }
        run.arg(container).arg("--").args(command);
        run
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Mounts would keep the folder.
        self.buildah().args(["rm", "--all"]).output().ok();
    }
}

/// The shared libraries that the binary is loaded with.
fn libraries() -> Vec<PathBuf> {
    let said = success(Command::new("ldd").arg(BINARY));
    let text = String::from_utf8(said.stdout).unwrap();
    let path =
        |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    let found: Vec<_> = text.lines().filter_map(path).collect();
    assert!(found.len() >= 2, "{text}");
    found
}

/// The process whose command line names this configuration, but for buildah's own.
fn pid_of(config: &str) -> String {
    let is = |pid: &String| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words.first() == Some(&INSIDE.as_bytes()) && words.contains(&config.as_bytes())
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    pids.find(is).expect("the service is a process of this machine")
}

/// Lets everybody read what is below a folder.
fn readable(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            readable(&path);
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

fn write_executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

const INSIDE: &str = "/usr/local/bin/m365-collector";

/// Stands in for the compiler: looks whether it was given what a build takes, and what it is told.
const CARGO: &str = r#"#!/bin/sh
set -e
test "$1 $2 $3" = "build --locked --release"
test -f Cargo.toml
test -f Cargo.lock
test -f README.md
test -f src/main.rs
test ! -e tests
mkdir -p target/release
cp /bin/m365-collector target/release/
"#;
