//! Certificates as they should be, and as they should not.

use std::{
    fs,
    path::{Path, PathBuf},
};

use m365_collector::clock::Clock;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};

/// An authority with an intermediate one.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

/// What a certificate is like.
pub struct Leaf<'a> {
    pub name: &'a str,
    /// Days from now until it ends; negative: it has ended.
    pub days: i64,
    /// Whether the intermediate certificate is in the file as well.
    pub whole: bool,
    pub client: bool,
    /// Whether it says where the intermediate certificate is, as those of public authorities do.
    pub locates_issuer: bool,
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        Self { name: "localhost", days: 365, whole: true, client: false, locates_issuer: false }
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let root = CertifiedIssuer::self_signed(params(name), KeyPair::generate().unwrap());
        let root = root.unwrap();
        let name = format!("{name}, intermediate");
        let intermediate =
            CertifiedIssuer::signed_by(params(&name), KeyPair::generate().unwrap(), &root);
        Self { intermediate: intermediate.unwrap(), root }
    }

    /// The certificate to be trusted.
    pub fn pem(&self) -> String {
        self.root.pem()
    }

    /// Writes `NAME.crt` and `NAME.key`, which only the owner reads.
    pub fn issue(&self, folder: &Path, file: &str, leaf: &Leaf<'_>) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![leaf.name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, leaf.name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![if leaf.client {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        if leaf.locates_issuer {
            let located =
                CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, LOCATED.to_vec());
            params.custom_extensions = vec![located];
        }
        params.use_authority_key_identifier_extension = true;
        last(&mut params, leaf.days);
        let pair = KeyPair::generate().unwrap();
        let mut pem = params.signed_by(&pair, &self.intermediate).unwrap().pem();
        if leaf.whole {
            pem += &self.intermediate.pem();
        }
        write(folder, file, pem, &pair)
    }
}

/// Writes the certificate of an application, self-signed as operators make them, and its RSA key;
/// it lasts for so many days, or ended so many days ago.
pub fn application(folder: &Path, days: i64) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "m365-collector");
    last(&mut params, days);
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let pem = params.self_signed(&pair).unwrap().pem();
    write(folder, "application", pem, &pair)
}

fn last(params: &mut CertificateParams, days: i64) {
    let now = std::time::SystemTime::UNIX_EPOCH + seconds(Clock::system().now().as_second());
    params.not_before = (now - seconds(400 * DAY)).into();
    params.not_after = if days < 0 {
        (now - seconds(-days * DAY)).into()
    } else {
        (now + seconds(days * DAY + 3600)).into()
    };
}

fn write(folder: &Path, file: &str, pem: String, pair: &KeyPair) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join(format!("{file}.crt")), folder.join(format!("{file}.key")));
    fs::write(&cert, pem).unwrap();
    fs::write(&key, pair.serialize_pem()).unwrap();
    super::world::make_private(&key);
    (cert, key)
}

fn seconds(seconds: i64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds.try_into().unwrap())
}

const DAY: i64 = 24 * 3600;

const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];

/// One description: the certificate of the issuer (1.3.6.1.5.5.7.48.2) is at `http://a`.
const LOCATED: &[u8] = b"\x30\x16\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x08http://a";
