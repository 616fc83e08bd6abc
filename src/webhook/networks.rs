//! Address ranges from Microsoft's file of service tags, read again when it changes.
//!
//! The file has some megabytes and some thousand tags, of which one matters: the others are skipped
//! while reading. While a changed file cannot be used, the last ranges serve, and that is said
//! once: opening the door because of a half-written file would be worse than an old list.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read as _},
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use serde::Deserialize;
use tokio::time::Instant;

use super::config::ServiceTag;

/// The ranges of one service tag, as its file has them now.
#[derive(Debug)]
pub(super) struct TaggedNetworks {
    tag: ServiceTag,
    seen: Mutex<Seen>,
}

impl TaggedNetworks {
    /// Reads the file.
    pub(super) fn open(tag: ServiceTag) -> Result<Self, ServiceTagError> {
        let version = tag.version();
        let networks = tag.read()?.into();
        let seen = Mutex::new(Seen { networks, version, looked: Instant::now() });
        Ok(Self { tag, seen })
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.current().iter().any(|network| network.contains(&address))
    }

    fn current(&self) -> Arc<[IpNet]> {
        let mut seen = self.seen.lock().expect("no holder of this lock panics");
        let now = Instant::now();
        if now.duration_since(seen.looked) >= LOOK_AGAIN {
            seen.looked = now;
            let version = self.tag.version();
            if version != seen.version {
                seen.version = version;
                match self.tag.read() {
                    Ok(networks) => {
                        tracing::info!(ranges = networks.len(), "allowed sources read again");
                        seen.networks = networks.into();
                    }
                    Err(error) => {
                        let cause = std::error::Error::source(&error);
                        tracing::error!(%error, cause, "the last allowed sources serve");
                    }
                }
            }
        }
        seen.networks.clone()
    }
}

impl ServiceTag {
    /// Reads the ranges of the tag; at least one.
    ///
    /// # Errors
    ///
    /// [`ServiceTagError`] when the file cannot be read, or has no such tag.
    pub fn read(&self) -> Result<Vec<IpNet>, ServiceTagError> {
        let path = || self.file.clone();
        let unreadable = |source| ServiceTagError::Unreadable { path: path(), source };
        let file = File::open(&self.file).map_err(unreadable)?.take(MAX_FILE);
        let tags: Tags = serde_json::from_reader(BufReader::new(file))
            .map_err(|error| unreadable(error.into()))?;
        let tag = tags.values.into_iter().find(|tag| tag.name.eq_ignore_ascii_case(&self.name));
        let networks: Vec<_> = tag
            .map(|tag| tag.properties.prefixes)
            .unwrap_or_default()
            .iter()
            // A kind of range that does not exist yet must not shut out the others.
            .filter_map(|prefix| prefix.parse().ok())
            .collect();
        if networks.is_empty() {
            return Err(ServiceTagError::NoRanges { path: path(), name: self.name.clone() });
        }
        Ok(networks)
    }

    fn version(&self) -> Option<(SystemTime, u64)> {
        let metadata = fs::metadata(&self.file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}

/// The file of service tags cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServiceTagError {
    /// The tag is not there, or without an address range.
    #[error("{} has no address ranges for {name}", path.display())]
    NoRanges {
        /// The file.
        path: PathBuf,
        /// The tag.
        name: String,
    },
    /// The file cannot be read, or is not of Microsoft's form.
    #[error("cannot read {} as Microsoft's service tags", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the reader said.
        source: io::Error,
    },
}

#[derive(Debug)]
struct Seen {
    networks: Arc<[IpNet]>,
    version: Option<(SystemTime, u64)>,
    looked: Instant,
}

#[derive(Deserialize)]
struct Tags {
    values: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    #[serde(rename = "addressPrefixes", default)]
    prefixes: Vec<String>,
}

/// The file is published weekly.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// It has less than 5 MB.
const MAX_FILE: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "M365ManagementActivityApiWebhook";

    fn file(prefixes: &str) -> String {
        format!(
            r#"{{"changeNumber":1,"cloud":"Public","values":[
                {{"name":"ActionGroup","id":"ActionGroup","properties":{{"region":"","addressPrefixes":["198.51.100.0/24"]}}}},
                {{"name":"{TAG}","id":"{TAG}","properties":{{"changeNumber":1,"addressPrefixes":[{prefixes}],"networkFeatures":null}}}}]}}"#
        )
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_ranges_of_the_tag_count_and_a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let tag = ServiceTag { file: folder.path().join("tags.json"), name: TAG.to_lowercase() };
        assert!(TaggedNetworks::open(tag.clone()).is_err());
        fs::write(&tag.file, file("")).unwrap();
        assert!(matches!(tag.read(), Err(ServiceTagError::NoRanges { .. })));
        fs::write(&tag.file, file(r#""192.0.2.0/25","2001:db8::/48","new kind""#)).unwrap();
        let networks = TaggedNetworks::open(tag.clone()).unwrap();
        let allows = |address: &str| networks.contains(address.parse().unwrap());
        assert!(allows("192.0.2.1") && allows("2001:db8::1"));
        assert!(!allows("192.0.2.200") && !allows("198.51.100.1"));

        fs::write(&tag.file, file(r#""192.0.2.128/25""#)).unwrap();
        assert!(allows("192.0.2.1"), "looked at a moment ago");
        tokio::time::advance(LOOK_AGAIN).await;
        assert!(allows("192.0.2.200") && !allows("192.0.2.1"));
        // Neither a half-written file nor a missing one opens or closes the door.
        for broken in [Some("{\"values\":["), None] {
            match broken {
                Some(text) => fs::write(&tag.file, text).unwrap(),
                None => fs::remove_file(&tag.file).unwrap(),
            }
            tokio::time::advance(LOOK_AGAIN).await;
            assert!(allows("192.0.2.200") && !allows("192.0.2.1"));
        }
    }
}
