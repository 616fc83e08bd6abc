//! Client assertions as Entra looks at them: signed by the key of a registered certificate, or by an
//! identity provider that the application trusts.
//!
//! Every claim is judged by itself, so that each mistake is answered with its own number. Nothing of
//! it is taken from the collector, so that a mistake there cannot cancel itself out.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use crate::{content::TenantId, simulator::SimulatedTenant, tls};

/// What Entra knows of assertions.
#[derive(Default)]
pub(super) struct Assertions {
    registered: HashMap<TenantId, Vec<Registered>>,
    federations: HashMap<TenantId, Federation>,
    sha256_only: Vec<TenantId>,
    /// The ids of assertions that were taken, oldest first.
    spent: VecDeque<String>,
    /// What was taken last.
    latest: HashMap<TenantId, String>,
}

/// The request that an assertion came with.
pub(super) struct Asked<'a> {
    /// The root of the token endpoints.
    pub(super) login: &'a str,
    /// The directory in the path.
    pub(super) directory: &'a str,
    pub(super) now: Timestamp,
}

/// A certificate in the registration of an application.
pub(super) struct Registered {
    key: DecodingKey,
    sha1: String,
    sha256: String,
    not_after: Timestamp,
}

impl Registered {
    /// None: it holds no RSA key.
    pub(super) fn new(certificate: &CertificateDer<'_>) -> Option<Self> {
        let key = tls::rsa_public_key(certificate)?;
        let thumbprint = |algorithm| {
            let hash = digest::digest(algorithm, certificate);
            URL_SAFE_NO_PAD.encode(hash)
        };
        Some(Self {
            key: DecodingKey::from_rsa_der(&key),
            sha1: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: thumbprint(&digest::SHA256),
            not_after: tls::Facts::of(certificate)?.not_after,
        })
    }

    fn is_named_by(&self, header: &Header) -> bool {
        // Some write the padding that the standard leaves out.
        let is = |found: &Option<String>, own: &str| {
            found.as_deref().is_some_and(|found| found.trim_end_matches('=') == own)
        };
        match header.alg {
            Algorithm::RS256 => is(&header.x5t, &self.sha1) || is(&header.x5t_s256, &self.sha256),
            Algorithm::PS256 => is(&header.x5t_s256, &self.sha256),
            _ => false,
        }
    }
}

/// Another identity provider, and which of its tokens stand for the application.
#[derive(Clone, Debug)]
pub struct Federation {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `sub` of the application's.
    pub subject: String,
    /// The `aud` of the application's.
    pub audience: String,
    /// The RSA public key that signs them, PKCS#1.
    pub public_key: Vec<u8>,
}

impl Assertions {
    pub(super) fn register(&mut self, tenant: TenantId, certificates: Vec<Registered>) {
        self.registered.insert(tenant, certificates);
    }

    pub(super) fn demand_sha256(&mut self, tenant: TenantId) {
        self.sha256_only.push(tenant);
    }

    pub(super) fn federate(&mut self, tenant: TenantId, federation: Federation) {
        self.federations.insert(tenant, federation);
    }

    pub(super) fn latest(&self, tenant: TenantId) -> Option<String> {
        self.latest.get(&tenant).cloned()
    }

    /// Why an assertion does not stand for the tenant's application.
    pub(super) fn refusal(
        &mut self,
        tenant: &SimulatedTenant,
        assertion: &str,
        asked: &Asked<'_>,
    ) -> Option<u32> {
        let refused = self.judge(tenant, assertion, asked);
        if refused.is_none() {
            self.latest.insert(tenant.id, assertion.to_owned());
        }
        refused
    }

    fn judge(
        &mut self,
        tenant: &SimulatedTenant,
        assertion: &str,
        asked: &Asked<'_>,
    ) -> Option<u32> {
        let Ok(claims) = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(assertion)
        else {
            return Some(NO_JWT);
        };
        let client = tenant.client_id.to_string();
        // Entra takes what an application issued itself for an assertion by certificate.
        if claims.iss != client && claims.sub != client {
            return self.federated(tenant.id, &claims, assertion, asked.now);
        }
        let refused = self.signed(tenant.id, assertion, asked).or_else(|| {
            let audience = format!("{}{}/oauth2/token", asked.login, asked.directory);
            if claims.iss != client || claims.sub != client {
                return Some(OTHER_APPLICATION);
            }
            (!claims.is_for(&audience)).then_some(OTHER_AUDIENCE)
        });
        let refused = refused.or_else(|| claims.untimely(asked.now, LONGEST));
        refused.or_else(|| self.spend(claims.jti?))
    }

