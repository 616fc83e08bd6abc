//! Client assertions: short JWTs that prove to Entra that we hold the key of a registered
//! certificate. Pure but for the random numbers of an id and of PS256.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

/// How an assertion is signed and names its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// PS256 and `x5t#S256`, for an Entra that wants no SHA-1.
    Newer,
    /// RS256 and `x5t`, which Entra has always taken.
    Usual,
}

impl Form {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Newer => Self::Usual,
            Self::Usual => Self::Newer,
        }
    }
}

/// The names of a certificate in the header of an assertion.
#[derive(Clone, Debug)]
pub(super) struct Thumbprints {
    sha1: String,
    sha256: String,
}

impl Thumbprints {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let of = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, certificate));
        Self { sha1: of(&digest::SHA1_FOR_LEGACY_USE_ONLY), sha256: of(&digest::SHA256) }
    }
}

/// Who asks whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    /// The address of the token endpoint.
    pub(super) audience: &'a str,
    /// The application.
    pub(super) client_id: &'a str,
    pub(super) now: Timestamp,
}

/// Signs an assertion that is good for some minutes, and for one request.
pub(super) fn sign(
    form: Form,
    key: &EncodingKey,
    thumbprints: &Thumbprints,
    claim: Claim<'_>,
) -> Result<SecretString, jsonwebtoken::errors::Error> {
    let header = match form {
        Form::Newer => {
            Header { x5t_s256: Some(thumbprints.sha256.clone()), ..Header::new(Algorithm::PS256) }
        }
        Form::Usual => {
            Header { x5t: Some(thumbprints.sha1.clone()), ..Header::new(Algorithm::RS256) }
        }
    };
    let now = claim.now.as_second();
    let claims = Claims {
        aud: claim.audience,
        iss: claim.client_id,
        sub: claim.client_id,
        jti: Uuid::new_v4().to_string(),
        iat: now,
        nbf: now - seconds(SKEW),
        exp: now + seconds(LIFE),
    };
    jsonwebtoken::encode(&header, &claims, key).map(SecretString::from)
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

const fn seconds(duration: Duration) -> i64 {
    duration.as_secs().cast_signed()
}

/// It is used at once; the rest is for clocks that are behind ours.
const LIFE: Duration = Duration::from_secs(600);

/// Our clock may be ahead of Entra's by as much as Entra tolerates the other way round.
const SKEW: Duration = Duration::from_secs(300);
