//! `user-list`.

use crate::admin::Exit;
use crate::admin::args::{Common, Format};
use crate::admin::folder::Folder;
use crate::admin::screen::Screen;
use rusqlite::{Connection, Row};
use serde_json::json;

/// List the users by name
///
/// In JSON: `users`, a list of `name`, `restricted`, `disabled`, `builds`, `tokens` and `jobs`, those that `access-add`
/// named.
#[derive(Debug, clap::Args)]
pub(crate) struct UserList {
    /// Show also rights, tokens and the number of builds
    #[arg(long)]
    long: bool,
}

struct User {
    id: i64,
    name: String,
    restricted: bool,
    disabled: bool,
    builds: u64,
    tokens: u64,
    jobs: Vec<String>,
}

impl UserList {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let users = Folder::open(common)?.read(read)?;
        match screen.format() {
            Format::Json => {
                let users = users.iter().map(|user| {
                    json!({
                        "name": user.name,
                        "restricted": user.restricted,
                        "disabled": user.disabled,
                        "builds": user.builds,
                        "tokens": user.tokens,
                        "jobs": user.jobs,
                    })
                });
                screen.json(&json!({ "users": users.collect::<Vec<_>>() }))?;
            }
            Format::Text if self.long => {
                let rows: Vec<Vec<String>> = users.iter().map(row).collect();
                screen.table(&["NAME", "STATE", "BUILDS", "TOKENS", "JOBS"], &rows)?;
            }
            Format::Text => users.iter().try_for_each(|user| screen.line(&user.name))?,
        }
        Ok(Exit::Success)
    }
}

fn row(user: &User) -> Vec<String> {
    let state = match (user.disabled, user.restricted) {
        (true, _) => "disabled",
        (false, true) => "restricted",
        (false, false) => "unrestricted",
    };
    let jobs = if state == "unrestricted" { "all".to_owned() } else { user.jobs.join(", ") };
    vec![user.name.clone(), state.to_owned(), user.builds.to_string(), user.tokens.to_string(), jobs]
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<User>> {
    let user = |row: &Row<'_>| {
        Ok(User {
            id: row.get(0)?,
            name: row.get(1)?,
            restricted: row.get(2)?,
            disabled: row.get(3)?,
            builds: row.get(4)?,
            tokens: row.get(5)?,
            jobs: Vec::new(),
        })
    };
    // One pass over the builds, as there is no index by user.
    let mut users = connection
        .prepare(
            "SELECT id, username, restricted, length(password_hash) <> 32, coalesce(uploaded.builds, 0),
                 (SELECT count(*) FROM repository_token WHERE repository_token.user = user.id)
             FROM user LEFT JOIN (SELECT user AS who, count(*) AS builds FROM build GROUP BY user) AS uploaded
                 ON uploaded.who = user.id
             ORDER BY username",
        )?
        .query_map([], user)?
        .collect::<rusqlite::Result<Vec<User>>>()?;
    let mut jobs = connection.prepare(
        "SELECT name FROM access_list JOIN job ON job.id = access_list.job WHERE access_list.user = ?1 ORDER BY name",
    )?;
    for user in &mut users {
        user.jobs = jobs.query_map([user.id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    }
    Ok(users)
}
