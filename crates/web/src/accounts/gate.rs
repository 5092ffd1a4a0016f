//! Who sends a request: a password or a token, checked before anything of a body is read.
//!
//! A password costs 16 MiB and tens of milliseconds, so that only a few are checked at once, off the async threads, and
//! whoever guesses has to wait. An unknown user takes as long as a wrong password.

use super::password::StoredPassword;
use super::token::TokenSecret;
use crate::app::App;
use crate::http::Refusal;
use crate::ingest::Sender;
use crate::limits::{
    GUESSERS_MAX, PASSWORDS_AT_ONCE_MAX, PASSWORDS_WAITING_MAX, PASSWORDS_WRONG_MAX, PASSWORDS_WRONG_PAUSE,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use builder_model::Timestamp;
use http::{HeaderMap, header};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;

/// Tokens are noted as used at most this often, in milliseconds, so that not every request writes.
const USED_EVERY_MILLISECONDS: i64 = 60_000;

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
        let user = String::from_utf8(user.to_vec()).ok()?;
        let password = password.get(1..)?.to_vec();
        let token = std::str::from_utf8(&password).ok().and_then(TokenSecret::parse);
        Some(token.map_or(Self::Password { user, password }, Self::Token))
    }
}

/// Where a guess came from, and at whom it was aimed.
type Guess = (Option<IpAddr>, String);

/// Lets senders in.
#[derive(Debug)]
pub(crate) struct Gate {
    checking: Semaphore,
    waiting: Semaphore,
    wrong: Mutex<HashMap<Guess, Wrong>>,
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
        let guess = (peer, user.clone());
        if let Some(seconds) = self.pause(&guess, Instant::now()) {
            return Err(Refusal::TooMany(seconds));
        }
        let _place = self.waiting.try_acquire().map_err(|_| Refusal::Busy(1))?;
        let _turn = self.checking.acquire().await.map_err(|_| Refusal::Broken)?;
        // Others of his may have been found wrong meanwhile.
        if let Some(seconds) = self.pause(&guess, Instant::now()) {
            return Err(Refusal::TooMany(seconds));
        }
        let app = app.clone();
        let result = blocking(move || sender_of_password(&app, &user, &password)).await;
        match &result {
            Ok(_) => self.forget(&guess),
            Err(Refusal::Unauthorized) => self.note(guess, Instant::now()),
            // What went wrong here says nothing about the password.
            Err(_) => {}
        }
        result
    }

    /// For how many seconds more this guesser has to wait.
    fn pause(&self, guess: &Guess, now: Instant) -> Option<u64> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let Wrong { count, last } = *wrong.get(guess)?;
        let left = PASSWORDS_WRONG_PAUSE.checked_sub(now.duration_since(last)).filter(|left| !left.is_zero())?;
        (count >= PASSWORDS_WRONG_MAX).then(|| left.as_secs() + 1)
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

fn sender_of_password(app: &App, user: &str, password: &[u8]) -> Result<Sender, Refusal> {
    let text = format!("SELECT {}, id, restricted FROM user WHERE username = ?1", StoredPassword::COLUMNS);
    let found = app.read(|connection| {
        let row = connection
            .prepare_cached(&text)?
            .query_row([user], |row| Ok((StoredPassword::from_row(row, 0)?, row.get(5)?, row.get(6)?)));
        row.optional()
    })?;
    let (stored, sender) = match found {
        Some((stored, user_row, restricted)) => {
            (stored, Some(Sender { user: user_row, name: user.to_owned(), restricted, only_job: None }))
        }
        None => (StoredPassword::of_nobody(), None),
    };
    let is_right = stored.verify(password);
    sender.filter(|_| is_right).ok_or(Refusal::Unauthorized)
}

fn sender_of_token(app: &App, secret: &TokenSecret) -> Result<Sender, Refusal> {
    let now = Timestamp::from(app.now()).milliseconds();
    let (token, used, sender) =
        app.read(|connection| token_row(connection, secret, now))?.ok_or(Refusal::Unauthorized)?;
    if used.is_none_or(|used| now - used > USED_EVERY_MILLISECONDS) {
        app.database().write(|transaction| {
            let text = "UPDATE repository_token SET used = ?2 WHERE id = ?1";
            transaction.execute(text, [token, now]).map_err(|error| app.database().failed(error))
        })?;
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
    let text = "SELECT t.id, t.used, u.id, u.username, u.restricted, t.job FROM repository_token t
        JOIN user u ON u.id = t.user
        WHERE t.sha256 = ?1 AND (t.expires IS NULL OR t.expires > ?2) AND length(u.password_hash) > 0";
    let row = connection.prepare_cached(text)?.query_row(params![secret.digest(), now], |row| {
        let sender = Sender { user: row.get(2)?, name: row.get(3)?, restricted: row.get(4)?, only_job: row.get(5)? };
        Ok((row.get(0)?, row.get(1)?, sender))
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
        for bad in ["Basic", "Basic !!", "Basic  dXNlcjpw", "Digest dXNlcjpw", "Bearer short", ""] {
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
