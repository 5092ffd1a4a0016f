//! `user-disable`.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::{Folder, user};
use crate::admin::screen::Screen;
use serde_json::json;

/// Take password, tokens and rights from a user, and keep what was uploaded
///
/// `user-update` with a new password lets the user in again. In JSON: `name`.
#[derive(Debug, clap::Args)]
pub(crate) struct UserDisable {
    /// The name of the user
    username: String,
}

impl UserDisable {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let name = &self.username;
        Folder::open(common)?.write(|transaction| {
            let id = user(transaction, name)?;
            transaction.execute("DELETE FROM access_list WHERE user = ?1", [id])?;
            transaction.execute("DELETE FROM repository_token WHERE user = ?1", [id])?;
            transaction.execute(
                "UPDATE user SET password_hash = x'', password_salt = x'', restricted = 1 WHERE id = ?1",
                [id],
            )?;
            Ok(())
        })?;
        screen.done(&format!("disabled the user {name}"), &json!({ "name": name }))?;
        Ok(Exit::Success)
    }
}
