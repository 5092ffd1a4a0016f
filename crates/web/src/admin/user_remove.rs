//! `user-remove`.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::{Folder, user};
use crate::admin::screen::{Screen, count_text};
use anyhow::bail;
use serde_json::json;

/// Remove a user who never uploaded, with rights and tokens
///
/// A build names who uploaded it: use `user-disable` for a user who did. In JSON: `name`.
#[derive(Debug, clap::Args)]
pub(crate) struct UserRemove {
    /// The name of the user
    username: String,
}

impl UserRemove {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let name = &self.username;
        Folder::open(common)?.write(|transaction| {
            let id = user(transaction, name)?;
            let builds: u64 =
                transaction.query_row("SELECT count(*) FROM build WHERE user = ?1", [id], |row| row.get(0))?;
            if builds > 0 {
                let builds = count_text(builds, "build");
                bail!("{name:?} uploaded {builds}, which name the user; nothing was changed\nhint: `builder-db user-disable {name}` takes all rights away");
            }
            transaction.execute("DELETE FROM access_list WHERE user = ?1", [id])?;
            transaction.execute("DELETE FROM repository_token WHERE user = ?1", [id])?;
            transaction.execute("DELETE FROM user WHERE id = ?1", [id])?;
            Ok(())
        })?;
        screen.done(&format!("removed the user {name}"), &json!({ "name": name }))?;
        Ok(Exit::Success)
    }
}
