//! Only the remote sides, for people who try an installation of their own.
//!
//! The addresses are those the configuration names for Microsoft and Devo, which must be of this
//! machine. Certificates the configuration names and nobody has made yet are made, so that one
//! file serves both `simulate` and `run`.

use std::{
    fs, io,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;
use url::{Host, Url};

use super::{credentials, traffic::Traffic};
use crate::{
    app,
    content::{ContentType, TenantId},
    deliver::{Endpoint, Transport},
    secret::SecretError,
    shutdown::Shutdown,
    simulator::{self, Simulator, certificates::Material, microsoft::Subscription},
};

/// What happens at the simulated Microsoft.
#[derive(Clone, Debug)]
pub struct SimulateOptions {
    /// Contents published per second.
    pub rate: f64,
    /// How long; without it until stopped.
    pub duration: Option<Duration>,
    /// A file of records to publish first, one JSON object a line.
    pub records: Option<PathBuf>,
    /// How many generated records to publish at most.
    pub count: Option<u64>,
    /// Whether Devo's side is served too.
    pub devo: bool,
}

/// Serves both sides and publishes until asked to stop.
///
/// # Errors
///
/// [`SimulateError`] when an address is not of this machine or cannot be served.
pub async fn simulate(
    config: app::Config,
    path: &Path,
    options: SimulateOptions,
    shutdown: Shutdown,
) -> Result<(), SimulateError> {
    let tenants = credentials::tenants(&config)?;
    let feeds: Vec<(TenantId, ContentType)> = config
        .tenants
        .iter()
        .flat_map(|tenant| {
            let kinds = tenant.content_types.clone();
            kinds.into_iter().map(move |kind| (tenant.id, kind))
        })
        .collect();
    let called = config.webhook.is_some();
    let management = here("microsoft.management_url", &config.microsoft.management_url)?;
    let login = here("microsoft.login_url", &config.microsoft.login_url)?;
    let simulator = Simulator::start(simulator::Config {
        management,
        login: (login != management).then_some(login),
        devo: if options.devo { Some(devo(&config.deliver.endpoint)?) } else { None },
        devo_tls: config.deliver.endpoint.transport == Transport::Tls,
        edge: config.webhook.as_ref().map(|webhook| reachable(webhook.listen)),
        material: Some(material_of(path)),
        ..simulator::Config::new(tenants)
    })
    .await?;
    credentials::accept(&config, &simulator)?;
    let say = |line: &str| writeln!(io::stderr(), "{line}").ok();
    say(&format!("Microsoft  {}", simulator.management_url()));
    if options.devo {
        say(&format!("Devo       {}", simulator.devo_endpoint()));
    }
    say("waiting for the collector to register its subscriptions; end with Ctrl-C");

    let mut publishing = None;
    let mut last_line = Instant::now();
    while !shutdown.is_requested() {
        let started = publishing.is_some();
        if !started && registered(&simulator, called) >= feeds.len() {
            say(&format!("registered {} subscriptions, publishing", feeds.len()));
            let duration = options.duration.unwrap_or(Duration::MAX);
            let mut traffic = Traffic::quiet(feeds.clone(), options.rate, duration);
            traffic.limit(options.count);
            if let Some(file) = &options.records {
                traffic.publish_file(&simulator, file)?;
            }
            publishing = Some(traffic);
        }
        if let Some(traffic) = &mut publishing {
            if !traffic.is_over() {
                traffic.publish_due(&simulator);
            }
            if last_line.elapsed() >= LINE_EVERY {
                last_line = Instant::now();
                say(&progress(traffic, &simulator, options.devo));
            }
        }
        tokio::select! {
            () = shutdown.requested() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    if let Some(traffic) = &publishing {
        say(&progress(traffic, &simulator, options.devo));
    }
    simulator.shutdown().await;
    Ok(())
}

/// Makes the certificates, and the credentials of applications, that the configuration file names
/// and that are not there yet.
///
/// The file is looked at before it is validated, because validation wants the certificates.
///
/// # Errors
///
/// When they cannot be written.
pub fn place_certificates(path: &Path) -> io::Result<()> {
    let Some(file) =
        fs::read_to_string(path).ok().and_then(|text| text.parse::<toml::Table>().ok())
    else {
        // Whatever is wrong with it, loading it says so better.
        return Ok(());
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let named =
        |section: &str, key: &str| Some(folder.join(file.get(section)?.get(key)?.as_str()?));
    let wanted = [
        named("microsoft", "ca"),
        named("devo", "ca"),
        named("devo", "cert"),
        named("devo", "key"),
    ];
    let credentials = credentials::Wanted::by(&file, folder);
    if wanted.iter().flatten().all(|path| path.exists()) && credentials.is_empty() {
        return Ok(());
    }
    let material = Material::open(Some(&material_of(path)))?;
    credentials.place(&material)?;
    let made = [
        material.microsoft_ca(),
        material.devo_chain(),
        material.domain_cert(),
        material.domain_key(),
    ];
    for (wanted, made) in wanted.iter().zip(made) {
        // One that is named where it is made is there now, and copied onto itself it were empty.
        if let Some(wanted) = wanted.as_ref().filter(|path| !path.exists()) {
            fs::copy(made, wanted)?;
        }
    }
    Ok(())
}

/// Why the remote sides cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A port or a file.
    #[error("an address of the simulated sides cannot be served, or a file not be read")]
    Io(#[from] io::Error),
    /// The configured address is somebody else's.
    #[error("{key} is {found}, expected an address of this machine such as {example}")]
    NotHere {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        found: String,
        /// What would work.
        example: &'static str,
    },
    /// A client secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// The enabled subscriptions; where there is a webhook, those that it was validated for.
fn registered(simulator: &Simulator, called: bool) -> usize {
    let subscriptions = simulator.microsoft().subscriptions();
    let ready = |state: &Subscription| state.enabled && (state.webhook.is_some() || !called);
    subscriptions.iter().filter(|(_, state)| ready(state)).count()
}

fn progress(traffic: &Traffic, simulator: &Simulator, devo: bool) -> String {
    let published =
        format!("published {} records in {} blobs", traffic.book.records, traffic.book.blobs);
    if !devo {
        return published;
    }
    let received = simulator.devo().received();
    format!("{published}; arrived {}, again {}", received.distinct, received.repeated)
}

fn here(key: &'static str, url: &Url) -> Result<SocketAddr, SimulateError> {
    let host = url.host().map(|host| host.to_owned());
    let port = url.port_or_known_default().unwrap_or(443);
    local(host.as_ref(), port).ok_or_else(|| SimulateError::NotHere {
        key,
        found: url.to_string(),
        example: "https://127.0.0.1:18443",
    })
}

fn devo(endpoint: &Endpoint) -> Result<SocketAddr, SimulateError> {
    local(Host::parse(&endpoint.host).ok().as_ref(), endpoint.port).ok_or_else(|| {
        SimulateError::NotHere {
            key: "devo.endpoint",
            found: endpoint.to_string(),
            example: "tls://127.0.0.1:16514, or --without-devo",
        }
    })
}

fn local(host: Option<&Host>, port: u16) -> Option<SocketAddr> {
    let ip: IpAddr = match host? {
        Host::Domain(name) if name == "localhost" => Ipv4Addr::LOCALHOST.into(),
        Host::Domain(_) => return None,
        Host::Ipv4(ip) => (*ip).into(),
        Host::Ipv6(ip) => (*ip).into(),
    };
    ip.is_loopback().then_some((ip, port).into())
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Made certificates are kept, so that a restarted simulation is still trusted.
fn material_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join("simulated")
}

/// How often something is published and looked at.
const TICK: Duration = Duration::from_millis(50);

/// How often a line says how far it is.
const LINE_EVERY: Duration = Duration::from_secs(5);
