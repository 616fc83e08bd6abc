//! The way to Devo.

use m365_collector::simulator::DevoMode;

use super::{Row, World, row};
use crate::{
    doctor::authority::{Authority, Leaf},
    support::ports,
};

pub fn rows() -> Vec<Row> {
    vec![
        row!("a Devo name without an address", failed devo_dns,
            ["devo.invalid"], ["devo.endpoint", "Devo's console"], |world| {
            world.set("devo.endpoint", "tls://devo.invalid:443");
        }),
        row!("a Devo that refuses", failed devo_tcp,
            ["refuses"], ["devo.endpoint", "network team"], |world| {
            world.set("devo.endpoint", format!("tls://{}", ports::free()));
        }),
        row!("a TLS endpoint that answers plain", failed devo_tls,
            ["does not speak TLS"], ["tcp://"],
        |config| config.devo_tls = false,
        |world| {
            let endpoint = world.site.simulator.devo_endpoint();
            world.set("devo.endpoint", endpoint.replace("tcp://", "tls://"));
        }),
        row!("a plain endpoint that answers TLS", failed devo_tls,
            ["speaks TLS"], ["tls://", "devo.ca"], |world| {
            without_certificates(world, &["ca", "cert", "key"]);
            world.edit(|text| text.replace("endpoint = \"tls://", "endpoint = \"tcp://"));
        }),
        row!("a Devo of another authority", failed devo_tls,
            ["authority"], ["chain.crt", "devo.ca"], |world| {
            world.set("devo.ca", world.folder().join("public.pem").display());
        }),
        row!("a Devo with another name", failed devo_tls,
            ["another name than collector-eu.devo.io"], ["devo.server_name"], |world| {
            world.set("devo.server_name", "collector-eu.devo.io");
        }),
        row!("a Devo that wants a certificate we do not have", failed devo_confirmation,
            ["certificate"], ["Devo administrator", "devo.cert"], |world| {
            without_certificates(world, &["cert", "key"]);
        }),
        row!("a certificate of another Devo", failed devo_confirmation,
            ["does not accept our certificate"], ["Devo administrator", "region"], |world| {
            let leaf = Leaf { name: "customer.example", client: true, ..Leaf::default() };
            let (cert, key) = Authority::new("US").issue(world.folder(), "domain", &leaf);
            world.set("devo.cert", cert.display());
            world.set("devo.key", key.display());
        }),
        row!("a Devo that never confirms", failed devo_confirmation,
            ["never ends its stream"], ["devo.confirm = \"tcp\""], |world| {
            world.site.simulator.devo().behave(DevoMode::NeverClose);
        }),
        row!("a Devo that never confirms a record", failed devo_confirmation,
            ["never ends its stream"], ["devo.confirm = \"tcp\""], |world| {
            world.arguments.extend(["--record", "test.keep.free"]);
            world.site.simulator.devo().behave(DevoMode::NeverClose);
        }),
        row!("a weaker confirmation than there could be", warning devo_confirmation,
            ["stronger"], ["end-of-stream"], |world| {
            world.set("devo.confirm", "tcp");
        }),
        Row {
            // Whether the connection is seen before it is gone is up to the kernel.
            check: "devo_tcp or devo_tls",
            ..row!("a Devo that resets connections", failed devo_tls,
                ["resets the connection"], ["Devo's console"], |world| {
                world.site.simulator.devo().behave(DevoMode::Refuse);
            })
        },
        row!("a Devo that reads nothing", failed devo_confirmation,
            ["ends its stream"], ["devo.confirm"], |world| {
            world.site.simulator.devo().behave(DevoMode::Stall);
        }),
        row!("a relay that breaks records off", failed devo_confirmation,
            ["breaks the connection off"], ["devo.endpoint"], |world| {
            world.arguments.extend(["--record", "test.keep.free"]);
            world.site.simulator.devo().behave(DevoMode::ResetAfter(1));
        }),
    ]
}

fn without_certificates(world: &World, keys: &[&str]) {
    let begins = |line: &str| keys.iter().any(|key| line.starts_with(&format!("{key} = ")));
    world.edit(|text| {
        let (before, devo) = text.split_once("[devo]").unwrap();
        let kept: Vec<_> = devo.lines().filter(|line| !begins(line)).collect();
        format!("{before}[devo]{}", kept.join("\n"))
    });
}
