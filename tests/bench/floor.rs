//! The floor: TLS in, TLS out, and as little as possible between.
//!
//! One thread, blocking sockets, the same crypto provider. It asks for one blob after the other
//! over HTTP/1.1 and hands the plain text of each body from the buffer of the one connection
//! straight to the buffer of the other. It looks at no byte of a body, keeps no books, and waits
//! once, at the end, for the receiver's end of stream. Both sockets are read and written in large
//! pieces, so that system calls cost it no more than they must.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use m365_collector::tls::{self, Identity};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use serde::{Deserialize, Serialize};

/// What it is to do, in a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Where blobs come from.
    pub upstream: SocketAddr,
    /// Where they go to.
    pub downstream: SocketAddr,
    /// The authority of both.
    pub ca: PathBuf,
    /// What it shows the receiver.
    pub cert: PathBuf,
    /// The key of `cert`.
    pub key: PathBuf,
    /// The path of the token endpoint, and what is posted there.
    pub token: (String, String),
    /// The paths of the blobs.
    pub blobs: Vec<String>,
}

impl Job {
    pub fn write(&self, path: &Path) {
        let text = serde_json::to_string(self).expect("plain data");
        fs::write(path, text).expect("the folder can be written to");
    }

    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("the job was written");
        serde_json::from_str(&text).expect("the job was written")
    }

    /// Connects to both sides, calls `ready`, and does it. Returns the bytes passed on.
    pub fn run(&self, ready: impl FnOnce()) -> io::Result<u64> {
        let ca = || tls::certificates(&self.ca).expect("it was made");
        let identity = Identity::load(&self.cert, &self.key).expect("it was made");
        let refused = |error| io::Error::other(format!("{error}"));
        let mut upstream =
            Side::dial(self.upstream, tls::client(Some(ca()), None).map_err(refused)?)?;
        let out = tls::client(Some(ca()), Some(identity)).map_err(refused)?;
        let mut downstream = Side::dial(self.downstream, out)?;
        let authorization = self.authorize(&mut upstream)?;
        downstream.flush()?;
        ready();
        let mut passed = 0;
        for path in &self.blobs {
            upstream.send(&format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {authorization}\r\n\r\n",
                self.upstream
            ))?;
            let mut left = upstream.head()?;
            while left > 0 {
                let length = upstream.pass(left, &mut downstream)?;
                left -= length;
                passed += length as u64;
            }
        }
        downstream.end()?;
        Ok(passed)
    }

    fn authorize(&self, upstream: &mut Side) -> io::Result<String> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
        }
        let (path, form) = &self.token;
        upstream.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            self.upstream,
            form.len(),
        ))?;
        let length = upstream.head()?;
        let mut body = vec![0; length];
        upstream.read_exact(&mut body)?;
        let answer: Answer = serde_json::from_slice(&body)?;
        Ok(format!("Bearer {}", answer.access_token))
    }
}

/// A TLS connection.
struct Side {
    tls: ClientConnection,
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Side {
    fn dial(address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        let name = ServerName::from(address.ip());
        let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(BUFFER));
        let writer = TcpStream::connect(address)?;
        writer.set_nodelay(true)?;
        let reader = BufReader::with_capacity(BUFFER, writer.try_clone()?);
        Ok(Self { tls, reader, writer })
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.tls.writer().write_all(text.as_bytes())?;
        self.flush()
    }

    /// Hands everything to the kernel, the handshake first.
    fn flush(&mut self) -> io::Result<()> {
        while self.tls.is_handshaking() || self.tls.wants_write() {
            while self.tls.wants_write() {
                self.tls.write_tls(&mut self.writer)?;
            }
            if self.tls.is_handshaking() {
                self.receive()?;
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        if self.tls.read_tls(&mut self.reader)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.tls.process_new_packets().map_err(io::Error::other)?;
        Ok(())
    }

    /// The plain text that is there; waits for some.
    fn plain(&mut self) -> io::Result<()> {
        loop {
            match self.tls.reader().fill_buf() {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.receive()?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Passes on at most `most` bytes of plain text.
    fn pass(&mut self, most: usize, out: &mut Self) -> io::Result<usize> {
        self.plain()?;
        let mut reader = self.tls.reader();
        let bytes = reader.fill_buf()?;
        let offered = bytes.len().min(most);
        let length = out.tls.writer().write(&bytes[..offered])?;
        reader.consume(length);
        // The kernel is given a good deal at once: what was taken back is a full buffer.
        if length < offered {
            out.flush()?;
        }
        Ok(length)
    }

    /// Reads the head of an answer, and says how long its body is.
    fn head(&mut self) -> io::Result<usize> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let good = head.starts_with("http/1.1 200");
        let length = length.and_then(|length| length.trim().parse().ok());
        length.filter(|_| good).ok_or_else(|| io::Error::other(head))
    }

    fn read_exact(&mut self, out: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < out.len() {
            self.plain()?;
            filled += self.tls.reader().read(&mut out[filled..])?;
        }
        Ok(())
    }

    /// Ends the stream, and waits for the peer's end.
    fn end(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.flush()?;
        while self.tls.read_tls(&mut self.reader)? > 0 {
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            if state.peer_has_closed() {
                break;
            }
        }
        Ok(())
    }
}

const BUFFER: usize = 256 * 1024;
