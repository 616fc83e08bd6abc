//! Who is at the other end of a connection, as a service is told.

use std::{net::IpAddr, sync::Arc};

use super::door::Guest;

/// The other end of a connection. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Peer {
    address: IpAddr,
    guest: Arc<Guest>,
}

impl Peer {
    pub(super) fn new(address: IpAddr, guest: Arc<Guest>) -> Self {
        Self { address, guest }
    }

    /// The address of the TCP peer or, where that is a trusted proxy that wrote a PROXY header, of
    /// whom it speaks for.
    pub fn ip(&self) -> IpAddr {
        self.address
    }

    /// Notes that a request was authentic: from here on the connection keeps its place, and the
    /// next ones of this source find one.
    pub fn authenticated(&self) {
        self.guest.authenticated();
    }
}
