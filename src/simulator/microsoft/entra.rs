//! Entra: who may have a token, and which tokens are good.
//!
//! Tokens are JWTs with the claims of real ones, but what makes one good is that it was handed out
//! here and is not past its life by this world's clock.

use std::collections::{BTreeSet, HashMap};

use hyper::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;
use uuid::Uuid;

use super::{
    World, answers,
    assertion::{Asked, Assertions, Federation, Registered},
    consent,
};
use crate::{
    content::TenantId,
    simulator::{SimulatedTenant, locked, server::Body},
};

/// What Entra knows beside the configured secrets.
#[derive(Default)]
pub(super) struct Entra {
    issued: HashMap<String, Issued>,
    codes: HashMap<String, TenantId>,
    roles: HashMap<TenantId, BTreeSet<String>>,
    assertions: Assertions,
    federated: HashMap<TenantId, String>,
    secrets: HashMap<TenantId, Vec<Secret>>,
    consenting: Option<TenantId>,
    /// Who is at the browser; none: the token does not tell.
    administrator: Option<String>,
    regions: HashMap<TenantId, (String, Option<String>)>,
}

/// A token that was handed out.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) tenant: TenantId,
    pub(super) roles: BTreeSet<String>,
    expires: Timestamp,
}

impl Entra {
    /// What a bearer token stands for at this time.
    pub(super) fn authorize(&self, token: &str, now: Timestamp) -> Option<Issued> {
        let issued = self.issued.get(token)?;
        (now < issued.expires).then(|| issued.clone())
    }

    pub(super) fn forget_tokens(&mut self) {
        self.issued.clear();
    }

    pub(super) fn set_roles(&mut self, tenant: TenantId, roles: &[&str]) {
        let roles = roles.iter().map(ToString::to_string).collect();
        self.roles.insert(tenant, roles);
    }

    pub(super) fn set_secret(&mut self, tenant: TenantId, value: String) {
        self.secrets.insert(tenant, vec![Secret { value, expired: false }]);
    }

    pub(super) fn add_secret(&mut self, tenant: &SimulatedTenant, value: String) {
        self.secrets_of(tenant).push(Secret { value, expired: false });
    }

    pub(super) fn expire_secret(&mut self, tenant: &SimulatedTenant) {
        self.secrets_of(tenant).iter_mut().for_each(|secret| secret.expired = true);
    }

    /// The secrets of the tenant's application: at first the one from the start, if there is one.
    fn secrets_of(&mut self, tenant: &SimulatedTenant) -> &mut Vec<Secret> {
        let first = Secret { value: tenant.client_secret.clone(), expired: false };
        self.secrets.entry(tenant.id).or_insert_with(|| vec![first])
    }

    /// The certificates of a tenant's application from now on.
    pub(super) fn register(&mut self, tenant: TenantId, certificates: Vec<Registered>) {
        self.assertions.register(tenant, certificates);
    }

    pub(super) fn latest_assertion(&self, tenant: TenantId) -> Option<String> {
        self.assertions.latest(tenant)
    }

    pub(super) fn demand_sha256(&mut self, tenant: TenantId) {
        self.assertions.demand_sha256(tenant);
    }

    pub(super) fn federate(&mut self, tenant: TenantId, federation: Federation) {
        self.assertions.federate(tenant, federation);
    }

    pub(super) fn trust_federated(&mut self, tenant: TenantId, token: String) {
        self.federated.insert(tenant, token);
    }

    pub(super) fn consent_as(&mut self, tenant: TenantId) {
        self.consenting = Some(tenant);
    }

    pub(super) fn set_administrator(&mut self, account: String) {
        self.administrator = Some(account);
    }

    pub(super) fn set_region(&mut self, tenant: TenantId, scope: &str, sub_scope: Option<&str>) {
        self.regions.insert(tenant, (scope.to_owned(), sub_scope.map(str::to_owned)));
    }

