//! Real proxies in front of the collector, set up as README asks for.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::{eventually, ports, processes::Process};

/// A proxy that says who calls, and takes away what callers say about certificates.
pub struct Proxy {
    pub port: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Proxy {
    /// Adds the caller to what `X-Forwarded-For` says already, and keeps connections to us.
    pub async fn nginx(to: SocketAddr) -> Self {
        Self::start("/usr/sbin/nginx", "nginx-light", |port, folder| {
            let folder = folder.display();
            format!(
                "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
                 events {{}}
                 http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                   fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                   client_header_timeout 1s;
                   upstream collector {{ server {to}; keepalive 4; }}
                   server {{ listen {port};
                     location / {{ proxy_pass http://collector; proxy_http_version 1.1;
                       proxy_set_header Connection \"\"; proxy_request_buffering off;
                       proxy_set_header {CERTIFICATE} \"\";
                       proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}"
            )
        })
        .await
    }

    /// Adds a line of `X-Forwarded-For`, and shares connections to us among its callers.
    pub async fn haproxy(to: SocketAddr) -> Self {
        Self::haproxy_that(to, "option forwardfor", "").await
    }

    /// Says who calls in a PROXY header.
    pub async fn haproxy_with_header(to: SocketAddr) -> Self {
        Self::haproxy_that(to, "", "send-proxy-v2").await
    }

    async fn haproxy_that(to: SocketAddr, says: &str, server: &str) -> Self {
        Self::start("/usr/sbin/haproxy", "haproxy", |port, _| {
            format!(
                "defaults\n mode http\n timeout connect 5s\n timeout client 1s\n \
                 timeout http-request 1s\n timeout server 10s\n http-reuse always\n\
                 frontend f\n bind {port}\n {says}\n http-request del-header {CERTIFICATE}\n \
                 default_backend b\n\
                 backend b\n server s {to} {server}\n"
            )
        })
        .await
    }

    async fn start(
        program: &str,
        package: &str,
        config: impl Fn(SocketAddr, &Path) -> String,
    ) -> Self {
        assert!(Path::new(program).exists(), "{program} is missing: install the package {package}");
        let (port, folder) = (ports::free(), tempfile::tempdir().unwrap());
        let file = folder.path().join("config");
        fs::write(&file, config(port, folder.path())).unwrap();
        let mut command = Command::new(program);
        let flag = if program.ends_with("nginx") { "-c" } else { "-f" };
        command.arg(flag).arg(&file).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command);
        eventually("the proxy listens", async || TcpStream::connect(port).await.is_ok()).await;
        Self { port, _process: process, _folder: folder }
    }
}

/// The header in which a proxy would pass a client certificate on.
pub const CERTIFICATE: &str = "X-SSL-Client-Cert";
