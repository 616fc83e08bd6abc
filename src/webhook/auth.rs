//! Whether a request comes from somebody who knows the auth id.

use std::{
    error::Error as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use hyper::header::{HeaderMap, HeaderName};
use secrecy::ExposeSecret as _;
use subtle::{Choice, ConstantTimeEq};

use super::outcome::Reject;
use crate::secret::{Secret, SecretError};

/// The auth ids that open the door.
#[derive(Debug)]
pub(super) struct AuthIds {
    current: Secret,
    previous: Option<Secret>,
    min: usize,
    unusable: AtomicBool,
    /// Of the current one, when the previous one was read last because of it.
    generation: AtomicU64,
}

impl AuthIds {
    /// Of the secrets, only what has at least `min` bytes counts, whenever it is read.
    pub(super) fn new(current: Secret, previous: Option<Secret>, min: usize) -> Self {
        Self {
            current,
            previous,
            min,
            unusable: AtomicBool::new(false),
            generation: AtomicU64::new(0),
        }
    }

    /// Compares with what the secrets are now, so that a rotation needs no restart.
    ///
    /// Takes the same time wherever the texts differ, and whichever of the two ids it is. More
    /// than one header is as good as none: it would be up to a proxy which of them counts.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Reject> {
        let mut sent = headers.get_all(WEBHOOK_AUTH_ID).iter();
        let (Some(sent), None) = (sent.next(), sent.next()) else {
            return Err(Reject::Unauthorized);
        };
        self.see_together();
        let mut right = Choice::from(0);
        let mut unusable = None;
        for secret in [Some(&self.current), self.previous.as_ref()].into_iter().flatten() {
            match secret.current() {
                Ok(secret) if secret.expose_secret().len() < self.min => {
                    unusable = Some(Unusable::TooShort);
                }
                Ok(secret) => right |= equal(sent.as_bytes(), secret.expose_secret().as_bytes()),
                Err(error) => unusable = Some(Unusable::Unreadable(error)),
            }
        }
        self.note(unusable.as_ref());
        match (bool::from(right), unusable) {
            (true, _) => Ok(()),
            (false, None) => Err(Reject::Unauthorized),
            // The one that cannot be read might have been the right one.
            (false, Some(_)) => Err(Reject::SecretUnreadable),
        }
    }

    /// A changed id is read together with the one that was current before it: until Microsoft was
    /// told of the new one, requests still carry the old one.
    fn see_together(&self) {
        let (Some(previous), Ok(generation)) = (&self.previous, self.current.generation()) else {
            return;
        };
        if self.generation.swap(generation, Ordering::Relaxed) != generation {
            // What is wrong with it shows where it is compared.
            previous.fresh().ok();
        }
    }

    /// Says it when it begins and when it ends; in between strangers decide how often we look.
    fn note(&self, unusable: Option<&Unusable>) {
        let was = self.unusable.swap(unusable.is_some(), Ordering::Relaxed);
        match unusable {
            Some(error) if !was => {
                let cause = error.source();
                tracing::error!(%error, cause, "cannot compare auth ids");
            }
            None if was => tracing::info!("auth ids can be compared again"),
            _ => {}
        }
    }
}

/// Why one of our own auth ids does not count.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("an auth id is too short to keep anybody out")]
    TooShort,
    #[error(transparent)]
    Unreadable(SecretError),
}

/// Compares as if both had the greatest length, so that the time tells nothing about the secret's.
fn equal(sent: &[u8], secret: &[u8]) -> Choice {
    let lengths = sent.len().ct_eq(&secret.len());
    let fit = Choice::from(u8::from(sent.len() <= MAX_AUTH_ID && secret.len() <= MAX_AUTH_ID));
    lengths & fit & Padded::new(sent).ct_eq(&Padded::new(secret))
}

/// A text of the greatest length, in words, which are compared eight times as fast as bytes. It has
/// no `==`, so that nobody compares it in any other time.
struct Padded([u64; MAX_AUTH_ID / 8]);

impl Padded {
    fn new(text: &[u8]) -> Self {
        let mut padded = [0; MAX_AUTH_ID];
        for (to, from) in padded.iter_mut().zip(text) {
            *to = *from;
        }
        let (words, _) = padded.as_chunks();
        Self(std::array::from_fn(|at| words.get(at).map_or(0, |word| u64::from_ne_bytes(*word))))
    }
}

impl ConstantTimeEq for Padded {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// Sent back by Microsoft as registered with the subscription.
pub(super) const WEBHOOK_AUTH_ID: HeaderName = HeaderName::from_static("webhook-authid");

/// 16 hexadecimal digits are 64 bits: too many to guess over a network.
pub const MIN_AUTH_ID: usize = 16;

/// The longest auth id that can match; a longer one would not fit the headers of some proxies.
pub const MAX_AUTH_ID: usize = 1024;

#[cfg(test)]
mod tests {
    use std::{fs, hint::black_box, time::Duration};

    use tokio::time::Instant;

