//! The way to Microsoft.

use std::{fs, time::Duration};

use m365_collector::simulator::{Fault, Operation};
use tokio::net::TcpListener;

use super::{Row, World, row};
use crate::{
    doctor::{
        authority::{Authority, Leaf},
        balancer::{Balancer, Manner},
    },
    support::{any_port, ports},
};

pub fn rows() -> Vec<Row> {
    vec![
        row!("a login host without an address", failed login_dns,
            ["login.invalid"], ["network team", "resolve login.invalid"], |world| {
            world.set("microsoft.login_url", "https://login.invalid");
        }),
        row!("a management host without an address", failed management_dns,
            ["manage.invalid"], ["network team", "resolve manage.invalid"], |world| {
            world.set("microsoft.management_url", "https://manage.invalid");
        }),
        row!("a login host that refuses", failed login_tcp,
            ["refuses"], ["network team", "outgoing TCP"], |world| {
            world.set("microsoft.login_url", format!("https://{}", ports::free()));
        }),
        row!("a management host that refuses", failed management_tcp,
            ["refuses"], ["network team", "outgoing TCP"], |world| {
            world.set("microsoft.management_url", format!("https://{}", ports::free()));
        }),
        row!("TLS to the login host by an unknown authority", failed login_tls,
            ["authority"], ["inspection", "microsoft.ca"], |world| {
            let other = Authority::new("The inspecting proxy").pem();
            fs::write(world.folder().join("other.pem"), other).unwrap();
            world.set("microsoft.ca", world.folder().join("other.pem").display());
        }),
        row!("TLS to the management host by an unknown authority", failed management_tls,
            ["authority"], ["inspection", "microsoft.ca"], |world| {
            let folder = world.folder().to_owned();
            let (cert, key) = Authority::new("Other").issue(&folder, "m", &Leaf::default());
            let host = Balancer::start(Some((&cert, &key)), world.site.webhook).await;
            world.set("microsoft.management_url", local(&host));
            world.kept.push(Box::new(host));
        }),
        row!("an expired certificate of the login host", failed login_tls,
            ["expired on"], ["clock", "renew"], |world| {
            login_host(world, Leaf { days: -2, ..Leaf::default() }).await;
        }),
        row!("a certificate of the login host for another name", failed login_tls,
            ["another name"], ["microsoft.login_url"], |world| {
            login_host(world, Leaf { name: "login.example", ..Leaf::default() }).await;
        }),
        row!("a login host that says nothing", failed login_tls,
            ["does not speak TLS"], ["microsoft.login_url"], |world| {
            let mute = TcpListener::bind(any_port()).await.unwrap();
            world.set("microsoft.login_url", format!("https://{}", mute.local_addr().unwrap()));
            world.kept.push(Box::new(mute));
        }),
        row!("a login host that speaks plain text", failed login_tls,
            ["does not speak TLS"], ["microsoft.login_url"], |world| {
            let plain = Balancer::start(None, world.site.webhook).await;
            plain.behave(Manner::Answers("HTTP/1.1 400 Bad Request\r\n\r\n"));
            world.set("microsoft.login_url", local(&plain));
            world.kept.push(Box::new(plain));
        }),
        row!("a proxy that answers HTML with a 502 for the login host", failed login_answer,
            ["HTML", "502"], ["proxy", "network team"], |world| {
            world.microsoft().fail(Operation::Directory, Fault::Html(502), u32::MAX);
            world.microsoft().fail(Operation::Token, Fault::Html(502), u32::MAX);
        }),
        row!("a login host that breaks off", failed login_answer,
            ["does not answer"], ["proxy"], |world| {
            world.microsoft().fail(Operation::Directory, Fault::Reset, u32::MAX);
        }),
        row!("a clock 10 minutes behind", failed clock, ["10 minutes behind"], ["NTP"], |world| {
            world.site.simulator.clock().advance(Duration::from_secs(600));
        }),
        row!("a clock 10 minutes ahead", failed clock, ["10 minutes ahead"], ["NTP"], |world| {
            world.site.simulator.clock().set_back(Duration::from_secs(600));
        }),
        row!("a clock that only the management host shows to be wrong", failed clock,
            ["ahead of"], ["NTP"], |world| {
            let folder = world.folder().to_owned();
            let (cert, key) = world.authority.issue(&folder, "m", &Leaf::default());
            let host = Balancer::start(Some((&cert, &key)), world.site.webhook).await;
            host.behave(Manner::Answers(
                "HTTP/1.1 404 Not Found\r\nDate: Wed, 01 Jan 2020 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
            ));
            world.set("microsoft.management_url", local(&host));
            world.kept.push(Box::new(host));
        }),
        row!("a clock that is off by two minutes", warning clock,
            ["2 minutes ahead"], ["NTP"], |world| {
            world.site.simulator.clock().set_back(Duration::from_secs(121));
        }),
    ]
}

/// A host under an authority that is trusted, with this certificate.
async fn login_host(world: &mut World, leaf: Leaf<'_>) {
    let folder = world.folder().to_owned();
    let (cert, key) = world.authority.issue(&folder, "login", &leaf);
    let host = Balancer::start(Some((&cert, &key)), world.site.webhook).await;
    world.set("microsoft.login_url", local(&host));
    world.kept.push(Box::new(host));
}

fn local(host: &Balancer) -> String {
    format!("https://localhost:{}", host.address.port())
}
