//! A disk that becomes full: a small file system that only one process sees, and a ballast in it.
//!
//! Mounting it takes a mount namespace of one's own, which not every container allows; `tests/run`
//! says so and leaves this out there.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use super::{sites::Job, stack::Stack};
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_full_is_said_before_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let url = format!("sqlite:{}/ledger.db", folder.path().display());
    let mount = format!(
        "exec unshare --map-root-user --mount \
         sh -c 'mount -t tmpfs -o size={SIZE}m tmpfs {} && exec \"$@\"' sh \"$0\" \"$@\"",
        folder.path().display()
    );
    let settings = [("ledger.url", &*url)];
    let job = Job::start_after(&mount, "nearly-full", 1, &[], &settings, |_| ()).await;
    job.flows().await;
    let stack = Stack::start(&[job.target()]).await;
    stack.holds(&format!("m365_ledger_disk_free_bytes > {ENOUGH} * 1024 * 1024")).await;

    let alert = job.alert(None, NAME);
    let ballast = seen_by(job.collector.process.id(), folder.path()).join("ballast");
    let mut file = fs::File::create(&ballast).expect("there is room");
    for _ in 0..SIZE - ENOUGH {
        file.write_all(&[1; 1024 * 1024]).expect("there is room for this and for the ledger");
    }
    stack.fires(&alert).await;
    // It says so in time: everything goes on.
    let before = job.succeeded().await;
    eventually("every feed goes on", async || {
        before.iter().zip(job.succeeded().await).all(|(before, now)| *before < now)
    })
    .await;
    // An open file would keep its room.
    drop(file);
    fs::remove_file(&ballast).expect("it was written");
    stack.resolves(&alert).await;
    assert_eq!(stack.told(), BTreeMap::from([(alert, false)]), "nobody was woken up by another");
}

/// A folder as a process with other mounts sees it.
fn seen_by(process: u32, folder: &Path) -> PathBuf {
    let folder = folder.strip_prefix("/").expect("it begins at the root");
    Path::new("/proc").join(process.to_string()).join("root").join(folder)
}

/// What is told of it.
pub const NAME: &str = "M365LedgerNearlyFull";

/// Of the whole file system, in MiB: above the least that the rule asks for, with a ledger in it.
const SIZE: usize = 288;

/// What the rule asks for, in MiB.
const ENOUGH: usize = 256;
