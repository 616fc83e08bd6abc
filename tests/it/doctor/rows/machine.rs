//! This machine.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use m365_collector::ledger::{Config, Ledger, Location};
use sqlx::{Connection as _, sqlite::SqliteConnection};
use tokio::net::TcpListener;

use super::{Row, World, row};
use crate::doctor::{
    authority::{Authority, Leaf},
    balancer::{Balancer, Manner},
};

pub fn rows() -> Vec<Row> {
    vec![
        row!("a client secret everybody can read", warning secret_files,
            ["can read", "tenant-0.secret"], ["chmod o-rwx"], |world| {
            open(&world.folder().join("tenant-0.secret"));
        }),
        row!("an auth id everybody can read", warning secret_files,
            ["can read", "auth-id"], ["chmod o-rwx"], |world| {
            open(&world.folder().join("auth-id"));
        }),
        row!("a Devo key everybody can read", warning secret_files,
            ["can read", "domain.key"], ["chmod o-rwx"], |world| {
            open(world.site.simulator.devo_key_path());
        }),
        row!("a secret in the configuration file", warning configuration,
            ["client_secret"], ["config sample"], |world| {
            let secret = world.site.tenants[0].1.client_secret.clone();
            world.edit(|text| text.replace("{ file = \"tenant-0.secret\" }", &format!("{secret:?}")));
        }),
        row!("a Devo key of another certificate", failed devo_certificate,
            ["does not belong"], ["Devo administrator", "devo.key"], |world| {
            let (_, key) = world.authority.issue(world.folder(), "stray", &Leaf::default());
            world.set("devo.key", key.display());
        }),
        row!("an expired Devo certificate", failed devo_certificate,
            ["expired on"], ["Devo administrator", "devo.cert"], |world| {
            devo_certificate(world, -3);
        }),
        row!("a Devo certificate that expires soon", warning devo_certificate,
            ["expires in 9 days"], ["Devo administrator"], |world| {
            devo_certificate(world, 9);
            // This receiver asks nobody who they are.
            let folder = world.folder().to_owned();
            let (cert, key) = world.authority.issue(&folder, "receiver", &Leaf::default());
            let receiver = Balancer::start(Some((&cert, &key)), world.site.webhook).await;
            receiver.behave(Manner::Answers(""));
            world.set("devo.endpoint", format!("tls://localhost:{}", receiver.address.port()));
            world.set("devo.ca", folder.join("public.pem").display());
            world.kept.push(Box::new(receiver));
        }),
        row!("a Devo key that is none", failed devo_certificate,
            ["cannot be read"], ["devo.key"], |world| {
            fs::write(world.folder().join("none.key"), "nothing\n").unwrap();
            super::super::world::make_private(&world.folder().join("none.key"));
            world.set("devo.key", world.folder().join("none.key").display());
        }),
        row!("a webhook key of another certificate", failed webhook_certificate,
            ["does not belong"], ["webhook.tls.key"], |world| {
            let (cert, _) = world.authority.issue(world.folder(), "ours", &Leaf::default());
            let (_, key) = world.authority.issue(world.folder(), "stray", &Leaf::default());
            world.set("webhook.tls.cert", cert.display());
            world.set("webhook.tls.key", key.display());
        }),
        row!("an expired webhook certificate", failed webhook_certificate,
            ["expired on"], ["webhook.tls.cert"], |world| {
            let leaf = Leaf { days: -1, ..Leaf::default() };
            let (cert, key) = world.authority.issue(world.folder(), "ours", &leaf);
            world.set("webhook.tls.cert", cert.display());
            world.set("webhook.tls.key", key.display());
        }),
        row!("a ledger of a newer version", failed ledger,
            ["newer version"], ["run that version", "ledger.url"], |world| {
            let path = world.folder().join("ledger.db");
            drop(Ledger::open(&ledger(&path)).await.unwrap());
            let mut database =
                SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
            let step = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                        execution_time) VALUES (99990101000000, 'tomorrow', 1, x'00', 1)";
            sqlx::query(step).execute(&mut database).await.unwrap();
            // One that older versions cannot work with.
            let floor = "UPDATE schema_floor SET step = 99990101000000";
            sqlx::query(floor).execute(&mut database).await.unwrap();
            database.close().await.unwrap();
        }),
        row!("a ledger another process holds", failed ledger,
            ["another process holds"], ["fuser", "ledger.url"], |world| {
            let held = Ledger::open(&ledger(&world.folder().join("ledger.db"))).await.unwrap();
            world.kept.push(Box::new(held));
        }),
        row!("a ledger that is no database", failed ledger, ["damaged"], ["move it away"], |world| {
            fs::write(world.folder().join("ledger.db"), "not a database ".repeat(1000)).unwrap();
        }),
        row!("a ledger in a folder nobody writes to", failed ledger_disk,
            ["cannot be written"], ["mount", "ledger.url"], |world| {
            // Nobody, not even root, makes files there.
            world.set("ledger.url", "sqlite:/proc/ledger.db");
        }),
        row!("a full disk", failed ledger_disk, ["full"], ["make room"], |world| {
            world.script = "trap '' XFSZ; ulimit -f 400".to_owned();
        }),
        row!("another program on the admin port", failed admin_port,
            ["another program"], ["ss -ltnp", "admin.listen"], |world| {
            let other = TcpListener::bind(world.site.admin).await.unwrap();
            world.kept.push(Box::new(other));
        }),
        row!("another program on the webhook port", failed webhook_port,
            ["another program"], ["ss -ltnp", "webhook.listen"], |world| {
            let other = TcpListener::bind(world.site.webhook).await.unwrap();
            world.kept.push(Box::new(other));
        }),
        row!("an address that is not of this machine", failed webhook_port,
            ["cannot be listened on"], ["webhook.listen"], |world| {
            world.set("webhook.listen", "192.0.2.1:8080");
        }),
    ]
}

fn open(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

fn ledger(path: &Path) -> Config {
    Config {
        location: Location::Sqlite(path.to_owned()),
        lease: std::time::Duration::from_secs(300),
        keep_delivered: std::time::Duration::from_secs(14 * 24 * 3600),
        keep_dead: std::time::Duration::from_secs(30 * 24 * 3600),
    }
}

fn devo_certificate(world: &mut World, days: i64) {
    let leaf = Leaf { name: "customer.example", days, client: true, ..Leaf::default() };
    let (cert, key) = Authority::new("Devo").issue(world.folder(), "domain", &leaf);
    world.set("devo.cert", cert.display());
    world.set("devo.key", key.display());
}
