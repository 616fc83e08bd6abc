//! Who we are at Microsoft: the tenant, its token, its roles.

use jiff::Timestamp;

use crate::{
    content::{ContentType, Tenant},
    microsoft::{
        self, Client,
        client::{Directory, DirectoryError},
        cloud::Cloud,
        tokens::{Claims, Refusal, TokenError, role},
    },
};

use super::{
    finding::{Check, Finding},
    proof, trouble,
};

/// What became of one tenant.
pub(super) struct Known {
    pub(super) findings: Vec<Finding>,
    /// What of its feeds can be asked for.
    pub(super) usable: Usable,
}

/// The feeds of a tenant whose role is there, or what keeps us from all of them.
pub(super) type Usable = Result<Vec<ContentType>, Check>;

/// Looks at one tenant.
pub(super) async fn look(
    client: &Client,
    tenant: &Tenant,
    config: &microsoft::Config,
    now: Timestamp,
) -> Known {
    let directory = client.directory(tenant.id).await;
    let mut findings = vec![known(&directory, tenant, config.cloud)];
    let is_known = !findings.iter().any(Finding::is_failed);
    findings.extend(proof::look(config, tenant, now));
    let usable = if is_known {
        // A proof that seems to be over is shown to Entra all the same: its clock counts.
        granted(client, tenant, config, &mut findings).await
    } else {
        Err(Check::Tenant)
    };
    if let Err(broken) = usable {
        let left = [Check::Token, Check::Roles].into_iter().filter(|check| *check > broken);
        findings.extend(left.map(|check| Finding::skipped(check, broken)));
    }
    let findings = findings.into_iter().map(|finding| finding.of(&*tenant.name)).collect();
    Known { findings, usable }
}

/// What of a tenant can be looked at without Entra, where an earlier check keeps us from it.
pub(super) fn skipped(
    tenant: &Tenant,
    config: &microsoft::Config,
    now: Timestamp,
    because: Check,
) -> Vec<Finding> {
    let skipped = |check| Finding::skipped(check, because);
    let unproven = [skipped(Check::Token), skipped(Check::Roles)];
    let findings = std::iter::once(skipped(Check::Tenant));
    let findings = findings.chain(proof::look(config, tenant, now)).chain(unproven);
    findings.map(|finding| finding.of(&*tenant.name)).collect()
}

async fn granted(
    client: &Client,
    tenant: &Tenant,
    config: &microsoft::Config,
    findings: &mut Vec<Finding>,
) -> Usable {
    let claims = match client.tokens().bearer(tenant.id).await {
        Ok(bearer) => bearer.claims(),
        Err(error) => {
            findings.push(refused(&error));
            return Err(Check::Token);
        }
    };
    let Some(claims) = claims else {
        findings.push(Finding::ok(Check::Token, "granted; it cannot be read"));
        findings.push(Finding::ok(Check::Roles, "not told by the token"));
        return Ok(tenant.content_types.clone());
    };
    let fitting = fitting(&claims, tenant, &resources(config));
    let fits = !fitting.is_failed();
    findings.push(fitting);
    if !fits {
        return Err(Check::Token);
    }
    findings.push(roles(&claims, &tenant.content_types));
    // Without this one nothing of the feeds can be asked for.
    if !claims.may_read(ContentType::General) {
        return Err(Check::Roles);
    }
    let kinds = tenant.content_types.iter().copied();
    Ok(kinds.filter(|kind| claims.may_read(*kind)).collect())
}

fn known(told: &Result<Directory, DirectoryError>, tenant: &Tenant, cloud: Cloud) -> Finding {
    let check = Check::Tenant;
    match told {
        Ok(Directory { cloud: Some(lives) }) if *lives != cloud => {
            let cause = format!("the tenant lives in the {lives} cloud, not in {cloud}");
            let remedy = format!("set microsoft.cloud to \"{lives}\"");
            Finding::failed(check, cause, remedy).seen("the login host's own word about the tenant")
        }
        Ok(Directory { cloud: Some(_) }) => {
            Finding::ok(check, format!("known to the login host, in the {cloud} cloud"))
        }
        Ok(Directory { cloud: None }) => Finding::ok(check, "known to the login host"),
        Err(DirectoryError::Unknown) => {
            let cause = format!("there is no tenant {} in the {cloud} cloud", tenant.id);
            Finding::failed(check, cause, trouble::of_refusal(Refusal::UnknownTenant))
                .seen("the login host does not know it (AADSTS90002)")
        }
        // The token endpoint has a word to say about it, too.
        Err(DirectoryError::Untold) => {
            Finding::ok(check, "not told by the login host; see the token")
        }
    }
}

fn refused(error: &TokenError) -> Finding {
    let words = trouble::of_token(error);
    Finding::failed(Check::Token, words.cause, words.remedy).seen(words.evidence)
}

/// What a token may be for: the cloud's own root, and what the configuration names in its place.
fn resources(config: &microsoft::Config) -> Vec<String> {
    let named = [config.cloud.management_root(), &config.resource, config.management_url.as_str()];
    named.map(|one| one.trim_end_matches('/').to_owned()).into()
}