    /// Why the credentials in the form are not those of the tenant's application.
    fn refusal(
        &mut self,
        tenant: &SimulatedTenant,
        form: &HashMap<String, String>,
        asked: &Asked<'_>,
    ) -> Option<u32> {
        if form.get("client_id") != Some(&tenant.client_id.to_string()) {
            return Some(UNKNOWN_CLIENT);
        }
        if let Some(secret) = form.get("client_secret") {
            let known = self.secrets_of(tenant).iter().find(|known| known.value == *secret);
            return match known {
                Some(known) if known.value.is_empty() => Some(WRONG_SECRET),
                Some(known) => known.expired.then_some(EXPIRED_SECRET),
                None => Some(WRONG_SECRET),
            };
        }
        let typed = form.get("client_assertion_type").map(String::as_str) == Some(ASSERTION_TYPE);
        let Some(assertion) = form.get("client_assertion").filter(|_| typed) else {
            return Some(NO_CREDENTIAL);
        };
        if self.federated.get(&tenant.id) == Some(assertion) {
            return None;
        }
        self.assertions.refusal(tenant, assertion, asked)
    }

    fn issue(&mut self, tenant: &SimulatedTenant, resource: &str, issue: &Issue<'_>) -> String {
        let roles = self.roles.get(&tenant.id).cloned();
        let roles = roles.unwrap_or_else(|| ROLES.map(str::to_owned).into());
        let now = issue.now.as_second();
        let claims = Claims {
            aud: resource,
            iss: format!("https://sts.windows.net/{}/", tenant.id),
            iat: now,
            nbf: now,
            exp: now + issue.seconds,
            appid: tenant.client_id.to_string(),
            appidacr: "1",
            tid: tenant.id.to_string(),
            roles: roles.iter().cloned().collect(),
            uti: Uuid::new_v4().simple().to_string(),
            ver: "1.0",
            upn: issue.account,
        };
        let key = EncodingKey::from_secret(issue.key);
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key)
            .expect("plain claims are signed with a shared key");
        self.issued.retain(|_, issued| issue.now < issued.expires);
        let life = SignedDuration::from_secs(issue.seconds);
        let expires = issue.now.saturating_add(life).unwrap_or(Timestamp::MAX);
        let issued = Issued { tenant: tenant.id, roles, expires };
        self.issued.insert(token.clone(), issued);
        token
    }
}

/// A client secret.
struct Secret {
    value: String,
    expired: bool,
}

struct Issue<'a> {
    now: Timestamp,
    seconds: i64,
    key: &'a [u8],
    /// The person whose token it is; none: an application's.
    account: Option<&'a str>,
}

/// Answers a POST to the token endpoint of `directory` (a tenant's id, or `common`).
pub(super) fn token(world: &World, directory: &str, body: &[u8]) -> Response<Body> {
    let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
    let now = world.clock.now();
    let mut entra = locked(&world.entra);
    let tenant = match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => directory.parse().ok(),
        Some("authorization_code") => {
            let code = form.get("code").and_then(|code| entra.codes.remove(code));
            if code.is_none() {
                return answers::entra(SPENT_CODE);
            }
            code
        }
        Some(_) => return answers::entra(UNSUPPORTED_GRANT),
        None => return answers::entra(MALFORMED),
    };
    let Some(tenant) = tenant.and_then(|id| world.tenants.get(&id)) else {
        return answers::entra(UNKNOWN_TENANT);
    };
    let asked = Asked { login: world.login.as_str(), directory, now };
    if let Some(number) = entra.refusal(tenant, &form, &asked) {
        return answers::entra(number);
    }
    let Some(resource) = form.get("resource").filter(|resource| !resource.is_empty()) else {
        return answers::entra(MALFORMED);
    };
    let seconds = i64::try_from(world.token_life.as_secs()).unwrap_or(i64::MAX);
    let is_of_person = form.get("grant_type").is_some_and(|grant| grant == "authorization_code");
    let account = entra.administrator.clone().filter(|_| is_of_person);
    let issue = Issue { now, seconds, key: &world.signing_key, account: account.as_deref() };
    let access_token = entra.issue(tenant, resource, &issue);
    let answer = TokenAnswer {
        token_type: "Bearer",
        expires_in: seconds.to_string(),
        ext_expires_in: seconds.to_string(),
        expires_on: (now.as_second() + seconds).to_string(),
        not_before: now.as_second().to_string(),
        resource,
        access_token,
    };
    answers::json(StatusCode::OK, &answer)
}

