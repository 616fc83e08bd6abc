//! The binary under test, in a process of its own.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use super::{eventually, series::Scrape};
use crate::support::Process;

/// A running collector. Dropping it kills it.
pub struct Collector {
    pub process: Process,
    admin: SocketAddr,
    said: PathBuf,
}

impl Collector {
    pub(super) fn start(
        config: &Path,
        variables: &[(String, String)],
        admin: SocketAddr,
        folder: &Path,
    ) -> Self {
        // A file, because a pipe nobody reads would stop it.
        let said = folder.join("collector.err");
        let file = File::create(&said).expect("the folder can be written to");
        // It ends with the benchmark, however that ends.
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_m365-collector")]);
        command.arg("run").arg("--config").arg(config);
        command.env_clear().envs(variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        Self { process: Process::start(&mut command), admin, said }
    }

    /// Waits until so many contents are delivered, confirmed by the receiver and settled.
    pub async fn settled(&mut self, contents: usize) {
        let contents = contents as f64;
        eventually("everything is settled", async || {
            assert!(self.process.is_running(), "the collector ended:\n{}", self.said());
            // Seldom, for the answer is made by the process under test.
            sleep(Duration::from_millis(200)).await;
            let outcome = [("outcome", "delivered")];
            self.metrics().await.sum("m365_content_settled_total", &outcome) >= contents
        })
        .await;
    }

    /// Waits until it has read that it delivered so many records.
    pub async fn remembers(&mut self, records: usize) {
        let text = format!("{records} delivered records remembered");
        eventually(&text, async || {
            assert!(self.process.is_running(), "the collector ended:\n{}", self.said());
            self.said().contains(&text)
        })
        .await;
    }

    /// What it wrote to standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> Scrape {
        let exchange = async {
            let mut connection = TcpStream::connect(self.admin).await?;
            let request = "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
            connection.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = exchange.await.unwrap_or_default();
        Scrape::parse(answer.split_once("\r\n\r\n").map_or("", |(_, body)| body))
    }
}
