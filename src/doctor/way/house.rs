//! An authority of the house: `microsoft.ca`, which may have signed the certificate of the public
//! address as well. In a rehearsal that is enough, because who calls there trusts it; Microsoft does
//! not.

use std::{net::SocketAddr, path::PathBuf};

use super::Remedies;
use crate::{
    doctor::{
        finding::{Finding, Outcome},
        hop::{self, Shaken},
    },
    microsoft,
};

/// Who is believed beside the public authorities.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct House {
    ca: PathBuf,
    /// Whether who calls the public address believes it, too.
    suffices: bool,
}

impl House {
    /// None where there is no such authority.
    pub(in crate::doctor) fn of(config: &microsoft::Config) -> Option<Self> {
        let asked = config.management_url.as_str().trim_end_matches('/');
        let suffices = asked != config.cloud.management_root();
        config.ca.clone().map(|ca| Self { ca, suffices })
    }

    /// Shakes hands anew; none if its signature is not there either.
    pub(super) async fn shake(&self, addresses: &[SocketAddr], name: &str) -> Option<Shaken> {
        let trust = hop::trust(None, Some(&self.ca)).ok()?;
        let stream = hop::connect(addresses).await.ok()?;
        hop::shake(stream, name, trust, None).await.ok()
    }

    /// What it means that it signed, beside what was found of the certificate otherwise.
    pub(super) fn judge(&self, found: Finding, remedies: &Remedies) -> Finding {
        let signed = "signed by the authority in microsoft.ca";
        if !self.suffices {
            let cause = format!("{signed}, which Microsoft does not know");
            let seen = found.cause;
            return Finding::warning(found.check, cause, &remedies.authority).seen(seen);
        }
        match found.outcome {
            Outcome::Ok => Finding { cause: format!("{}, {signed}", found.cause), ..found },
            _ => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{finding::Check, hop::Peer, way::Way};

    #[test]
    fn microsoft_itself_knows_no_authority_of_a_house() {
        let peer = Peer { host: "host.example".to_owned(), port: 443 };
        let remedies = Remedies::of(Way::Address, &peer);
        let judged = |suffices, found| {
            let found = House { ca: "ca.pem".into(), suffices }.judge(found, &remedies);
            (found.outcome, found.cause.contains("which Microsoft does not know"))
        };
        let well = || Finding::ok(Check::AddressTls, "TLS 1.3");
        assert_eq!(judged(true, well()), (Outcome::Ok, false));
        assert_eq!(judged(false, well()), (Outcome::Warning, true));
        let soon = Finding::warning(Check::AddressTls, "it expires in 3 days", "renew it");
        assert_eq!(judged(true, soon.clone()), (Outcome::Warning, false));
        assert_eq!(judged(false, soon), (Outcome::Warning, true));
    }
}
