//! Microsoft's clouds and where each of them answers.
//!
//! A tenant lives in exactly one cloud; asking another one says that the tenant does not exist.

use std::{fmt, str::FromStr};

use crate::content::Unknown;

/// A Microsoft cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// The worldwide service.
    #[default]
    Commercial,
    /// US Department of Defense.
    Dod,
    /// US government, moderate.
    Gcc,
    /// US government, high.
    GccHigh,
}

impl Cloud {
    /// Every cloud.
    pub const ALL: [Self; 4] = [Self::Commercial, Self::Dod, Self::Gcc, Self::GccHigh];

    /// The root of the Management Activity API.
    pub const fn management_root(self) -> &'static str {
        match self {
            Self::Commercial => "https://manage.office.com",
            Self::Dod => "https://manage.protection.apps.mil",
            Self::Gcc => "https://manage-gcc.office.com",
            Self::GccHigh => "https://manage.office365.us",
        }
    }

    /// What Entra calls the API: access tokens are asked for this resource.
    pub const fn resource(self) -> &'static str {
        self.management_root()
    }

    /// The root of Entra's token endpoints.
    pub const fn login_root(self) -> &'static str {
        match self {
            Self::Commercial | Self::Gcc => "https://login.microsoftonline.com",
            Self::Dod | Self::GccHigh => "https://login.microsoftonline.us",
        }
    }

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commercial => "commercial",
            Self::Dod => "dod",
            Self::Gcc => "gcc",
            Self::GccHigh => "gcc-high",
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Cloud {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|cloud| cloud.as_str() == text).ok_or(Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in Microsoft's reference; a slip here sends credentials to nobody or to somebody else.
    #[test]
    fn every_cloud_has_the_addresses_of_the_reference() {
        let entra = ["https://login.microsoftonline.com", "https://login.microsoftonline.us"];
        for (cloud, name, root, login) in [
            (Cloud::Commercial, "commercial", "https://manage.office.com", entra[0]),
            (Cloud::Gcc, "gcc", "https://manage-gcc.office.com", entra[0]),
            (Cloud::GccHigh, "gcc-high", "https://manage.office365.us", entra[1]),
            (Cloud::Dod, "dod", "https://manage.protection.apps.mil", entra[1]),
        ] {
            assert_eq!(name.parse(), Ok(cloud));
            let found = (cloud.management_root(), cloud.resource(), cloud.login_root());
            assert_eq!(found, (root, root, login), "{name}");
        }
    }

    #[test]
    fn names_are_read_back_and_roots_have_no_trailing_slash() {
        for cloud in Cloud::ALL {
            assert_eq!(cloud.to_string().parse(), Ok(cloud));
            for root in [cloud.management_root(), cloud.login_root()] {
                assert!(root.starts_with("https://") && !root.ends_with('/'), "{root}");
            }
        }
        assert_eq!("Commercial".parse::<Cloud>(), Err(Unknown));
    }
}
