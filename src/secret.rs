//! Secrets: where they come from, read again when their file changes, never printed.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use secrecy::SecretString;

use crate::watched::{self, Watched};

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
        Self(Arc::new(Source::File { path, watched: Mutex::new(None) }))
    }

    /// The present value. A file is looked at again at most once a second, and read only when it
    /// changed; while it cannot be read, the last value serves.
    ///
    /// # Errors
    ///
    /// [`SecretError`] when the file was never readable, or is empty.
    pub fn current(&self) -> Result<Arc<SecretString>, SecretError> {
        self.value(Watched::current)
    }

    /// As [`Secret::current`], of the file as it is at this moment. For what is asked for seldom
    /// and lives for a short time.
    ///
    /// # Errors
    ///
    /// As for [`Secret::current`].
    pub fn fresh(&self) -> Result<Arc<SecretString>, SecretError> {
        self.value(Watched::fresh)
    }

    /// A number that grows with each change of the file.
    ///
    /// # Errors
    ///
    /// As for [`Secret::current`].
    pub fn generation(&self) -> Result<u64, SecretError> {
        match &*self.0 {
            Source::Fixed(_) => Ok(0),
            Source::File { path, watched } => Ok(opened(path, watched)?.generation()),
        }
    }

    /// The file; none: the value is known since the start.
    pub fn path(&self) -> Option<&Path> {
        match &*self.0 {
            Source::Fixed(_) => None,
            Source::File { path, .. } => Some(path),
        }
    }

    /// What is wrong with the file as it is now, while an older value may serve.
    pub fn trouble(&self) -> Option<String> {
        match &*self.0 {
            Source::Fixed(_) => None,
            Source::File { path, watched } => match opened(path, watched) {
                Ok(watched) => watched.trouble(),
                Err(error) => Some(format!("{error}: {}", error.source)),
            },
        }
    }

    fn value(
        &self,
        of: impl Fn(&Watched<SecretString>) -> Arc<SecretString>,
    ) -> Result<Arc<SecretString>, SecretError> {
        match &*self.0 {
            Source::Fixed(value) => Ok(value.clone()),
            Source::File { path, watched } => Ok(of(&opened(path, watched)?)),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            None => f.write_str("Secret(fixed)"),
            Some(path) => write!(f, "Secret({})", path.display()),
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
    /// Watched from the first time that it can be read.
    File {
        path: PathBuf,
        watched: Mutex<Option<Watched<SecretString>>>,
    },
}

fn opened(
    path: &Path,
    watched: &Mutex<Option<Watched<SecretString>>>,
) -> Result<Watched<SecretString>, SecretError> {
    let mut slot = watched.lock().expect("no holder of this lock panics");
    if let Some(watched) = &*slot {
        return Ok(watched.clone());
    }
    let file = path.to_owned();
    let open =
        Watched::open(watched::named("the secret", path), vec![path.to_owned()], move || {
            read(&file).map_err(|source| SecretError { path: file.clone(), source })
        });
    Ok(slot.insert(open?).clone())
}

fn read(path: &Path) -> io::Result<SecretString> {
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
    Ok(SecretString::from(value))
}

/// A wrong path must not pull a large file into memory.
const MAX_LENGTH: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