    /// Whether one of the registered certificates signed it.
    fn signed(&self, tenant: TenantId, assertion: &str, asked: &Asked<'_>) -> Option<u32> {
        let Ok(header) = jsonwebtoken::decode_header(assertion) else {
            return Some(NO_JWT);
        };
        if self.sha256_only.contains(&tenant) && header.alg != Algorithm::PS256 {
            return Some(BAD_SIGNATURE);
        }
        let registered = self.registered.get(&tenant).map_or(&[][..], Vec::as_slice);
        let Some(certificate) = registered.iter().find(|one| one.is_named_by(&header)) else {
            return Some(BAD_SIGNATURE);
        };
        if certificate.not_after <= asked.now {
            return Some(EXPIRED_CERTIFICATE);
        }
        (!is_signed(assertion, &certificate.key, header.alg)).then_some(BAD_SIGNATURE)
    }

    fn federated(
        &self,
        tenant: TenantId,
        claims: &Claims,
        assertion: &str,
        now: Timestamp,
    ) -> Option<u32> {
        let federation = self.federations.get(&tenant).filter(|one| one.issuer == claims.iss);
        let Some(federation) = federation else {
            return Some(NO_ISSUER);
        };
        let key = DecodingKey::from_rsa_der(&federation.public_key);
        if !is_signed(assertion, &key, Algorithm::RS256) {
            return Some(BAD_TOKEN);
        }
        if !claims.is_for(&federation.audience) {
            return Some(NO_AUDIENCE);
        }
        if claims.sub != federation.subject {
            return Some(NO_SUBJECT);
        }
        claims.untimely(now, i64::MAX)
    }

    /// An assertion is good for one request. Entra is not that strict, but a client that sends one
    /// twice would hide here that it does not make them anew.
    fn spend(&mut self, id: String) -> Option<u32> {
        if id.is_empty() || self.spent.contains(&id) {
            return Some(BAD_SIGNATURE);
        }
        if self.spent.len() == MOST_SPENT {
            self.spent.pop_front();
        }
        self.spent.push_back(id);
        None
    }
}

fn is_signed(assertion: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    // Time and audience are judged elsewhere: the clock here is this world's.
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Claims>(assertion, key, &validation).is_ok()
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    aud: Audience,
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
    jti: Option<String>,
    nbf: Option<f64>,
    exp: f64,
}

impl Claims {
    fn is_for(&self, audience: &str) -> bool {
        match &self.aud {
            Audience::One(one) => one == audience,
            Audience::Several(all) => all.iter().any(|one| one == audience),
        }
    }

    /// Times may have fractions, as `msal` writes them.
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second decides nothing")]
    fn untimely(&self, now: Timestamp, longest: i64) -> Option<u32> {
        let (now, exp) = (now.as_second(), self.exp as i64);
        let begun = self.nbf.is_none_or(|nbf| nbf as i64 <= now + SKEW);
        let good = begun && exp > now - SKEW && exp <= now.saturating_add(longest);
        (!good).then_some(UNTIMELY)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

const BAD_SIGNATURE: u32 = 700_027;
const BAD_TOKEN: u32 = 50_013;
const NO_AUDIENCE: u32 = 700_212;
const NO_ISSUER: u32 = 700_211;
const NO_JWT: u32 = 50_027;
const NO_SUBJECT: u32 = 700_213;
const OTHER_APPLICATION: u32 = 700_021;
const OTHER_AUDIENCE: u32 = 700_023;
const UNTIMELY: u32 = 700_024;

/// No number of Entra's own: it says 700027, and the reason in its sentence.
pub(super) const EXPIRED_CERTIFICATE: u32 = 7_000_270;

/// Clocks may differ by this many seconds.
const SKEW: i64 = 300;

/// Assertions live for minutes; Entra refuses those of more than a day.
const LONGEST: i64 = 24 * 3600;

/// More than any test asks for, and bounded.
const MOST_SPENT: usize = 10_000;
