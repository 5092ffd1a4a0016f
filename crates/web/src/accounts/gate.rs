//! Who sends a request: a password or a token, checked before anything of a body is read.
//!
//! A password costs 16 MiB and tens of milliseconds, so that only a few are checked at once, off the async threads, and
//! whoever guesses has to wait: for one user, and from one address for all users together. An unknown user takes as long
//! as a wrong password. Whoever had the right password a while ago is known by it, and neither waits for guessers that
//! come from the same address nor costs anything. Tokens are 32 random bytes: nobody guesses one.

use super::password::StoredPassword;
use super::scope::Scope;
use super::token::TokenSecret;
use crate::app::App;
use crate::http::Refusal;
use crate::ingest::Sender;
use crate::limits::{
    GUESSERS_MAX, NAME_BYTES_MAX, PASSWORDS_AT_ONCE_MAX, PASSWORDS_WAITING_MAX, PASSWORDS_WRONG_MAX,
    PASSWORDS_WRONG_OF_ADDRESS_MAX, PASSWORDS_WRONG_PAUSE,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use builder_model::Timestamp;
use http::{HeaderMap, header};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

/// Tokens are noted as used at most this often, in milliseconds, so that not every request writes.
const USED_EVERY_MILLISECONDS: i64 = 3_600_000;

/// What a request says of its sender.
enum Credentials {
    Password { user: String, password: Vec<u8> },
    Token(TokenSecret),
}

impl Credentials {
    /// `Basic` with a user and a password, which may be a token; or `Bearer` with a token. None for anything else.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Token(TokenSecret::parse(value)?));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD.decode(value).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = decoded.split_at(colon);
        // Nobody has a longer name, and what is guessed is kept for a while.
        let user = String::from_utf8(user.to_vec()).ok().filter(|user| user.len() <= NAME_BYTES_MAX)?;
        let password = password.get(1..)?.to_vec();
        let token = std::str::from_utf8(&password).ok().and_then(TokenSecret::parse);
        Some(token.map_or(Self::Password { user, password }, Self::Token))
    }
}

/// Where a guess came from, and at whom it was aimed.
type Guess = (Option<IpAddr>, String);

/// What a guess of one user's password is, for itself and with those of all other users.
fn guesses(peer: Option<IpAddr>, user: &str) -> [Guess; 2] {
    let from = peer.map(network);
    [(from, user.to_owned()), (from, String::new())]
}

/// The address that counts as one. Who has one of IPv6 has all of its network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// Lets senders in.
#[derive(Debug)]
pub(crate) struct Gate {
    checking: Semaphore,
    waiting: Semaphore,
    wrong: Mutex<HashMap<Guess, Wrong>>,
    right: Mutex<HashMap<String, Right>>,
    /// Makes what is kept of right passwords worth nothing outside this process.
    key: OnceLock<[u8; 32]>,
}

/// What is kept of a password that was right.
#[derive(Debug, Clone)]
struct Right {
    digest: [u8; 32],
    /// The hash in the row that it was right for: another password in the row is another matter.
    row_hash: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            checking: Semaphore::new(PASSWORDS_AT_ONCE_MAX),
            waiting: Semaphore::new(PASSWORDS_WAITING_MAX),
            wrong: Mutex::default(),
            right: Mutex::default(),
            key: OnceLock::new(),
        }
    }
}

