//! The account of a server that runs in the same process as the repository: `builder up` and `builder demo`.

use super::password::{Password, PasswordError, ScryptParams, StoredPassword};
use super::token::TokenSecret;
use crate::app::App;
use crate::error::WebError;
use builder_model::Timestamp;
use rusqlite::params;

/// The name of the user, and of its token.
const USER: &str = "builder-up";

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