fn fitting(claims: &Claims, tenant: &Tenant, resources: &[String]) -> Finding {
    let check = Check::Token;
    let ends = claims.ends().map(|at| format!(", until {at:.0}")).unwrap_or_default();
    let seen = format!("aud {}, tid {}, appid {}{ends}", claims.aud, claims.tid, claims.appid);
    let other = |said: &str, wanted: &str| !said.is_empty() && !said.eq_ignore_ascii_case(wanted);
    let aud = claims.aud.trim_end_matches('/');
    if resources.iter().all(|wanted| other(aud, wanted)) {
        let cause = "the token is for another resource than the Management Activity API";
        let remedy = "correct microsoft.cloud; or see who answers in the place of the login host";
        return Finding::failed(check, cause, remedy).seen(seen);
    }
    if other(&claims.tid, &tenant.id.to_string()) {
        let cause = "the token is for another tenant";
        let remedy = "compare id of the tenant with Entra's overview page (Tenant ID)";
        return Finding::failed(check, cause, remedy).seen(seen);
    }
    if other(&claims.appid, &tenant.client_id.to_string()) {
        let cause = "the token is for another application";
        let remedy = "compare client_id of the tenant with the application's overview page";
        return Finding::failed(check, cause, remedy).seen(seen);
    }
    let ends = claims.ends().map(|at| format!(", until {}", at.strftime("%H:%M UTC")));
    let ends = ends.unwrap_or_default();
    Finding::ok(check, format!("granted for the right resource, tenant and application{ends}"))
        .seen(seen)
}

/// Names the role that is missing, for each content type that needs it.
fn roles(claims: &Claims, content_types: &[ContentType]) -> Finding {
    let check = Check::Roles;
    let granted = if claims.roles.is_empty() { "none".to_owned() } else { claims.roles.join(", ") };
    let seen = format!("roles in the token: {granted}");
    let mut missing: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in content_types.iter().copied().filter(|kind| !claims.may_read(*kind)) {
        match missing.iter_mut().find(|(named, _)| *named == role(kind)) {
            Some((_, kinds)) => kinds.push(kind.as_str()),
            None => missing.push((role(kind), vec![kind.as_str()])),
        }
    }
    if missing.is_empty() {
        return Finding::ok(check, "every content type has its role").seen(seen);
    }
    let named: Vec<_> = missing
        .iter()
        .map(|(role, kinds)| format!("the role {role} is missing, which {}", needed_by(kinds)))
        .collect();
    let roles: Vec<_> = missing.iter().map(|(role, _)| *role).collect();
    let remedy = format!(
        "Entra administrator: give the application the application permission {} of the Office \
         365 Management APIs and grant admin consent; or leave the content types out",
        roles.join(" and ")
    );
    Finding::failed(check, named.join("; "), remedy).seen(seen)
}

fn needed_by(kinds: &[&str]) -> String {
    match kinds {
        [some @ .., last] if !some.is_empty() => format!("{} and {last} need", some.join(", ")),
        kinds => format!("{} needs", kinds.concat()),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, num::NonZeroU32, time::Duration};

    use uuid::Uuid;

    use super::*;
    use crate::{content::TenantId, doctor::finding::Outcome};

    fn claims(roles: &[&str]) -> Claims {
        Claims {
            roles: roles.iter().map(ToString::to_string).collect(),
            aud: "https://manage.office.com".into(),
            ..Claims::default()
        }
    }

    #[test]
    fn a_token_is_for_the_cloud_or_for_what_stands_in_its_place() {
        let tenant = Tenant {
            id: TenantId::from(Uuid::from_u128(1)),
            client_id: Uuid::from_u128(2).into(),
            name: "contoso".into(),
            content_types: vec![ContentType::General],
        };
        let config = microsoft::Config {
            cloud: Cloud::Commercial,
            management_url: "https://proxy.example/manage/".parse().unwrap(),
            login_url: "https://login.example".parse().unwrap(),
            ca: None,
            publisher_id: None,
            requests_per_minute: NonZeroU32::MIN,
            timeout: Duration::from_secs(1),
            resource: "https://resource.example".to_owned(),
            credentials: HashMap::new(),
        };
        let resources = resources(&config);
        let judged = |aud: &str| {
            let claims = Claims { aud: aud.to_owned(), ..claims(&[]) };
            fitting(&claims, &tenant, &resources).outcome
        };
        for aud in [
            "https://manage.office.com",
            "https://manage.office.com/",
            "https://proxy.example/manage",
            "https://resource.example",
            "",
        ] {
            assert_eq!(judged(aud), Outcome::Ok, "{aud}");
        }
        assert_eq!(judged("https://graph.microsoft.com"), Outcome::Failed);
    }

    #[test]
    fn each_missing_role_is_named_with_its_types() {
        let kinds = [ContentType::General, ContentType::Dlp, ContentType::Exchange];
        let found = roles(&claims(&[]), &kinds);
        assert_eq!(found.outcome, Outcome::Failed);
        assert_eq!(
            found.cause,
            "the role ActivityFeed.Read is missing, which Audit.General and Audit.Exchange need; \
             the role ActivityFeed.ReadDlp is missing, which DLP.All needs"
        );
        let found = roles(&claims(&["ActivityFeed.Read"]), &kinds[..1]);
        assert_eq!(found.outcome, Outcome::Ok);
    }
}
