//! What an application proves itself with, when it is no client secret: a certificate of its own, or
//! the token of an identity provider that runs beside it.

use std::{fs, io, path::PathBuf};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use serde::{Deserialize, Serialize};

use super::{LAST_YEAR, Material, write_private};
use crate::{clock::Clock, simulator::microsoft::Federation, tls};

impl Material {
    /// The certificate of an application, self-signed as operators make them, and its RSA key.
    ///
    /// # Errors
    ///
    /// When they are not there yet and cannot be written.
    pub fn application(&self) -> io::Result<[PathBuf; 2]> {
        self.own_pair("application")
    }

    /// A token of the simulated identity provider, good for a day.
    ///
    /// # Errors
    ///
    /// As for [`Material::application`].
    pub fn token(&self) -> io::Result<String> {
        let now = Clock::system().now();
        self.token_for(SUBJECT, now, DAY)
    }

    /// As [`Material::token`], for any subject and so many seconds from a time on.
    ///
    /// # Errors
    ///
    /// As for [`Material::application`].
    pub fn token_for(&self, subject: &str, from: Timestamp, seconds: i64) -> io::Result<String> {
        let [_, key] = self.own_pair("identity-provider")?;
        let key = EncodingKey::from_rsa_pem(&fs::read(key)?).map_err(io::Error::other)?;
        let from = from.as_second();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: subject.to_owned(),
            aud: vec![AUDIENCE.to_owned()],
            iat: from,
            nbf: from,
            exp: from + seconds,
        };
        let header = Header::new(Algorithm::RS256);
        jsonwebtoken::encode(&header, &claims, &key).map_err(io::Error::other)
    }

    /// How an application's registration has to trust [`Material::token`].
    ///
    /// # Errors
    ///
    /// As for [`Material::application`].
    pub fn federation(&self) -> io::Result<Federation> {
        let [cert, _] = self.own_pair("identity-provider")?;
        let certificates = tls::certificates(&cert).map_err(io::Error::other)?;
        let public_key = certificates.first().and_then(tls::rsa_public_key);
        Ok(Federation {
            issuer: ISSUER.to_owned(),
            subject: SUBJECT.to_owned(),
            audience: AUDIENCE.to_owned(),
            public_key: public_key.ok_or_else(|| io::Error::other("no RSA certificate"))?,
        })
    }

    /// Whether a text is a token of the simulated identity provider, of whatever age.
    pub fn is_token(text: &str) -> bool {
        jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(text.trim())
            .is_ok_and(|claims| claims.iss == ISSUER)
    }

    /// A self-signed certificate and its RSA key, made when they are not there.
    fn own_pair(&self, name: &str) -> io::Result<[PathBuf; 2]> {
        let pair =
            ["crt", "key"].map(|kind| self.devo_chain().with_file_name(name).with_extension(kind));
        let [cert, key] = &pair;
        if !(cert.is_file() && key.is_file()) {
            let made = KeyPair::generate_for(&PKCS_RSA_SHA256).map_err(io::Error::other)?;
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_after = date_time_ymd(LAST_YEAR, 12, 31);
            let signed = params.self_signed(&made).map_err(io::Error::other)?;
            write_private(key, &made.serialize_pem())?;
            fs::write(cert, signed.pem())?;
        }
        Ok(pair)
    }
}

#[derive(Deserialize, Serialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Vec<String>,
    iat: i64,
    nbf: i64,
    exp: i64,
}

const ISSUER: &str = "https://identity-provider.example/";

const SUBJECT: &str = "system:serviceaccount:monitoring:m365-collector";

/// What Entra wants such tokens to be made for.
const AUDIENCE: &str = "api://AzureADTokenExchange";

const DAY: i64 = 24 * 3600;
