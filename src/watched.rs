//! What is made of files, and made again when they change.
//!
//! The files are looked at when somebody asks for the value, at most once a second, and read when
//! their metadata changed. While they cannot be used, such as between the two writes of a renewal,
//! the last value serves; what is wrong is logged once, and reading is tried again when the files
//! change, and with growing pauses when they do not. Nothing watches in the background: what nobody
//! asks for need not be up to date.
//!
//! Whoever took a value keeps it, so that nothing that is under way is disturbed by a change. The
//! text of an error must not hold what the files hold (I9); that is up to the reader's error type.

use std::{
    error::Error,
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

/// A value made of files. Clones share it.
pub struct Watched<T>(Arc<Inner<T>>);

impl<T> Watched<T> {
    /// Makes the value for the first time. `what` names it in the log.
    ///
    /// # Errors
    ///
    /// What the reader says.
    pub fn open<E: Error + 'static>(
        what: impl Into<String>,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // Before the reading: what changes during it is seen as changed at the next look.
        let version = version(&files);
        let seen = Seen {
            value: Arc::new(read()?),
            generation: 0,
            version,
            looked: Instant::now(),
            trouble: None,
        };
        let read = Box::new(move || read().map_err(|error| chain(&error)));
        Ok(Self(Arc::new(Inner { what: what.into(), files, read, seen: Mutex::new(seen) })))
    }

    /// The present value.
    pub fn current(&self) -> Arc<T> {
        self.looked().value.clone()
    }

    /// The value as the files are at this moment, whether or not they seem to have changed. What
    /// is no file, such as a pipe, gives what it has only once.
    pub fn fresh(&self) -> Arc<T> {
        let mut seen = self.0.seen();
        self.0.look(&mut seen, true);
        seen.value.clone()
    }

    /// A number that grows with each change of the value.
    pub fn generation(&self) -> u64 {
        self.looked().generation
    }

    /// What is wrong with the files as they are now, while an older value serves.
    pub fn trouble(&self) -> Option<String> {
        self.looked().trouble.as_ref().map(|trouble| trouble.text.clone())
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        &self.0.files
    }

    fn looked(&self) -> MutexGuard<'_, Seen<T>> {
        let mut seen = self.0.seen();
        if seen.looked.elapsed() >= LOOK_AGAIN {
            self.0.look(&mut seen, false);
        }
        seen
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0.files).finish()
    }
}

struct Inner<T> {
    what: String,
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    seen: Mutex<Seen<T>>,
}

impl<T> Inner<T> {
    fn seen(&self) -> MutexGuard<'_, Seen<T>> {
        self.seen.lock().expect("no holder of this lock panics")
    }

    fn look(&self, seen: &mut Seen<T>, always: bool) {
        seen.looked = Instant::now();
        let version = version(&self.files);
        let changed = version != seen.version;
        let again = always && self.files.iter().all(|path| path.is_file());
        // What cannot be read is tried again: not every cause shows in the metadata.
        let due = seen.trouble.as_ref().is_some_and(|trouble| trouble.again <= seen.looked);
        if !(changed || again || due) {
            return;
        }
        seen.version = version;
        match (self.read)() {
            Ok(value) => {
                seen.value = Arc::new(value);
                if changed || seen.trouble.take().is_some() {
                    seen.generation += 1;
                    tracing::info!(what = self.what, "changed file read, in use from now on");
                }
                seen.trouble = None;
            }
            Err(text) => {
                let before = seen.trouble.take();
                if before.as_ref().is_none_or(|before| before.text != text) {
                    tracing::error!(
                        what = self.what,
                        error = text,
                        "changed file cannot be used, the last one serves"
                    );
                }
                let pause = match before {
                    Some(before) if !changed => (before.pause * 2).min(TRY_AGAIN_MAX),
                    _ => LOOK_AGAIN,
                };
                seen.trouble = Some(Trouble { text, pause, again: seen.looked + pause });
            }
        }
    }
}

struct Seen<T> {
    value: Arc<T>,
    generation: u64,
    version: Vec<Option<Version>>,
    looked: Instant,
    /// What was wrong at the last try; none: the value is that of the files.
    trouble: Option<Trouble>,
}

struct Trouble {
    text: String,
    /// How long nothing is tried while the files stay as they are.
    pause: Duration,
    again: Instant,
}

/// What tells one state of a file from another: its inode, length, and times in nanoseconds. The
/// time of change is there because the other one can be set to anything.
type Version = (u64, u64, [i64; 4]);

fn version(files: &[PathBuf]) -> Vec<Option<Version>> {
    let one = |path: &PathBuf| {
        let it = fs::metadata(path).ok()?;
        let times = [it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()];
        Some((it.ino(), it.len(), times))
    };
    files.iter().map(one).collect()
}

/// An error and everything it was caused by.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Names a file for the log.
pub fn named(what: &str, path: &Path) -> String {
    format!("{what} in {}", path.display())
}