/// Answers anybody who asks what there is to know of a tenant, or of `common`.
pub(super) fn directory(world: &World, directory: &str) -> Response<Body> {
    let tenant = consent::tenant_at(world, directory);
    if tenant.is_none() && directory != "common" {
        return answers::entra(UNKNOWN_TENANT);
    }
    let regions = &locked(&world.entra).regions;
    let (scope, sub_scope) = match tenant.and_then(|id| regions.get(&id)) {
        Some((scope, sub_scope)) => (&**scope, sub_scope.as_deref()),
        None => ("WW", None),
    };
    let told = Told {
        issuer: format!(
            "https://sts.windows.net/{}/",
            tenant.map_or_else(|| directory.to_owned(), |id| id.to_string())
        ),
        tenant_region_scope: tenant.map(|_| scope),
        tenant_region_sub_scope: sub_scope,
    };
    answers::json(StatusCode::OK, &told)
}

/// Whose administrator is at the browser.
pub(super) fn consenting(world: &World, client: &str) -> Option<TenantId> {
    let chosen = locked(&world.entra).consenting;
    chosen.filter(|id| world.tenants.contains_key(id)).or_else(|| {
        let mut tenants = world.tenants.values();
        let tenant = tenants.find(|tenant| tenant.client_id.to_string() == *client)?;
        Some(tenant.id)
    })
}

/// Answers the administrator's browser: consents at once and sends it back with a code.
pub(super) fn authorize(world: &World, query: &HashMap<String, String>) -> Response<Body> {
    let (Some(redirect), Some(client)) = (query.get("redirect_uri"), query.get("client_id")) else {
        return answers::entra(MALFORMED);
    };
    let (Some(tenant), Ok(mut location)) = (consenting(world, client), url::Url::parse(redirect))
    else {
        return answers::entra(UNKNOWN_CLIENT);
    };
    let mut entra = locked(&world.entra);
    if entra.codes.len() == MOST_CODES {
        entra.codes.clear();
    }
    let code = Uuid::new_v4().simple().to_string();
    entra.codes.insert(code.clone(), tenant);
    location.query_pairs_mut().append_pair("code", &code);
    if let Some(state) = query.get("state") {
        location.query_pairs_mut().append_pair("state", state);
    }
    answers::redirect(location.as_str())
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    appid: String,
    appidacr: &'static str,
    tid: String,
    roles: Vec<String>,
    uti: String,
    ver: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upn: Option<&'a str>,
}

#[derive(Serialize)]
struct Told<'a> {
    issuer: String,
    tenant_region_scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_region_sub_scope: Option<&'a str>,
}

#[derive(Serialize)]
struct TokenAnswer<'a> {
    token_type: &'static str,
    expires_in: String,
    ext_expires_in: String,
    expires_on: String,
    not_before: String,
    resource: &'a str,
    access_token: String,
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The roles of an application that was consented to in full.
const ROLES: [&str; 3] = ["ActivityFeed.Read", "ActivityFeed.ReadDlp", "ServiceHealth.Read"];

const EXPIRED_SECRET: u32 = 7_000_222;
pub(super) const MALFORMED: u32 = 900_144;
const NO_CREDENTIAL: u32 = 7_000_218;
const SPENT_CODE: u32 = 70_008;
const UNKNOWN_CLIENT: u32 = 700_016;
pub(super) const UNKNOWN_TENANT: u32 = 90_002;
const UNSUPPORTED_GRANT: u32 = 70_003;
const WRONG_SECRET: u32 = 7_000_215;

/// Consent is given by hand; more pending codes than this are a mistake.
const MOST_CODES: usize = 100;
