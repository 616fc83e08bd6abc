//! A `PostgreSQL` server of our own: one for a process, or one that a test ends and starts again.
//!
//! It runs on a port of its own, keeps its data in a folder of its own with the settings it comes
//! with, and ends with the process that started it, however that ends: a shell between the two waits
//! for the end of its input. As root it runs as another user, because it refuses root.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A running server.
pub(crate) struct Postgres {
    port: u16,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
    child: Child,
}

impl Postgres {
    /// Starts one; returns when it takes connections.
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        let mut child = command
            .args(["-c", SCRIPT, "sh", &port.to_string()])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv and sh are installed");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut server = Self { port, input, output, child };
        server.answers("up");
        server
    }

    /// The one for all tests of this process that leave it alone.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The address of a new, empty database.
    pub(crate) async fn database(&self) -> String {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name = format!("ledger{}", LAST.fetch_add(1, Ordering::Relaxed));
        let connection = PgConnection::connect(&self.address("postgres")).await;
        let mut connection = connection.expect("the server runs");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        let created = sqlx::raw_sql(create).execute(&mut connection).await;
        created.expect("the name is new");
        self.address(&name)
    }

    fn address(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Ends it in order, cutting off whoever is connected.
    pub(crate) fn stop(&mut self) {
        self.tell("stop fast", "down");
    }

    /// Ends all of its processes without notice.
    pub(crate) fn kill(&mut self) {
        self.tell("kill", "down");
    }

    /// Stops all of its processes where they are; nobody is told, and nobody is answered.
    pub(crate) fn freeze(&mut self) {
        self.tell("freeze", "down");
    }

    /// Starts it again on what it left behind, or lets it go on.
    pub(crate) fn start_again(&mut self) {
        self.tell("start", "up");
    }

    fn tell(&mut self, what: &str, answer: &str) {
        writeln!(self.input, "{what}").expect("the shell listens");
        self.answers(answer);
    }

    fn answers(&mut self, expected: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the shell answers");
        assert_eq!(line.trim_end(), expected, "the server does as it is told");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        writeln!(self.input, "end").ok();
        self.child.wait().ok();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("every system has it");
    id.stdout == b"0\n"
}

/// Keeps the server and obeys its input; at its end it leaves nothing behind.
const SCRIPT: &str = r#"
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
folder=$(mktemp -d) || exit
trap '' INT TERM HUP
end() { "$bin/pg_ctl" -D "$folder/data" -m immediate -s stop; rm -rf "$folder"; exit; }
start() {
    "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -s -w -t 120 start >&2 </dev/null &&
        echo up || { cat "$folder/log" >&2; echo failed; }
}
"$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --no-locale --no-instructions >/dev/null
cat >> "$folder/data/postgresql.conf" <<SETTINGS
listen_addresses = '127.0.0.1'
port = $1
unix_socket_directories = ''
max_connections = 300
ssl = on
ssl_cert_file = '$folder/server.crt'
ssl_key_file = '$folder/server.key'
SETTINGS
made() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@" 2>/dev/null; }
cd "$folder" &&
    made -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.crt &&
    made -subj /CN=localhost -keyout server.key -out server.csr &&
    echo subjectAltName=DNS:localhost > names &&
    openssl x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -extfile names \
        -out server.crt 2>/dev/null
cd /
start
while read -r what; do
    case $what in
        'stop fast') "$bin/pg_ctl" -D "$folder/data" -m fast -s -w stop; echo down ;;
        kill)
            first=$(head -1 "$folder/data/postmaster.pid")
            kill -9 "$first" $(ps -o pid= --ppid "$first")
            while ps -o pid= --ppid "$first" | grep -q . || kill -0 "$first" 2>/dev/null; do sleep 0.05; done
            echo down ;;
        freeze)
            first=$(head -1 "$folder/data/postmaster.pid")
            kill -STOP "$first" $(ps -o pid= --ppid "$first")
            echo down ;;
        start)
            first=$(head -1 "$folder/data/postmaster.pid" 2>/dev/null)
            if [ -n "$first" ] && kill -0 "$first" 2>/dev/null; then
                kill -CONT $(ps -o pid= --ppid "$first") "$first"
                echo up
            else
                start
            fi ;;
        end) end ;;
    esac
done
end
"#;
