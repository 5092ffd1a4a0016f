//! Accounts of programs on the same machine: the server in the process of the repository (`builder up` and `builder
//! demo`), and `builder-web mirror`.

use super::password::{Password, PasswordError, ScryptParams, StoredPassword};
use super::token::TokenSecret;
use crate::accounts::scope::Scope;
use crate::app::App;
use crate::error::WebError;
use crate::ingest::Sender;
use builder_model::Timestamp;
use rusqlite::params;

/// The name of the user, and of its token.
const USER: &str = "builder-up";

/// The user whose builds a mirror copied.
const MIRROR: &str = "mirror";

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The database.
    #[error(transparent)]
    Own(#[from] WebError),
    /// No randomness.
    #[error("cannot make a token: {0}")]
    Random(getrandom::Error),
    /// No password.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// The URL that a server of this process uploads to: a user who may upload everything, with a new token. Tokens of
/// earlier starts hold no more.
pub fn upload_url(app: &App, address: std::net::SocketAddr) -> Result<String, LocalError> {
    let (token, password) = (TokenSecret::generate().map_err(LocalError::Random)?, TokenSecret::generate());
    // Nobody knows the password; only a user who has one is not disabled.
    let password = Password::new(password.map_err(LocalError::Random)?.to_string())?;
    let StoredPassword { hash, salt, n, r, p } = password.hash(ScryptParams::default())?;
    let now = Timestamp::from(app.now()).milliseconds();
    app.database().write(|transaction| {
        let failed = |error| app.database().failed(error);
        let user = "INSERT OR IGNORE INTO user(username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p,
            restricted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)";
        transaction.execute(user, params![USER, hash, salt, n, r, p]).map_err(failed)?;
        let token_row = "INSERT OR REPLACE INTO repository_token(user, name, sha256, created)
            SELECT id, ?1, ?2, ?3 FROM user WHERE username = ?1";
        transaction.execute(token_row, params![USER, token.digest(), now]).map_err(failed)
    })?;
    Ok(format!("http://{USER}:{token}@{address}/upload"))
}

/// The sender of builds that are copied from elsewhere: a user without a password, who cannot come in by any other way.
pub(crate) fn mirror_sender(app: &App) -> Result<Sender, WebError> {
    let user = app.database().write(|transaction| {
        let insert = "INSERT OR IGNORE INTO user(username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p,
            restricted) VALUES (?1, x'', x'', 16384, 8, 1, 1)";
        let id = transaction
            .execute(insert, [MIRROR])
            .and_then(|_| transaction.query_row("SELECT id FROM user WHERE username = ?1", [MIRROR], |row| row.get(0)));
        id.map_err(|error| app.database().failed(error))
    })?;
    Ok(Sender { user, name: MIRROR.into(), restricted: false, scope: Scope::default() })
}
