//! Strangers: requests with a wrong auth id, as many a second as asked for, each on its own
//! connection.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
    time::{Instant, interval},
};

use crate::{
    collector::PATH,
    support::processes::{say, told},
};

/// What they are started as.
pub(crate) const ROLE: &str = "strangers";

/// Between "go" and "stop" asks the server told of; then says how many answers a second came.
pub(crate) fn run(told_at_start: &[String]) {
    let [address] = told_at_start else { panic!("strangers are told an address") };
    let address = address.parse().expect("it is an address");
    let runtime = Runtime::new().expect("a runtime can be made");
    while told().is_some() {
        let stop = Arc::new(AtomicBool::new(false));
        let listener = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                told();
                stop.store(true, Ordering::Relaxed);
            }
        });
        let rate = runtime.block_on(ask(address, &stop));
        listener.join().expect("listening does not panic");
        say(&rate.to_string());
    }
}

async fn ask(address: SocketAddr, stop: &AtomicBool) -> f64 {
    let answered = Arc::new(AtomicU64::new(0));
    let mut strangers = JoinSet::new();
    let mut ticks = interval(TICK);
    let began = Instant::now();
    let mut asked = 0.0;
    let mut said = false;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let due = began.elapsed().as_secs_f64() * RATE;
        while asked < due {
            asked += 1.0;
            while strangers.try_join_next().is_some() {}
            if strangers.len() >= AT_A_TIME {
                // More would only be more of us that wait.
                continue;
            }
            let answered = Arc::clone(&answered);
            strangers.spawn(async move {
                if is_turned_away(address).await {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        if !said {
            said = true;
            say("going");
        }
    }
    answered.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

async fn is_turned_away(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nwebhook-authid: 0123456789abcdef\r\n\
         content-length: 2\r\n\r\n[]"
    );
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_end(&mut answer).await.is_ok()
        && answer.starts_with(b"HTTP/1.1 401")
}

/// Requests per second.
const RATE: f64 = 10_000.0;

const TICK: Duration = Duration::from_millis(2);

/// Half of the connections the server takes by default: strangers who take all of them are another
/// matter.
const AT_A_TIME: usize = 512;
