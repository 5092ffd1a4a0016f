//! `token-list`.

use crate::accounts::scope::Scope;
use crate::admin::Exit;
use crate::admin::args::{Common, Format};
use crate::admin::folder::{Folder, now, user};
use crate::admin::screen::Screen;
use builder_model::Timestamp;
use rusqlite::Row;
use serde_json::json;

/// List tokens, without their secrets
///
/// In JSON: `tokens`, a list of `user`, `name`, `jobs`, `platforms` (without names: all), `created`, `expires`, `used` and `expired`; what is not set is
/// null.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenList {
    /// Only those of this user
    username: Option<String>,
}

struct Token {
    user: String,
    name: String,
    scope: Scope,
    created: Option<String>,
    expires: Option<String>,
    used: Option<String>,
    expired: bool,
}

impl TokenList {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let folder = Folder::open(common)?;
        if let Some(name) = &self.username {
            folder.write(|transaction| user(transaction, name))?;
        }
        let now = now().milliseconds();
        let tokens = folder.read(|connection| {
            connection
                .prepare(
                    "SELECT username, name, repository_token.id, created, expires, used FROM repository_token
                     JOIN user ON user.id = repository_token.user
                     WHERE ?1 IS NULL OR username = ?1 ORDER BY username, name",
                )?
                .query_map([&self.username], |row| token(row, Scope::read(connection, row.get(2)?)?, now))?
                .collect::<rusqlite::Result<Vec<Token>>>()
        })?;
        match screen.format() {
            Format::Json => {
                let tokens = tokens.iter().map(|token| {
                    json!({
                        "user": token.user,
                        "name": token.name,
                        "jobs": token.scope.jobs,
                        "platforms": token.scope.platforms,
                        "created": token.created,
                        "expires": token.expires,
                        "used": token.used,
                        "expired": token.expired,
                    })
                });
                screen.json(&json!({ "tokens": tokens.collect::<Vec<_>>() }))?;
            }
            Format::Text => {
                let rows: Vec<Vec<String>> = tokens.into_iter().map(row).collect();
                screen.table(&["USER", "NAME", "JOBS", "PLATFORMS", "CREATED", "EXPIRES", "LAST USED"], &rows)?;
            }
        }
        Ok(Exit::Success)
    }
}

fn token(row: &Row<'_>, scope: Scope, now: i64) -> rusqlite::Result<Token> {
    let text = |milliseconds: Option<i64>| {
        milliseconds.and_then(|time| Timestamp::from_milliseconds(time).ok()).map(|time| time.to_string())
    };
    let expires: Option<i64> = row.get(4)?;
    Ok(Token {
        user: row.get(0)?,
        name: row.get(1)?,
        scope,
        created: text(row.get(3)?),
        expires: text(expires),
        used: text(row.get(5)?),
        expired: expires.is_some_and(|expires| expires <= now),
    })
}

fn row(token: Token) -> Vec<String> {
    let or = |value: Option<String>, absent: &str| value.unwrap_or_else(|| absent.to_owned());
    let mut expires = or(token.expires, "never");
    if token.expired {
        expires.push_str(" (expired)");
    }
    let names = |names: Vec<String>| if names.is_empty() { "all".to_owned() } else { names.join(", ") };
    let (jobs, platforms) = (names(token.scope.jobs), names(token.scope.platforms));
    vec![token.user, token.name, jobs, platforms, or(token.created, "-"), expires, or(token.used, "never")]
}