impl Gate {
    /// Who sends this request; a refusal for anybody unknown.
    pub(crate) async fn sender(&self, app: &App, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Sender, Refusal> {
        let result = match Credentials::of(headers).ok_or(Refusal::Unauthorized)? {
            Credentials::Token(secret) => {
                let app = app.clone();
                blocking(move || sender_of_token(&app, &secret)).await
            }
            Credentials::Password { user, password } => self.sender_of_password(app, user, password, peer).await,
        };
        if matches!(result, Err(Refusal::Unauthorized)) {
            app.metrics().wrong_password();
        }
        result
    }

    async fn sender_of_password(
        &self,
        app: &App,
        user: String,
        password: Vec<u8>,
        peer: Option<IpAddr>,
    ) -> Result<Sender, Refusal> {
        let digest = self.digest(&user, &password)?;
        if let Some(sender) = self.known(app, &user, digest).await? {
            return Ok(sender);
        }
        let guesses = guesses(peer, &user);
        self.may_try(&guesses)?;
        let _place = self.waiting.try_acquire().map_err(|_| Refusal::Busy(1))?;
        let _turn = self.checking.acquire().await.map_err(|_| Refusal::Broken)?;
        // Others of his may have been found wrong meanwhile.
        self.may_try(&guesses)?;
        let (app, name) = (app.clone(), user.clone());
        match blocking(move || sender_of_password(&app, &name, &password)).await {
            Ok((sender, row_hash)) => {
                self.forget(&guesses[0]);
                self.remember(user, Right { digest, row_hash });
                Ok(sender)
            }
            Err(Refusal::Unauthorized) => {
                guesses.into_iter().for_each(|guess| self.note(guess, Instant::now()));
                Err(Refusal::Unauthorized)
            }
            // What went wrong here says nothing about the password.
            Err(refusal) => Err(refusal),
        }
    }

    /// What is kept of a password.
    fn digest(&self, user: &str, password: &[u8]) -> Result<[u8; 32], Refusal> {
        let key = match self.key.get() {
            Some(key) => *key,
            None => {
                let fresh = crate::depot::random()?;
                *self.key.get_or_init(|| fresh)
            }
        };
        let mut hash = Sha256::new_with_prefix(key);
        hash.update((user.len() as u64).to_be_bytes());
        hash.update(user);
        hash.update(password);
        Ok(hash.finalize().into())
    }

    /// The user, when this password was right before, and still is.
    async fn known(&self, app: &App, user: &str, digest: [u8; 32]) -> Result<Option<Sender>, Refusal> {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned();
        let Some(right) = right.filter(|right| right.digest.ct_eq(&digest).into()) else { return Ok(None) };
        let (app, user) = (app.clone(), user.to_owned());
        blocking(move || {
            let found = password_row(&app, &user)?;
            Ok(found.filter(|(stored, _)| stored.hash == right.row_hash).map(|(_, sender)| sender))
        })
        .await
    }

    fn remember(&self, user: String, right: Right) {
        let mut all = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= GUESSERS_MAX {
            all.clear();
        }
        all.insert(user, right);
    }

    /// A refusal when there were too many guesses of any of these kinds.
    fn may_try(&self, guesses: &[Guess]) -> Result<(), Refusal> {
        let now = Instant::now();
        match guesses.iter().filter_map(|guess| self.pause(guess, now)).max() {
            Some(seconds) => Err(Refusal::TooMany(seconds)),
            None => Ok(()),
        }
    }

    /// For how many seconds more this guesser has to wait.
    fn pause(&self, guess: &Guess, now: Instant) -> Option<u64> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let Wrong { count, last } = *wrong.get(guess)?;
        let left = PASSWORDS_WRONG_PAUSE.checked_sub(now.duration_since(last)).filter(|left| !left.is_zero())?;
        let most = if guess.1.is_empty() { PASSWORDS_WRONG_OF_ADDRESS_MAX } else { PASSWORDS_WRONG_MAX };
        (count >= most).then(|| left.as_secs() + 1)
    }

    fn note(&self, guess: Guess, now: Instant) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= GUESSERS_MAX {
            wrong.retain(|_, wrong| now.duration_since(wrong.last) < PASSWORDS_WRONG_PAUSE);
        }
        if wrong.len() >= GUESSERS_MAX {
            // So many at once are one attack; it starts over with all of them.
            wrong.clear();
        }
        let entry = wrong.entry(guess).or_insert(Wrong { count: 0, last: now });
        let is_over = now.duration_since(entry.last) >= PASSWORDS_WRONG_PAUSE;
        *entry = Wrong { count: if is_over { 1 } else { entry.count + 1 }, last: now };
    }

    fn forget(&self, guess: &Guess) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).remove(guess);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!("a check of credentials ended in a panic: {error}");
        Err(Refusal::Broken)
    })
}

/// A user, with what tells whether a password is right.
fn password_row(app: &App, user: &str) -> Result<Option<(StoredPassword, Sender)>, Refusal> {
    let text = format!("SELECT {}, id, restricted FROM user WHERE username = ?1", StoredPassword::COLUMNS);
    let found = app.read(|connection| {
        let row = connection.prepare_cached(&text)?.query_row([user], |row| {
            let sender =
                Sender { user: row.get(5)?, name: user.to_owned(), restricted: row.get(6)?, scope: Scope::default() };
            Ok((StoredPassword::from_row(row, 0)?, sender))
        });
        row.optional()
    })?;
    Ok(found)
}