    use super::*;

    fn time_of(sent: &[u8], secret: &[u8]) -> Duration {
        let start = Instant::now();
        for _ in 0..20 {
            black_box(equal(black_box(sent), black_box(secret)));
        }
        start.elapsed()
    }

    /// The time of a comparison cannot be measured finely enough to find every other way of
    /// comparing; that there is no other way can be checked.
    #[test]
    fn what_is_compared_has_no_comparison_that_ends_early() {
        struct Of<T>(std::marker::PhantomData<T>);
        // Found only where the one below is not.
        trait Otherwise {
            const COMPARED_EARLY: bool = false;
        }
        impl<T> Otherwise for T {}
        impl<T: PartialEq> Of<T> {
            const COMPARED_EARLY: bool = true;
        }
        let (padded, bytes) = (Of::<Padded>::COMPARED_EARLY, Of::<[u8; 1]>::COMPARED_EARLY);
        assert_eq!((padded, bytes), (false, true));
    }

    /// The least time of each, because whatever disturbs one makes it longer, and as many tries as
    /// it takes: those that differ never come to the same.
    #[tokio::test]
    async fn the_time_of_a_wrong_auth_id_does_not_tell_how_much_of_it_is_right() {
        let secret = [b'x'; MAX_AUTH_ID];
        let wrong_at = |at: usize| {
            let mut sent = secret;
            sent[at] = b'y';
            sent
        };
        let wrong = [0, 1, 15, MAX_AUTH_ID / 2, MAX_AUTH_ID - 1].map(wrong_at);
        let sent: Vec<&[u8; MAX_AUTH_ID]> = wrong.iter().chain([&secret, &[b'y'; _]]).collect();
        let mut least = vec![Duration::MAX; sent.len()];
        let mut ratio = f64::MAX;
        for _ in 0..5_000 {
            for (least, sent) in least.iter_mut().zip(&sent) {
                *least = time_of(*sent, &secret).min(*least);
            }
            let (longest, shortest) = (least.iter().max().unwrap(), least.iter().min().unwrap());
            ratio = longest.as_secs_f64() / shortest.as_secs_f64();
            if ratio < 1.05 {
                return;
            }
        }
        panic!("one takes {ratio} times as long as another: {least:?}");
    }

    /// Nor how long the right one is: whoever sends less is compared as long.
    #[tokio::test]
    async fn the_time_of_a_short_auth_id_is_that_of_a_long_one() {
        let secret = [b'x'; MAX_AUTH_ID];
        for sent in [&b""[..], b"x"] {
            let tries = || (0..50).map(|_| (time_of(sent, &secret), time_of(&secret, &secret)));
            let short = tries().map(|(short, _)| short).min().unwrap();
            let long = tries().map(|(_, long)| long).min().unwrap();
            let ratio = short.as_secs_f64() / long.as_secs_f64();
            assert!((0.4..2.5).contains(&ratio), "{ratio} of the time of the right one");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ids_that_changed_together_are_seen_together() {
        let folder = tempfile::tempdir().unwrap();
        let [current, previous] = ["current", "previous"].map(|name| folder.path().join(name));
        fs::write(&current, "the-second-auth-id").unwrap();
        fs::write(&previous, "the-first-auth-id").unwrap();
        let files = [&current, &previous].map(|path| Secret::file(path.clone()));
        let ids = AuthIds::new(files[0].clone(), Some(files[1].clone()), MIN_AUTH_ID);
        let check = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(WEBHOOK_AUTH_ID, id.parse().unwrap());
            ids.check(&headers).is_ok()
        };
        files[0].current().unwrap();
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(check("the-first-auth-id") && check("the-second-auth-id"));
        fs::write(&previous, "the-second-auth-id").unwrap();
        fs::write(&current, "the-third-auth-id").unwrap();
        // Now it is time to look at the current one again, and not yet at the other.
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(check("the-second-auth-id") && check("the-third-auth-id"));
        assert!(!check("the-first-auth-id"));
    }

    #[test]
    fn only_the_same_text_is_equal() {
        let long = [b'x'; MAX_AUTH_ID + 1];
        let cases: [(&[u8], &[u8], bool); 9] = [
            (b"0123456789abcdef", b"0123456789abcdef", true),
            (b"0123456789abcdeF", b"0123456789abcdef", false),
            (b"0123456789abcde", b"0123456789abcdef", false),
            (b"0123456789abcdef0", b"0123456789abcdef", false),
            (b"", b"0123456789abcdef", false),
            // Padding is not content.
            (b"0123456789abcdef\0", b"0123456789abcdef", false),
            (&long[..MAX_AUTH_ID], &long[..MAX_AUTH_ID], true),
            // Beyond the longest nothing is compared, so nothing may match.
            (&long, &long, false),
            (&long, &long[..MAX_AUTH_ID], false),
        ];
        for (sent, secret, expected) in cases {
            assert_eq!(bool::from(equal(sent, secret)), expected, "{sent:?}");
        }
    }
}
