//! What a granted token says of itself, for who has to explain a refusal. Pure.
//!
//! Nothing is decided by it: whether a token is good is Microsoft's to say, so its signature is not
//! looked at.

use jiff::Timestamp;
use serde::Deserialize;

use super::Bearer;
use crate::content::ContentType;

/// The claims that matter here; one that is missing is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The resource it is for.
    pub aud: String,
    /// The tenant.
    pub tid: String,
    /// The application.
    pub appid: String,
    /// What the application may do there.
    pub roles: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
}

impl Claims {
    /// When it ends.
    pub fn ends(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.exp).ok().filter(|_| self.exp != 0)
    }

    /// Whether the application may read this content type, as far as the roles tell.
    pub fn may_read(&self, content_type: ContentType) -> bool {
        self.roles.iter().any(|granted| granted == role(content_type))
    }
}

/// The application permission that a content type needs.
pub const fn role(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Dlp => "ActivityFeed.ReadDlp",
        ContentType::AzureActiveDirectory
        | ContentType::Exchange
        | ContentType::General
        | ContentType::SharePoint => "ActivityFeed.Read",
    }
}

impl Bearer {
    /// What the token says of itself; none if it is not readable, which real ones need not be.
    pub fn claims(&self) -> Option<Claims> {
        let token = self.header.to_str().ok()?.strip_prefix("Bearer ")?;
        jsonwebtoken::dangerous::insecure_decode_claims(token).ok()
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn bearer(token: &str) -> Bearer {
        let header = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        Bearer { header, generation: 1 }
    }

    #[test]
    fn claims_are_read_and_what_is_missing_is_empty() {
        // {"alg":"none"} . {"aud":"https://m.example","roles":["ActivityFeed.Read"],"exp":1,"x":{}}
        let token = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL20uZXhhbXBsZSIsInJvbGVzIjpbIkFjdGl2aXR5RmVlZC5SZWFkIl0sImV4cCI6MSwieCI6e319.c2ln";
        let claims = bearer(token).claims().unwrap();
        assert_eq!((claims.aud.as_str(), claims.tid.as_str()), ("https://m.example", ""));
        assert!(claims.may_read(ContentType::General) && !claims.may_read(ContentType::Dlp));
        assert_eq!(claims.ends(), Timestamp::from_second(1).ok());
        assert_eq!(bearer("opaque").claims(), None);
    }
}
