//! Who we are at Microsoft.

use std::{fs, path::PathBuf};

use jiff::SignedDuration;
use m365_collector::simulator::{Fault, Operation};

use super::{Row, World, row};
use crate::doctor::authority::application;

pub fn rows() -> Vec<Row> {
    vec![
        row!("a tenant nobody has", failed tenant,
            ["there is no tenant"], ["Tenant ID", "microsoft.cloud"], |world| {
            world.set("tenants.0.id", "99999999-0000-4000-8000-000000000009");
        }),
        row!("a tenant in another cloud", failed tenant,
            ["gcc-high", "commercial"], ["microsoft.cloud", "gcc-high"], |world| {
            world.microsoft().set_region(world.tenant(), "USGov", Some("DODCON"));
        }),
        row!("a cloud that is not the tenant's", failed tenant,
            ["commercial", "dod"], ["microsoft.cloud", "commercial"], |world| {
            world.set("microsoft.cloud", "dod");
        }),
        row!("AADSTS90002", failed token,
            ["AADSTS90002"], ["Tenant ID", "microsoft.cloud"], |world| {
            refuse(world, Fault::Entra(90_002));
        }),
        row!("AADSTS900023", failed token,
            ["not known in this cloud"], ["microsoft.cloud"], |world| {
            refuse(world, Fault::Entra(900_023));
        }),
        row!("a client id of another tenant", failed token,
            ["AADSTS700016"], ["client_id", "consent"], |world| {
            world.set("tenants.0.client_id", "99999999-0000-4000-8000-000000000009");
        }),
        row!("a wrong secret", failed token,
            ["wrong", "AADSTS7000215"], ["not its id", "client_secret"], |world| {
            world.microsoft().set_secret(world.tenant(), "another one");
        }),
        row!("an expired secret", failed token,
            ["expired", "AADSTS7000222"], ["new client secret"], |world| {
            refuse(world, Fault::Entra(7_000_222));
        }),
        row!("consent that is missing", failed token,
            ["consent", "AADSTS65001"], ["Entra administrator", "Grant admin consent"], |world| {
            refuse(world, Fault::Entra(65_001));
        }),
        row!("a certificate that is not registered", failed token,
            ["AADSTS700027"], ["Certificates & secrets"], |world| {
            refuse(world, Fault::Entra(700_027));
        }),
        row!("an expired client certificate", failed client_certificate,
            ["client certificate expired on"], ["Certificates & secrets"], |world| {
            // Entra does not know it any more, which is not what has to be mended.
            certify(world, -3);
            refuse(world, Fault::Entra(700_027));
        }),
        row!("a client certificate that expires soon", warning client_certificate,
            ["expires in 9 days"], ["new certificate", "no restart"], |world| {
            let cert = certify(world, 9);
            world.microsoft().register_certificates(world.tenant(), &[&cert]).unwrap();
        }),
        row!("a federated token that nobody renewed", failed client_certificate,
            ["federated token expired on"], ["identity provider"], |world| {
            let material = world.site.simulator.material();
            let hour_ago = world.site.simulator.clock().now() - SignedDuration::from_hours(1);
            let token = material.token_for("somebody", hour_ago, 600).unwrap();
            let path = world.folder().join("federated-token");
            fs::write(&path, token).unwrap();
            crate::doctor::world::make_private(&path);
            world.site.prove(0, "federated_token = { file = \"federated-token\" }");
        }),
        row!("a conditional access policy", failed token,
            ["AADSTS53003"], ["conditional access"], |world| {
            refuse(world, Fault::Entra(53_003));
        }),
        row!("an Entra that fails for a moment", failed token,
            ["for a moment"], ["wait a minute"], |world| {
            refuse(world, Fault::Entra(90_033));
        }),
        row!("a proxy that lets everything through but tokens", failed token,
            ["502"], ["proxy"], |world| {
            refuse(world, Fault::Html(502));
        }),
        row!("an answer that is no token", failed token, ["no token"], ["proxy"], |world| {
            refuse(world, Fault::Html(200));
        }),
        row!("a token of another tenant", failed token, ["another tenant"], ["Tenant ID"], |world| {
            refuse(world, granted(r#"{"aud":"https://manage.office.com","tid":"someone"}"#));
        }),
        row!("a token for another resource", failed token,
            ["another resource"], ["microsoft.cloud"], |world| {
            refuse(world, granted(r#"{"aud":"https://graph.microsoft.com"}"#));
        }),
        row!("the role of one type missing", failed roles,
            ["ActivityFeed.ReadDlp", "DLP.All needs"],
            ["Entra administrator", "ActivityFeed.ReadDlp", "consent"], |world| {
            world.microsoft().set_roles(world.tenant(), &["ActivityFeed.Read"]);
        }),
        row!("the role of all other types missing", failed roles,
            ["ActivityFeed.Read is missing", "Audit.Exchange"], ["ActivityFeed.Read"], |world| {
            world.microsoft().set_roles(world.tenant(), &["ActivityFeed.ReadDlp"]);
        }),
        row!("no role at all", failed roles,
            ["ActivityFeed.Read", "ActivityFeed.ReadDlp"],
            ["ActivityFeed.Read and ActivityFeed.ReadDlp"], |world| {
            world.microsoft().set_roles(world.tenant(), &[]);
        }),
    ]
}

/// Has the tenant prove itself with a certificate of so many days.
fn certify(world: &World, days: i64) -> PathBuf {
    let (cert, key) = application(world.folder(), days);
    let [shown, key] = [&cert, &key].map(|path| path.display());
    world.site.prove(0, &format!("certificate = {{ cert = \"{shown}\", key = \"{key}\" }}"));
    cert
}

fn refuse(world: &World, fault: Fault) {
    world.microsoft().fail(Operation::Token, fault, u32::MAX);
}

/// A grant of a token with these claims.
fn granted(claims: &str) -> Fault {
    let claims: serde_json::Value = serde_json::from_str(claims).unwrap();
    let key = jsonwebtoken::EncodingKey::from_secret(b"nobody looks");
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    let body = format!(r#"{{"access_token":"{token}","expires_in":"3599"}}"#);
    Fault::Status { status: 200, headers: Vec::new(), body: body.into() }
}
