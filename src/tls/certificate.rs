//! What a person wants to know of a certificate: until when it is good, and who signed it.
//!
//! Only the few fields of RFC 5280, 4.1 that lie before and around the validity are read; whether
//! a certificate is to be believed is decided by rustls alone.

use jiff::{Timestamp, civil, tz::TimeZone};
use rustls::pki_types::CertificateDer;

/// The readable part of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Before this it is not good yet.
    pub not_before: Timestamp,
    /// After this it is no longer good.
    pub not_after: Timestamp,
    /// Whether it names itself as its issuer, as authorities do.
    pub is_self_signed: bool,
}

impl Certificate {
    /// Reads a certificate; none when it is not one.
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let mut outer = Reader(der.as_ref());
        let mut certificate = Reader(outer.take(SEQUENCE)?);
        let mut fields = Reader(certificate.take(SEQUENCE)?);
        // The version is left out in certificates of version 1.
        fields.take(VERSION);
        fields.take(INTEGER)?;
        fields.take(SEQUENCE)?;
        let issuer = fields.take(SEQUENCE)?;
        let mut validity = Reader(fields.take(SEQUENCE)?);
        let subject = fields.take(SEQUENCE)?;
        Some(Self {
            not_before: validity.time()?,
            not_after: validity.time()?,
            is_self_signed: issuer == subject,
        })
    }
}

/// Reads one value of DER after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next value if it has this tag; otherwise nothing is taken.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        if found != tag {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            // Longer ones do not occur in a certificate anybody sends.
            if digits.len() > 3 {
                return None;
            }
            let length = digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    fn time(&mut self) -> Option<Timestamp> {
        let (text, century) = match self.take(UTC_TIME) {
            // RFC 5280, 4.1.2.5.1: years from 50 on belong to the last century.
            Some(text) => (text, if text.first()? < &b'5' { "20" } else { "19" }),
            None => (self.take(GENERALIZED_TIME)?, ""),
        };
        let text = format!("{century}{}", str::from_utf8(text).ok()?);
        let time = civil::DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

#[cfg(all(test, feature = "demo"))]
mod tests;