/// Rotation is slower than this, by hand or by program, and nobody under load may look at a file
/// for each request.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A file that stays unusable may be large, and is read by whoever asks.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use super::*;

    struct Site {
        _folder: tempfile::TempDir,
        path: PathBuf,
        reads: Arc<AtomicUsize>,
    }

    impl Site {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            fs::write(&path, text).unwrap();
            Self { _folder: folder, path, reads: Arc::default() }
        }

        /// Reads numbers, and refuses everything else.
        fn open(&self) -> io::Result<Watched<u32>> {
            let (path, reads) = (self.path.clone(), self.reads.clone());
            Watched::open("a number", vec![self.path.clone()], move || {
                reads.fetch_add(1, Ordering::Relaxed);
                fs::read_to_string(&path)?.parse().map_err(io::Error::other)
            })
        }

        fn write(&self, text: &str) {
            // Another file under the same name, as programs that renew do it.
            let new = self.path.with_extension("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, &self.path).unwrap();
        }
    }

    async fn a_second() {
        tokio::time::advance(LOOK_AGAIN).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_seen_within_a_second_and_the_old_value_stays_with_its_holders() {
        let site = Site::new("1");
        let watched = site.open().unwrap();
        let held = watched.current();
        site.write("2");
        assert_eq!(*watched.current(), 1, "looked at a moment ago");
        a_second().await;
        assert_eq!((*watched.clone().current(), *held), (2, 1));
        assert_eq!(watched.generation(), 1);
        for _ in 0..10 {
            a_second().await;
            assert_eq!(*watched.current(), 2);
        }
        assert_eq!(site.reads.load(Ordering::Relaxed), 2, "read only when changed");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_used_leaves_the_last_value_and_is_tried_again() {
        let site = Site::new("1");
        let watched = site.open().unwrap();
        site.write("one");
        a_second().await;
        assert_eq!((*watched.current(), watched.generation()), (1, 0));
        let trouble = watched.trouble().unwrap();
        assert!(trouble.contains("invalid digit"), "{trouble}");
        fs::remove_file(&site.path).unwrap();
        a_second().await;
        assert_eq!(*watched.current(), 1);
        assert!(watched.trouble().unwrap().contains("No such file"));
        site.write("1");
        a_second().await;
        assert_eq!((watched.trouble(), watched.generation()), (None, 1));
        let reads = site.reads.load(Ordering::Relaxed);
        a_second().await;
        watched.current();
        assert_eq!(site.reads.load(Ordering::Relaxed), reads, "well again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_of_the_same_length_and_time_is_another_one() {
        let site = Site::new("1");
        let watched = site.open().unwrap();
        let time = fs::metadata(&site.path).unwrap().modified().unwrap();
        site.write("2");
        fs::File::options().write(true).open(&site.path).unwrap().set_modified(time).unwrap();
        a_second().await;
        assert_eq!(*watched.current(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_freshly_is_read_each_time() {
        let site = Site::new("1");
        let watched = site.open().unwrap();
        site.write("2");
        assert_eq!(*watched.fresh(), 2, "without waiting for a second");
        watched.fresh();
        assert_eq!(site.reads.load(Ordering::Relaxed), 3);
        site.write("two");
        assert_eq!(*watched.fresh(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_that_shows_in_no_file_does_not_last() {
        let site = Site::new("1");
        let (well, asked) = (Arc::new(AtomicBool::new(true)), site.path.clone());
        let state = well.clone();
        let watched = Watched::open("a number", vec![site.path.clone()], move || {
            match state.load(Ordering::Relaxed) {
                true => fs::read_to_string(&asked),
                false => Err(io::Error::other("too many open files")),
            }
        })
        .unwrap();
        site.write("2");
        well.store(false, Ordering::Relaxed);
        a_second().await;
        assert_eq!(*watched.current(), "1");
        well.store(true, Ordering::Relaxed);
        a_second().await;
        assert_eq!((&**watched.current(), watched.generation()), ("2", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_stays_unusable_is_read_ever_less_often() {
        let site = Site::new("1");
        let watched = site.open().unwrap();
        site.write("one");
        for _ in 0..600 {
            a_second().await;
            assert_eq!(*watched.current(), 1);
        }
        let reads = site.reads.load(Ordering::Relaxed);
        assert!((10..20).contains(&reads), "{reads} reads in ten minutes");
        site.write("2");
        a_second().await;
        assert_eq!(*watched.current(), 2, "a change is read at once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_file_is_not_read_again() {
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = reads.clone();
        let watched = Watched::open("nothing", vec!["/dev/null".into()], move || {
            Ok::<_, io::Error>(counted.fetch_add(1, Ordering::Relaxed))
        })
        .unwrap();
        a_second().await;
        assert_eq!((*watched.fresh(), *watched.current()), (0, 0));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_cannot_be_read_at_first_is_an_error() {
        let error = Site::new("x").open().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other);
    }
}
