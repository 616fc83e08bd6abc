//! Who has to do what when a way is closed.

use super::{Peer, Way};

/// By what is wrong.
pub(super) struct Remedies {
    pub(super) name: String,
    pub(super) connection: String,
    /// An authority that is not trusted.
    pub(super) authority: String,
    /// A chain that is not complete, where that can be told.
    pub(super) chain: Option<String>,
    pub(super) expiry: String,
    pub(super) other_name: String,
    /// Our own certificate is refused.
    pub(super) identity: String,
    /// TLS is expected and not spoken.
    pub(super) not_tls: String,
    /// Plain TCP is expected, and TLS is spoken.
    pub(super) is_tls: &'static str,
}

impl Remedies {
    pub(super) fn of(way: Way, peer: &Peer) -> Self {
        match way {
            Way::Address => Self::address(peer),
            Way::Devo => Self::devo(peer),
            Way::Login => Self::microsoft(peer, "microsoft.login_url"),
            Way::Management => Self::microsoft(peer, "microsoft.management_url"),
        }
    }

    fn microsoft(Peer { host, port }: &Peer, key: &str) -> Self {
        let inspected = format!(
            "network team: exempt {host} from TLS inspection, or give us the inspecting proxy's \
             root certificate, as a PEM file named by microsoft.ca"
        );
        Self {
            name: format!("network team: let this machine resolve {host}; or correct {key}"),
            connection: format!(
                "network team: open outgoing TCP port {port} from this machine to {host}; no proxy \
                 is used. Or correct {key}"
            ),
            authority: inspected.clone(),
            chain: None,
            expiry: format!(
                "see that this machine's clock is right; if it is, whoever runs {host} has to \
                 renew the certificate"
            ),
            other_name: format!("correct {key}, or see who answers in the place of {host}"),
            identity: inspected,
            not_tls: format!("correct {key}, or see who answers in the place of {host}"),
            is_tls: "write https:// in microsoft.login_url and microsoft.management_url",
        }
    }

    fn address(Peer { host, port }: &Peer) -> Self {
        Self {
            name: format!(
                "DNS administrator: publish an address record for {host} that leads to the load \
                 balancer; or correct webhook.address"
            ),
            connection: format!(
                "network team: let the load balancer listen on port {port} of {host} and forward \
                 to webhook.listen, and let Microsoft in (service tag \
                 M365ManagementActivityApiWebhook)"
            ),
            authority: "whoever runs the load balancer: install a certificate of a public \
                        authority; Microsoft accepts no private one"
                .to_owned(),
            chain: Some(
                "whoever runs the load balancer: install the certificate together with its \
                 intermediate certificates (the full chain)"
                    .to_owned(),
            ),
            expiry: "whoever runs the load balancer: renew the certificate".to_owned(),
            other_name: format!(
                "whoever runs the load balancer: install a certificate for {host}; or correct \
                 webhook.address"
            ),
            identity: "whoever runs the load balancer: do not demand a client certificate of \
                       everybody, or accept the one Microsoft shows (manage.office.com)"
                .to_owned(),
            not_tls: format!(
                "whoever runs the load balancer: end TLS on port {port}; or configure webhook.tls"
            ),
            is_tls: "",
        }
    }

    fn devo(Peer { host, port }: &Peer) -> Self {
        Self {
            name: format!(
                "compare devo.endpoint with the one in Devo's console; if it is right, network \
                 team: let this machine resolve {host}"
            ),
            connection: format!(
                "compare devo.endpoint with the one in Devo's console; if it is right, network \
                 team: open outgoing TCP port {port} from this machine to {host}"
            ),
            authority: "Devo administrator: download the chain (chain.crt) for this endpoint from \
                        Devo's console and name it in devo.ca; for a relay, name its authority"
                .to_owned(),
            chain: None,
            expiry: "see that this machine's clock is right; if it is, tell Devo, or whoever runs \
                     the relay"
                .to_owned(),
            other_name: "set devo.server_name to a name the certificate carries (see what was \
                         seen), or correct devo.endpoint"
                .to_owned(),
            identity: "Devo administrator: download certificate and key of the domain anew from \
                       Devo's console (Credentials), for the Devo region of devo.endpoint, and \
                       name them in devo.cert and devo.key"
                .to_owned(),
            not_tls: format!(
                "set devo.endpoint to tcp://{host}:{port} if it is a plain relay in your house; \
                 otherwise use the TLS port from Devo's console"
            ),
            is_tls: "set devo.endpoint to tls:// with the same host and port, and name devo.ca, \
                     devo.cert and devo.key",
        }
    }
}
