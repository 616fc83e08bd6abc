//! Address ranges from Microsoft's file of service tags, read again when it changes.
//!
//! The file has some megabytes and some thousand tags, of which one matters: the others are skipped
//! while reading. While a changed file cannot be used, the last ranges serve
//! ([`watched`]): opening the door because of a half-written file would be worse
//! than an old list.

use std::{
    fs::File,
    io::{self, BufReader, Read as _},
    path::PathBuf,
};

use ipnet::IpNet;
use serde::Deserialize;

use super::config::ServiceTag;
use crate::watched::{self, Watched};

impl ServiceTag {
    /// The ranges of the tag, as its file has them at any time.
    pub(super) fn watch(self) -> Result<Watched<Vec<IpNet>>, ServiceTagError> {
        let what = watched::named("the allowed sources", &self.file);
        Watched::open(what, vec![self.file.clone()], move || self.read())
    }

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

/// It has less than 5 MB.
const MAX_FILE: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TAG: &str = "M365ManagementActivityApiWebhook";

    fn file(prefixes: &str) -> String {
        format!(
            r#"{{"changeNumber":1,"cloud":"Public","values":[
                {{"name":"ActionGroup","id":"ActionGroup","properties":{{"region":"","addressPrefixes":["198.51.100.0/24"]}}}},
                {{"name":"{TAG}","id":"{TAG}","properties":{{"changeNumber":1,"addressPrefixes":[{prefixes}],"networkFeatures":null}}}}]}}"#
        )
    }

    #[test]
    fn only_the_ranges_of_the_tag_count() {
        let folder = tempfile::tempdir().unwrap();
        let tag = ServiceTag { file: folder.path().join("tags.json"), name: TAG.to_lowercase() };
        assert!(matches!(tag.read(), Err(ServiceTagError::Unreadable { .. })));
        for text in ["{\"values\":[", "[]"] {
            fs::write(&tag.file, text).unwrap();
            assert!(matches!(tag.read(), Err(ServiceTagError::Unreadable { .. })), "{text}");
        }
        for text in [file(""), file(r#""192.0.2.0/25""#).replace(TAG, "M365")] {
            fs::write(&tag.file, text).unwrap();
            assert!(matches!(tag.read(), Err(ServiceTagError::NoRanges { .. })));
        }
        fs::write(&tag.file, file(r#""192.0.2.0/25","2001:db8::/48","new kind""#)).unwrap();
        let expected = ["192.0.2.0/25", "2001:db8::/48"].map(|range| range.parse().unwrap());
        assert_eq!(tag.read().unwrap(), expected);
    }
}
