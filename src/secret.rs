//! Secrets: where they come from, read again when their file changes, never printed.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use secrecy::SecretString;
use tokio::time::Instant;

/// A secret whose present value can be asked for at any time. Clones share what was read.
#[derive(Clone)]
pub struct Secret(Arc<Source>);

impl Secret {
    /// A value known at start: from the environment, or plain text in the file.
    pub fn fixed(value: impl Into<String>) -> Self {
        Self(Arc::new(Source::Fixed(Arc::new(SecretString::from(value.into())))))
    }

    /// A file that holds nothing but the secret; white space around it is not part of it.
    pub fn file(path: PathBuf) -> Self {
        Self(Arc::new(Source::File { path, seen: Mutex::new(None) }))
    }

    /// The file it is read from, if it is.
    pub fn path(&self) -> Option<&Path> {
        match &*self.0 {
            Source::File { path, .. } => Some(path),
            Source::Fixed(_) => None,
        }
    }

    /// The present value. A file is looked at again at most once a second, and read only when it
    /// changed; while it cannot be read, the last value serves.
    ///
    /// # Errors
    ///
    /// [`SecretError`] when the file was never readable, or is empty.
    #[expect(clippy::missing_panics_doc, reason = "a poisoned lock is a broken invariant")]
    pub fn current(&self) -> Result<Arc<SecretString>, SecretError> {
        let (path, seen) = match &*self.0 {
            Source::Fixed(value) => return Ok(value.clone()),
            Source::File { path, seen } => (path, seen),
        };
        let mut seen = seen.lock().expect("no holder of this lock panics");
        let now = Instant::now();
        if let Some(seen) = &*seen
            && now.duration_since(seen.looked) < LOOK_AGAIN
        {
            return Ok(seen.value.clone());
        }
        match (read(path, seen.as_ref(), now), &mut *seen) {
            (Ok(fresh), slot) => Ok(slot.insert(fresh).value.clone()),
            (Err(_), Some(last)) => {
                last.looked = now;
                Ok(last.value.clone())
            }
            (Err(source), None) => Err(SecretError { path: path.clone(), source }),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::Fixed(_) => f.write_str("Secret(fixed)"),
            Source::File { path, .. } => write!(f, "Secret({})", path.display()),
        }
    }
}

/// The secret's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret in {}", path.display())]
pub struct SecretError {
    path: PathBuf,
    source: io::Error,
}

enum Source {
    Fixed(Arc<SecretString>),
    File { path: PathBuf, seen: Mutex<Option<Seen>> },
}

#[derive(Clone)]
struct Seen {
    value: Arc<SecretString>,
    version: (Option<SystemTime>, u64),
    looked: Instant,
}

fn read(path: &PathBuf, last: Option<&Seen>, now: Instant) -> io::Result<Seen> {
    let metadata = fs::metadata(path)?;
    let version = (metadata.modified().ok(), metadata.len());
    if let Some(last) = last
        && last.version == version
    {
        return Ok(Seen { looked: now, ..last.clone() });
    }
    let mut text = String::new();
    // Devices and pipes have no length beforehand.
    fs::File::open(path)?.take(MAX_LENGTH + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LENGTH {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than any secret"));
    }
    let value = text.trim();
    if value.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
    }
    Ok(Seen { value: Arc::new(SecretString::from(value)), version, looked: now })
}

/// Rotation by hand is slower than this, and a webhook under load must not stat per request.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A wrong path must not pull a large file into memory.
const MAX_LENGTH: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_read_again_and_a_missing_one_keeps_the_last_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let secret = Secret::file(path.clone());
        assert!(secret.current().is_err());

        fs::write(&path, "first\n").unwrap();
        assert_eq!(secret.current().unwrap().expose_secret(), "first");
        fs::write(&path, "second one\n").unwrap();
        assert_eq!(secret.current().unwrap().expose_secret(), "first", "looked at a moment ago");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(secret.current().unwrap().expose_secret(), "second one");

        fs::remove_file(&path).unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(secret.current().unwrap().expose_secret(), "second one");
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", Secret::fixed("hunter2hunter2")), "Secret(fixed)");
    }
}
