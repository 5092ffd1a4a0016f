//! `token-remove`.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::{Folder, user};
use crate::admin::screen::Screen;
use anyhow::bail;
use rusqlite::params;
use serde_json::json;

/// Remove a token; it works no longer from then on
///
/// In JSON: `user` and `name`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenRemove {
    /// The name of the user
    username: String,
    /// What the token is called
    name: String,
}

impl TokenRemove {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let Self { username, name } = &self;
        Folder::open(common)?.write(|transaction| {
            let id = user(transaction, username)?;
            let removed =
                transaction.execute("DELETE FROM repository_token WHERE user = ?1 AND name = ?2", params![id, name])?;
            if removed == 0 {
                bail!("{username:?} has no token {name:?}\nhint: `builder-db token-list {username}` names all");
            }
            Ok(())
        })?;
        screen.done(&format!("removed the token {name} of {username}"), &json!({ "user": username, "name": name }))?;
        Ok(Exit::Success)
    }
}
