//! The way to Devo: to its end, and whether a session is confirmed there.

use jiff::Timestamp;

use crate::{
    app,
    deliver::{self, Confirm, DialError, Probe, ProbeError, Transport, trial},
    frame::Framer,
    reason::Reason,
    tls::Identity,
};

use super::{
    Table,
    finding::{Check, Finding},
    hop::{self, Peer},
    way::{Handshake, Way, walk, with_source},
};

/// Looks at the way; with a table, a test record goes there.
pub(super) async fn look(
    config: &app::Config,
    certificate_is_usable: bool,
    table: Option<&Table>,
    now: Timestamp,
) -> Vec<Finding> {
    let deliver = &config.deliver;
    let endpoint = deliver.endpoint.to_string();
    let peer = Peer { host: deliver.endpoint.host.clone(), port: deliver.endpoint.port };
    // Without a usable certificate of ours the other side can still be looked at.
    let identity = deliver.identity.as_ref().filter(|_| certificate_is_usable);
    let identity = identity.and_then(|(cert, key)| Identity::load(cert, key).ok());
    let handshake = (deliver.endpoint.transport == Transport::Tls).then(|| Handshake {
        name: deliver.server_name.clone().unwrap_or_else(|| peer.host.clone()),
        trust: hop::trust(deliver.ca.as_deref(), None),
        identity,
        house: None,
    });
    let walked = walk(Way::Devo, &peer, handshake, now).await;
    let mut findings = walked.findings;
    let check = Check::DevoConfirmation;
    findings.push(match walked.end {
        Err(broken) => Finding::skipped(check, broken),
        Ok(_) if !certificate_is_usable => Finding::skipped(check, Check::DevoCertificate),
        Ok(stream) => {
            drop(stream);
            let lines = table.map(|table| line(table, config, now)).unwrap_or_default();
            let tried = trial(deliver, &lines).await;
            confirmation(&tried, deliver, table)
        }
    });
    findings
        .into_iter()
        .map(
            |finding| {
                if finding.subject.is_empty() { finding.of(endpoint.clone()) } else { finding }
            },
        )
        .collect()
}

fn line(table: &Table, config: &app::Config, now: Timestamp) -> Vec<u8> {
    let prefix = table.prefix.as_deref().unwrap_or(&config.route.prefix);
    let mut line = Vec::new();
    let record = format!(
        "{{\"Operation\":\"m365-collector check\",\"CreationTime\":\"{}\",\"Workload\":\"Test\"}}",
        now.strftime("%Y-%m-%dT%H:%M:%S")
    );
    Framer::new(&config.pipeline.hostname, prefix).frame(
        &mut line,
        now,
        &table.name,
        record.as_bytes(),
    );
    line
}

fn confirmation(
    tried: &Result<Probe, ProbeError>,
    config: &deliver::Config,
    table: Option<&Table>,
) -> Finding {
    let check = Check::DevoConfirmation;
    let what = match table {
        Some(table) => format!("a test record to {table}"),
        None => "without a record, --record TABLE sends one".to_owned(),
    };
    let probe = match tried {
        Ok(probe) => probe,
        Err(error) => return undialled(error),
    };
    let took = format!("{what}, {:.1} s", probe.took.as_secs_f64());
    match (probe.confirmed, config.confirm) {
        (Ok(()), Confirm::EndOfStream) => {
            let cause = format!("confirmed, devo.confirm = \"end-of-stream\" fits ({took})");
            Finding::ok(check, cause).seen(took)
        }
        (Ok(()), Confirm::Tcp) => Finding::warning(
            check,
            "the receiver ends its stream, which is a stronger confirmation than the one in use",
            "set devo.confirm = \"end-of-stream\"",
        )
        .seen(took),
        (Err(Reason::Unconfirmed), Confirm::Tcp) => {
            Finding::ok(check, format!("acknowledged, devo.confirm = \"tcp\" fits ({took})"))
        }
        (Err(Reason::Unconfirmed), Confirm::EndOfStream) => Finding::failed(
            check,
            "the receiver takes everything and never ends its stream, so that nothing would ever \
             be confirmed",
            "set devo.confirm = \"tcp\", which is weaker (see README); or use an endpoint that \
             ends its stream, as Devo's own do",
        )
        .seen(format!("{took}, devo.confirm_timeout")),
        (Err(Reason::Stalled), _) => Finding::failed(
            check,
            "the receiver takes no bytes",
            "Devo administrator, or whoever runs the relay: see why it does not read; network \
             team: see what between here and there lets connections open and nothing through",
        )
        .seen(took),
        (Err(reason), _) => Finding::failed(
            check,
            "the receiver breaks the connection off",
            "compare devo.endpoint with the one in Devo's console; Devo administrator: see that \
             the domain and its certificate are active",
        )
        .seen(format!("{took}; {reason}")),
    }
}

fn undialled(error: &ProbeError) -> Finding {
    let check = Check::DevoConfirmation;
    let seen = with_source(error);
    match error {
        ProbeError::Dial(DialError::IdentityRefused(_) | DialError::ClosedAtOnce) => {
            Finding::failed(
                check,
                "Devo does not accept our certificate, or asks for one",
                "Devo administrator: download certificate and key of the domain anew from Devo's \
                 console (Credentials), for the Devo region of devo.endpoint, and name them in \
                 devo.cert and devo.key",
            )
        }
        _ => Finding::failed(
            check,
            "a session cannot be opened",
            "check again; if it stays, compare devo.endpoint with the one in Devo's console",
        ),
    }
    .seen(seen)
}
