use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};

use super::*;

#[test]
fn a_certificate_tells_its_name_and_its_life() {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "collector");
    params.not_before = date_time_ymd(2026, 1, 2);
    params.not_after = date_time_ymd(2027, 3, 4);
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let facts = Facts::of(certificate.der()).unwrap();
    assert!(facts.subject.contains("CN=collector"), "{facts:?}");
    assert_eq!(facts.issuer, facts.subject);
    assert_eq!(facts.not_before, "2026-01-02T00:00:00Z".parse().unwrap());
    assert_eq!(facts.not_after, "2027-03-04T00:00:00Z".parse().unwrap());
    let public = rsa_public_key(certificate.der()).unwrap();
    assert!((260..300).contains(&public.len()), "2048 bits in PKCS#1: {}", public.len());

    let elliptic = CertificateParams::default().self_signed(&KeyPair::generate().unwrap());
    assert_eq!(rsa_public_key(elliptic.unwrap().der()), None);
    assert_eq!(Facts::of(&CertificateDer::from(vec![0x30, 0])), None);
}
