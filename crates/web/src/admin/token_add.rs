//! `token-add`.

use crate::accounts::scope::Scope;
use crate::accounts::token::TokenSecret;
use crate::admin::Exit;
use crate::admin::args::{Common, Format, Span};
use crate::admin::folder::{Folder, check_word, is_disabled, is_restricted, job, now, user};
use crate::admin::screen::Screen;
use anyhow::bail;
use rusqlite::{Connection, params};
use serde_json::json;

/// Make a token, with which a program uploads in the name of a user
///
/// Its secret is printed once, alone on a line, and kept nowhere: only its SHA-256 is. It allows what the user may, or
/// only the jobs and platforms of it that are named.
///
/// In JSON: `user`, `name`, `jobs`, `platforms` (without names: all), `expires`, null for never, and `token`, the secret.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenAdd {
    /// The name of the user
    username: String,
    /// What to call the token, such as the host that uses it
    name: String,
    /// A job that it may upload for; may be given several times [default: all that the user may]
    #[arg(long = "job", value_name = "JOB")]
    jobs: Vec<String>,
    /// A platform that it may upload for; may be given several times [default: all]
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<String>,
    /// How long it works, such as 12h, 90d or 52w [default: until it is removed]
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<Span>,
}

impl TokenAdd {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        check_word("name of a token", &self.name)?;
        self.jobs.iter().try_for_each(|job| crate::Name::job(job.as_bytes()).map(drop))?;
        self.platforms.iter().try_for_each(|platform| crate::Name::platform(platform.as_bytes()).map(drop))?;
        let scope = Scope { jobs: self.jobs.clone(), platforms: self.platforms.clone() };
        let secret = TokenSecret::generate().map_err(|error| anyhow::anyhow!("cannot make a secret: {error}"))?;
        let created = now();
        let life = self.expires_in.map(|span| i64::try_from(span.0.as_millis())).transpose()?;
        let expires = life.map(|life| created.plus_milliseconds(life));
        let unknown = Folder::open(common)?.write(|transaction| {
            let id = user(transaction, &self.username)?;
            self.check_right(transaction, id)?;
            let added = transaction.execute(
                "INSERT INTO repository_token(user, name, sha256, created, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(user, name) DO NOTHING",
                params![
                    id,
                    self.name,
                    secret.digest(),
                    created.milliseconds(),
                    expires.map(|time| time.milliseconds())
                ],
            )?;
            if added == 0 {
                let Self { username, name, .. } = &self;
                bail!("{username:?} has a token {name:?} already\nhint: `builder-db token-remove` it first, or choose another name");
            }
            scope.write(transaction, transaction.last_insert_rowid())?;
            self.unknown(transaction)
        })?;
        // They may come with the first upload, and so may a slip of the pen.
        unknown.iter().for_each(|what| screen.note(&format!("there is no {what} yet")));
        match screen.format() {
            Format::Text => screen.line(&secret.to_string())?,
            Format::Json => screen.json(&json!({
                "user": self.username,
                "name": self.name,
                "jobs": scope.jobs,
                "platforms": scope.platforms,
                "expires": expires.map(|time| time.to_string()),
                "token": secret.to_string(),
            }))?,
        }
        Ok(Exit::Success)
    }

    /// Jobs and platforms that no build is of.
    fn unknown(&self, transaction: &Connection) -> anyhow::Result<Vec<String>> {
        let mut unknown = Vec::new();
        let kinds = [
            ("job", &self.jobs, "SELECT 1 FROM job WHERE name = ?1"),
            ("platform", &self.platforms, "SELECT 1 FROM build WHERE platform = ?1"),
        ];
        for (kind, names, known) in kinds {
            for name in names {
                if !transaction.prepare_cached(known)?.exists([name])? {
                    unknown.push(format!("{kind} {name:?}"));
                }
            }
        }
        Ok(unknown)
    }

    /// A token that could do nothing is a mistake.
    fn check_right(&self, transaction: &Connection, user: i64) -> anyhow::Result<()> {
        if is_disabled(transaction, user)? {
            let user = &self.username;
            bail!(
                "{user:?} is disabled, and so would a token be\nhint: `builder-db user-update {user}` sets a password first"
            );
        }
        let restricted = is_restricted(transaction, user)?;
        for name in self.jobs.iter().filter(|_| restricted) {
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
