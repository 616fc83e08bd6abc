//! The path of a key in the configuration, as people write it: `tenants[1].client_secret`.

use std::fmt;

use toml::Value;

/// Where a value sits in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(Vec<Step>);

/// One step down the tree. Indices sort as numbers, so that `[10]` comes after `[9]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    Index(usize),
    Name(String),
}

impl Key {
    pub(super) fn child(&self, step: impl Into<Step>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }

    /// The key one level up; none for the root.
    pub(super) fn parent(&self) -> Option<Self> {
        let (_, head) = self.0.split_last()?;
        Some(Self(head.to_vec()))
    }

    /// This key and everything above it but the root, the deepest first.
    pub(super) fn ancestry(&self) -> impl Iterator<Item = Self> {
        (1..=self.0.len()).rev().map(|length| Self(self.0.iter().take(length).cloned().collect()))
    }

    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The last step, where it is a name.
    pub(super) fn name(&self) -> Option<&str> {
        match self.0.last()? {
            Step::Index(_) => None,
            Step::Name(name) => Some(name),
        }
    }

    pub(super) fn find<'t>(&self, root: &'t Value) -> Option<&'t Value> {
        self.0.iter().try_fold(root, |value, step| match step {
            Step::Index(index) => value.get(index),
            Step::Name(name) => value.get(name),
        })
    }

    pub(super) fn find_mut<'t>(&self, root: &'t mut Value) -> Option<&'t mut Value> {
        self.0.iter().try_fold(root, |value, step| match step {
            Step::Index(index) => value.get_mut(index),
            Step::Name(name) => value.get_mut(name),
        })
    }

    /// Takes the value out; later elements of an array move up.
    pub(super) fn remove(&self, root: &mut Value) -> Option<Value> {
        match (self.parent()?.find_mut(root)?, self.0.last()?) {
            (Value::Array(array), Step::Index(index)) if *index < array.len() => {
                Some(array.remove(*index))
            }
            (Value::Table(table), Step::Name(name)) => table.remove(name),
            _ => None,
        }
    }

    /// The key without regard to case.
    pub(super) fn folded(&self) -> Self {
        let fold = |step: &Step| match step {
            Step::Index(index) => Step::Index(*index),
            Step::Name(name) => Step::Name(name.to_ascii_lowercase()),
        };
        self.0.iter().map(fold).collect()
    }
}

impl From<&str> for Key {
    /// Reads the written form of keys that need no quotes.
    fn from(text: &str) -> Self {
        let steps = text.split('.').flat_map(|part| {
            let mut pieces = part.split('[');
            let name = pieces.next().map(Step::from);
            let indices = pieces
                .filter_map(|piece| piece.trim_end_matches(']').parse().ok())
                .map(Step::Index);
            name.into_iter().chain(indices)
        });
        Self(steps.collect())
    }
}

impl From<&serde_ignored::Path<'_>> for Key {
    fn from(path: &serde_ignored::Path<'_>) -> Self {
        use serde_ignored::Path;
        match path {
            Path::Root => Self::default(),
            Path::Seq { parent, index } => Self::from(*parent).child(*index),
            Path::Map { parent, key } => Self::from(*parent).child(key.as_str()),
            Path::Some { parent }
            | Path::NewtypeStruct { parent }
            | Path::NewtypeVariant { parent } => Self::from(*parent),
        }
    }
}

impl From<&serde_path_to_error::Path> for Key {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Name(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(steps.collect())
    }
}

impl FromIterator<Step> for Key {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Name(name) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let bare =
                        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                    if !name.is_empty() && name.bytes().all(bare) {
                        f.write_str(name)?;
                    } else {
                        write!(f, "{name:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl From<&str> for Step {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}
