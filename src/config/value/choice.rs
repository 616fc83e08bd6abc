//! Keys that take one of a few words.

use std::fmt;

use super::{Leaf, leaf_traits, serialize_as_displayed};
use crate::{
    config::settings::log::Format,
    content::ContentType,
    deliver::{Compression, Confirm},
    http::ProxyHeader,
    logbook::Severity,
    microsoft::cloud,
};

/// Declares a leaf over a closed set of words, in the order in which they are explained.
macro_rules! choice {
    ($(#[doc = $doc:literal])+ $name:ident($type:ty), $expected:literal, { $($text:literal => $value:path,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::config) struct $name(pub(in crate::config) $type);

        impl Leaf for $name {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self($value)),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self.0 { $($value => $text,)+ })
            }
        }

        leaf_traits!($name, { "type": "string", "enum": [$($text),+] });
        serialize_as_displayed!($name);
    };
}

choice! {
    /// The cloud the tenants live in.
    Cloud(cloud::Cloud),
    "\"commercial\", \"gcc\", \"gcc-high\" or \"dod\"",
    {
        "commercial" => cloud::Cloud::Commercial,
        "gcc" => cloud::Cloud::Gcc,
        "gcc-high" => cloud::Cloud::GccHigh,
        "dod" => cloud::Cloud::Dod,
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self(cloud::Cloud::Commercial)
    }
}

choice! {
    /// How batches are packed.
    CompressionChoice(Compression),
    "\"none\" or \"gzip\"",
    {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
    }
}

choice! {
    /// What counts as confirmation.
    ConfirmChoice(Confirm),
    "\"end-of-stream\" or \"tcp\"",
    {
        "end-of-stream" => Confirm::EndOfStream,
        "tcp" => Confirm::Tcp,
    }
}

choice! {
    /// The least severe that is told.
    SeverityChoice(Severity),
    "\"error\", \"warn\" or \"info\"",
    {
        "error" => Severity::Error,
        "warn" => Severity::Warn,
        "info" => Severity::Info,
    }
}

choice! {
    /// The form of the log.
    FormatChoice(Format),
    "\"text\" or \"json\"",
    {
        "text" => Format::Text,
        "json" => Format::Json,
    }
}

choice! {
    /// Whether trusted proxies begin with a header of the PROXY protocol.
    ProxyHeaderChoice(ProxyHeader),
    "\"auto\", \"off\" or \"required\"",
    {
        "auto" => ProxyHeader::Auto,
        "off" => ProxyHeader::Off,
        "required" => ProxyHeader::Required,
    }
}

/// A content type, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Feed(pub(in crate::config) ContentType);

impl Leaf for Feed {
    const EXPECTED: &'static str = "one of \"Audit.AzureActiveDirectory\", \"Audit.Exchange\", \
         \"Audit.SharePoint\", \"Audit.General\", \"DLP.All\"";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

leaf_traits!(Feed, {
    "type": "string",
    "enum": ["Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"]
});
serialize_as_displayed!(Feed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_content_types_are_all_there_are() {
        for kind in ContentType::ALL {
            assert!(Feed::EXPECTED.contains(kind.as_str()), "{kind}");
            assert_eq!(Feed::from_text(kind.as_str()), Some(Feed(kind)));
        }
    }
}
