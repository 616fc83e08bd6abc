//! A way to the database that can be cut without anybody being told.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use crate::support::any_port;

/// Passes bytes on both ways, until it is cut.
pub struct Link {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    is_cut: bool,
    /// Connections from before the last change of ways are never heard of again.
    way: u32,
}

impl Link {
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind(any_port()).await.expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let state = watch::Sender::new(State { is_cut: false, way: 0 });
        let watched = state.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, to, watched.subscribe()));
            }
        });
        Self { address, state, _tasks: tasks }
    }

    /// Nothing comes through any more, and nobody is told.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.is_cut = true);
    }

    /// Everything comes through again, also what was on its way.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }

    /// New connections come through. The old ones stay silent, as when a server has moved.
    pub fn replace(&self) {
        self.state.send_modify(|state| *state = State { is_cut: false, way: state.way + 1 });
    }
}

async fn connection(stream: TcpStream, to: SocketAddr, state: watch::Receiver<State>) {
    let mut open = state.clone();
    if open.wait_for(|state| !state.is_cut).await.is_err() {
        return;
    }
    let way = open.borrow().way;
    let Ok(server) = TcpStream::connect(to).await else { return };
    stream.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let ((from_us, to_us), (from_server, to_server)) = (stream.into_split(), server.into_split());
    tokio::select! {
        () = pump(from_us, to_server, state.clone(), way) => {}
        () = pump(from_server, to_us, state, way) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    way: u32,
) {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut piece).await;
        let through = state.wait_for(|state| !state.is_cut || state.way != way).await;
        match through.map(|state| state.way) {
            Ok(now) if now == way => {}
            // An end is not told either.
            Ok(_) => std::future::pending().await,
            Err(_) => return,
        }
        match read {
            Ok(length) if length > 0 && to.write_all(&piece[..length]).await.is_ok() => {}
            _ => return,
        }
    }
}
