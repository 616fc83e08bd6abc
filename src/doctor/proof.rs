//! What proves to Entra who we are, as far as it has an end: a client certificate, or the token of
//! another identity provider. Nobody is asked.

use jiff::Timestamp;

use super::{
    finding::{Check, Finding},
    way::{SOON, days_left, good_until},
};
use crate::{
    content::Tenant,
    microsoft::{self, Credential},
};

/// Looks at a tenant's own; none where it is a secret, which does not tell its end, or where the
/// tenant was stored and has that of another one.
pub(super) fn look(config: &microsoft::Config, tenant: &Tenant, now: Timestamp) -> Option<Finding> {
    let credential = config.credentials.get(&tenant.id)?;
    let kind = match credential {
        Credential::Certificate(_) => Kind::Certificate,
        Credential::Federated(_) => Kind::Federated,
        Credential::Secret(_) => return None,
    };
    // What cannot be read at all is the trouble as well.
    let ends = credential.expires().ok().flatten();
    Some(judge(kind, ends, credential.trouble(), now))
}

#[derive(Clone, Copy)]
enum Kind {
    Certificate,
    Federated,
}

fn judge(kind: Kind, ends: Option<Timestamp>, trouble: Option<String>, now: Timestamp) -> Finding {
    let check = Check::ClientCertificate;
    let (what, again, soon) = match kind {
        Kind::Certificate => (
            "client certificate",
            "make a new certificate; Entra administrator: register it with the application \
             (Certificates & secrets); then put it and its key where certificate of the tenant \
             points, no restart is needed",
            Some(SOON),
        ),
        // It lives for an hour or a day, and is renewed all the time.
        Kind::Federated => (
            "federated token",
            "see that the identity provider still writes the file that federated_token of the \
             tenant names; a new one needs no restart",
            None,
        ),
    };
    if let Some(ends) = ends.filter(|ends| *ends <= now) {
        let cause = format!("the {what} expired on {ends:.0}");
        return Finding::failed(check, cause, again).seen(format!("here it is {now:.0}"));
    }
    if let Some(trouble) = trouble {
        let cause = format!("the {what} cannot be used as its file is now");
        let remedy = "let the service's user read what the tenant's credential names; a \
                      certificate and its key must be changed together";
        return Finding::warning(check, cause, remedy).seen(trouble);
    }
    let Some(ends) = ends else {
        return Finding::ok(check, format!("the {what} does not tell its end"));
    };
    let left = days_left(ends, now);
    let until = good_until(ends, left);
    if soon.is_some_and(|soon| left < soon) {
        let cause = format!("the {what} expires in {left} days");
        return Finding::warning(check, cause, again).seen(until);
    }
    Finding::ok(check, format!("the {what} is {until}"))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn an_end_that_has_come_counts_most_and_one_that_comes_for_certificates_only() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let judged = |kind, hours, trouble: Option<&str>| {
            let ends = now + SignedDuration::from_hours(hours);
            judge(kind, Some(ends), trouble.map(str::to_owned), now).outcome
        };
        let (broken, certificate, token) = (Some("gone"), Kind::Certificate, Kind::Federated);
        assert_eq!(judged(certificate, 24 * 30, None), Outcome::Ok);
        assert_eq!(judged(certificate, 24 * 30 - 1, None), Outcome::Warning);
        assert_eq!(judged(certificate, 24 * 300, broken), Outcome::Warning);
        assert_eq!(judged(certificate, 0, broken), Outcome::Failed);
        assert_eq!(judged(token, 1, None), Outcome::Ok);
        assert_eq!(judged(token, 1, broken), Outcome::Warning);
        assert_eq!(judged(token, -1, None), Outcome::Failed);
        assert_eq!(judge(token, None, None, now).outcome, Outcome::Ok);
    }
}
