//! A look at the ledger from outside, which changes nothing in it.
//!
//! Works whether a service has it or not. To see whether there is room, a small file is written
//! beside it and removed again.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{Config, Location, OpenError, Server, database::Database};

/// What can be seen of a ledger.
#[derive(Debug)]
pub struct Examination {
    /// The file, or the address of the database.
    pub path: PathBuf,
    /// Whether it is on a server, so that what is said of files and disks says nothing.
    pub on_server: bool,
    /// Whether a process holds it as its own.
    pub in_use: bool,
    /// Whether this version can work with what is there; [`OpenError::Missing`] before the first
    /// start.
    pub schema: Result<(), OpenError>,
    /// Whether the file, if it is there, and its folder can be written to.
    pub writable: io::Result<()>,
    /// The room on its file system, where the system tells.
    pub space: Option<Space>,
}

/// The room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// For us.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// Looks at the ledger.
pub async fn examine(config: &Config) -> Examination {
    let path = match &config.location {
        Location::Postgres(server) => return examine_server(server, &config.location).await,
        Location::Sqlite(path) => path,
    };
    let schema = match Database::existing(&config.location) {
        // Made a moment ago and not used yet: as good as none.
        Ok(_) if path.metadata().is_ok_and(|file| file.len() == 0) => {
            Err(OpenError::Missing { path: path.clone() })
        }
        Ok(database) => database.check_schema().await.map(drop),
        Err(error) => Err(error),
    };
    Examination {
        in_use: is_locked(path),
        schema,
        writable: write_beside(path),
        space: space(path),
        path: path.clone(),
        on_server: false,
    }
}

/// A server tells what it lacks when it is asked to store something.
async fn examine_server(server: &Server, location: &Location) -> Examination {
    let schema = match Database::existing(location) {
        Ok(database) => database.check_schema().await.map(drop),
        Err(error) => Err(error),
    };
    Examination {
        path: server.to_string().into(),
        on_server: true,
        in_use: false,
        schema,
        writable: Ok(()),
        space: None,
    }
}

fn is_locked(path: &Path) -> bool {
    // As the writer does: under the one name the file has.
    let mut name = OsString::from(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    name.push(".lock");
    let locked = |file: File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    File::open(name).is_ok_and(locked)
}

fn write_beside(path: &Path) -> io::Result<()> {
    if path.exists() {
        OpenOptions::new().append(true).open(path)?;
    }
    let mut file = tempfile::NamedTempFile::new_in(folder(path))?;
    for _ in 0..TRIAL {
        file.write_all(&[0; 4096])?;
    }
    file.as_file().sync_all()?;
    file.close()
}

pub(super) fn space(path: &Path) -> Option<Space> {
    let told = rustix::fs::statvfs(folder(path)).ok()?;
    Some(Space {
        free: told.f_bavail.saturating_mul(told.f_frsize),
        total: told.f_blocks.saturating_mul(told.f_frsize),
    })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Blocks of 4 KiB: a megabyte, about what a minute of announcements takes.
const TRIAL: usize = 256;
