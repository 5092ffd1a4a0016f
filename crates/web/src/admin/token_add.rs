//! `token-add`.

use crate::accounts::token::TokenSecret;
use crate::admin::Exit;
use crate::admin::args::{Common, Format, Span};
use crate::admin::folder::{Folder, check_word, job, now, user};
use crate::admin::screen::Screen;
use anyhow::bail;
use rusqlite::{Connection, params};
use serde_json::json;

/// Make a token, with which a program uploads in the name of a user
///
/// Its secret is printed once, alone on a line, and kept nowhere: only its SHA-256 is. It allows what the user may, or
/// with --job only that job of it.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenAdd {
    /// The name of the user
    username: String,
    /// What to call the token, such as the host that uses it
    name: String,
    /// The only job that it may upload for [default: all that the user may]
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// How long it works, such as 12h, 90d or 52w [default: until it is removed]
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<Span>,
}

impl TokenAdd {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        check_word("name of a token", &self.name)?;
        if let Some(job) = &self.job {
            crate::Name::job(job.as_bytes())?;
        }
        let secret = TokenSecret::generate().map_err(|error| anyhow::anyhow!("cannot make a secret: {error}"))?;
        let created = now();
        let life = self.expires_in.map(|span| i64::try_from(span.0.as_millis())).transpose()?;
        let expires = life.map(|life| created.plus_milliseconds(life));
        Folder::open(common)?.write(|transaction| {
            let id = user(transaction, &self.username)?;
            self.check_right(transaction, id)?;
            let added = transaction.execute(
                "INSERT INTO repository_token(user, name, sha256, job, created, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(user, name) DO NOTHING",
                params![
                    id,
                    self.name,
                    secret.digest(),
                    self.job,
                    created.milliseconds(),
                    expires.map(|time| time.milliseconds())
                ],
            )?;
            if added == 0 {
                let Self { username, name, .. } = &self;
                bail!("{username:?} has a token {name:?} already\nhint: `builder-db token-remove` it first, or choose another name");
            }
            Ok(())
        })?;
        match screen.format() {
            Format::Text => screen.line(&secret.to_string())?,
            Format::Json => screen.json(&json!({
                "user": self.username,
                "name": self.name,
                "job": self.job,
                "expires": expires.map(|time| time.to_string()),
                "token": secret.to_string(),
            }))?,
        }
        Ok(Exit::Success)
    }

    /// A token that could do nothing is a mistake.
    fn check_right(&self, transaction: &Connection, user: i64) -> anyhow::Result<()> {
        let restricted =
            transaction.query_row("SELECT restricted FROM user WHERE id = ?1", [user], |row| row.get::<_, bool>(0))?;
        if let (true, Some(name)) = (restricted, &self.job) {
            let ids = [user, job(transaction, name)?];
            let may = "SELECT EXISTS(SELECT 1 FROM access_list WHERE user = ?1 AND job = ?2)";
            if !transaction.query_row(may, ids, |row| row.get::<_, bool>(0))? {
                let user = &self.username;
                bail!(
                    "{user:?} may not upload for {name:?}, and so neither may a token\nhint: `builder-db access-add {user} {name}` first"
                );
            }
        }
        Ok(())
    }
}
