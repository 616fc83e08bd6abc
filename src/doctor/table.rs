//! Where a test record goes. Pure.

use std::{fmt, str::FromStr};

/// A table of Devo, for a test record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The levels before the last; none: those of the configuration.
    pub(super) prefix: Option<String>,
    pub(super) name: String,
}

impl FromStr for Table {
    type Err = InvalidTable;

    fn from_str(text: &str) -> Result<Self, InvalidTable> {
        let level = |level: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            !level.is_empty() && level.bytes().all(known)
        };
        if text.len() > LONGEST_TAG || !text.split('.').all(level) {
            return Err(InvalidTable);
        }
        Ok(match text.rsplit_once('.') {
            Some((prefix, name)) => Self { prefix: Some(prefix.into()), name: name.into() },
            None => Self { prefix: None, name: text.into() },
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prefix {
            Some(prefix) => write!(f, "{prefix}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The text names no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the last level of a tag, such as test, or a whole one, such as test.keep.free")]
pub struct InvalidTable;

/// Far below what Devo takes.
const LONGEST_TAG: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_with_and_without_their_prefix() {
        assert_eq!("test.keep.free".parse::<Table>().unwrap().to_string(), "test.keep.free");
        assert_eq!("other".parse::<Table>().unwrap().prefix, None);
        for wrong in ["", "a..b", "a b", "ä", ".a", "a."] {
            assert_eq!(wrong.parse::<Table>(), Err(InvalidTable), "{wrong}");
        }
    }
}
