//! How many bytes the peer's TCP has not acknowledged yet (`SIOCOUTQ`, see `tcp(7)`).
//!
//! Neither std, tokio, socket2 nor rustix wraps this request in a safe call, hence the
//! `unsafe`.

use std::{io, os::fd::AsRawFd as _};

use tokio::net::TcpStream;

/// Bytes handed to the kernel that the peer has not acknowledged. A FIN of ours counts as one.
///
/// After a reset the number stays as it was: what was not acknowledged then never will be.
pub(super) fn outstanding(socket: &TcpStream) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    #[expect(unsafe_code, reason = "SIOCOUTQ has no safe wrapper in the crates we use")]
    // SAFETY: the descriptor is open, for it is borrowed from a live socket; for this request
    // (SIOCOUTQ is another name of TIOCOUTQ) the kernel writes exactly one `int` through the
    // pointer, which is valid and exclusively ours during the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    // A negative number would be no answer at all, and must not pass for "nothing outstanding".
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn bytes_are_outstanding_until_the_peer_takes_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        assert_eq!(outstanding(&ours).unwrap(), 0);

        let chunk = vec![b'x'; 1 << 20];
        let full = async { while ours.write(&chunk).await.is_ok() {} };
        assert!(timeout(Duration::from_millis(300), full).await.is_err());
        assert!(outstanding(&ours).unwrap() > 0);

        let drained = async {
            let mut buffer = vec![0; 1 << 20];
            while outstanding(&ours).unwrap() > 0 {
                assert_ne!(theirs.read(&mut buffer).await.unwrap(), 0);
            }
        };
        timeout(Duration::from_secs(20), drained).await.unwrap();
    }
}
