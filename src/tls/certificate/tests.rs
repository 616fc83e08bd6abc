use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

#[test]
fn both_spellings_of_a_time_are_read() {
    for year in [2049, 2050] {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(year, 2, 1);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = Certificate::read(made.der()).unwrap();
        assert_eq!(read.not_before.to_string(), "1999-12-31T00:00:00Z");
        assert_eq!(read.not_after.to_string(), format!("{year}-02-01T00:00:00Z"));
        assert!(read.is_self_signed);
    }
}

#[test]
fn what_is_no_certificate_is_none() {
    for bytes in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x00", b"x"] {
        assert_eq!(Certificate::read(&CertificateDer::from(bytes)), None);
    }
}