/// The user whose password this is, and the hash in his row.
fn sender_of_password(app: &App, user: &str, password: &[u8]) -> Result<(Sender, Vec<u8>), Refusal> {
    let (stored, sender) = match password_row(app, user)? {
        Some((stored, sender)) => (stored, Some(sender)),
        None => (StoredPassword::of_nobody(), None),
    };
    let is_right = stored.verify(password);
    sender.filter(|_| is_right).map(|sender| (sender, stored.hash)).ok_or(Refusal::Unauthorized)
}

fn sender_of_token(app: &App, secret: &TokenSecret) -> Result<Sender, Refusal> {
    let now = Timestamp::from(app.now()).milliseconds();
    let (token, used, sender) =
        app.read(|connection| token_row(connection, secret, now))?.ok_or(Refusal::Unauthorized)?;
    if used.is_none_or(|used| now - used > USED_EVERY_MILLISECONDS) {
        let noted = app.database().write(|transaction| {
            let text = "UPDATE repository_token SET used = ?2 WHERE id = ?1";
            transaction.execute(text, [token, now]).map_err(|error| app.database().failed(error))
        });
        // The token is good, whether that can be written down now or not.
        if let Err(error) = noted {
            tracing::warn!("cannot note that a token was used: {error}");
        }
    }
    Ok(sender)
}

/// A token that holds now: its row, when it was used last, and whose it is.
fn token_row(
    connection: &Connection,
    secret: &TokenSecret,
    now: i64,
) -> rusqlite::Result<Option<(i64, Option<i64>, Sender)>> {
    // Looked up by its digest, which tells nobody who guesses how near he is.
    let text = "SELECT t.id, t.used, u.id, u.username, u.restricted FROM repository_token t
        JOIN user u ON u.id = t.user
        WHERE t.sha256 = ?1 AND (t.expires IS NULL OR t.expires > ?2) AND length(u.password_hash) > 0";
    let row = connection.prepare_cached(text)?.query_row(params![secret.digest(), now], |row| {
        let token: i64 = row.get(0)?;
        let scope = Scope::read(connection, token)?;
        let sender = Sender { user: row.get(2)?, name: row.get(3)?, restricted: row.get(4)?, scope };
        Ok((token, row.get(1)?, sender))
    });
    row.optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn credentials(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        Credentials::of(&headers).map(|credentials| match credentials {
            Credentials::Password { user, password } => format!("{user} {}", String::from_utf8_lossy(&password)),
            Credentials::Token(_) => "token".into(),
        })
    }

    #[test]
    fn credentials_are_basic_or_bearer() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(credentials(&basic("user:pass:word")).as_deref(), Some("user pass:word"));
        assert_eq!(credentials(&basic("user")), None);
        let long = basic(&format!("{}:x", "u".repeat(NAME_BYTES_MAX + 1)));
        for bad in ["Basic", "Basic !!", "Basic  dXNlcjpw", "Digest dXNlcjpw", "Bearer short", "", &long] {
            assert_eq!(credentials(bad), None, "{bad:?}");
        }
        let TokenText(token) = TokenText::new();
        assert_eq!(credentials(&format!("Bearer {token}")).as_deref(), Some("token"));
        assert_eq!(credentials(&basic(&format!("anybody:{token}"))).as_deref(), Some("token"));
    }

    struct TokenText(String);

    impl TokenText {
        fn new() -> Self {
            Self(TokenSecret::generate().unwrap().to_string())
        }
    }

    #[test]
    fn a_network_of_ipv6_guesses_as_one() {
        let of = |address: &str| guesses(Some(address.parse().unwrap()), "farm");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("192.0.2.1")[0], guesses(None, "farm")[0]);
    }

    #[test]
    fn whoever_guesses_has_to_wait() {
        let (gate, now) = (Gate::default(), Instant::now());
        let guess = |user: &str| (None, user.to_owned());
        for _ in 0..PASSWORDS_WRONG_MAX {
            assert_eq!(gate.pause(&guess("a"), now), None);
            gate.note(guess("a"), now);
        }
        assert!(gate.pause(&guess("a"), now).is_some_and(|seconds| seconds > 1));
        assert_eq!(gate.pause(&guess("b"), now), None, "others do not");
        let later = now + PASSWORDS_WRONG_PAUSE + Duration::from_secs(1);
        assert_eq!(gate.pause(&guess("a"), later), None);
        gate.note(guess("a"), later);
        assert_eq!(gate.pause(&guess("a"), later), None, "counted from one again");
        for number in 0..GUESSERS_MAX * 2 {
            gate.note(guess(&number.to_string()), now);
        }
        assert!(gate.wrong.lock().unwrap().len() <= GUESSERS_MAX);
    }
}
