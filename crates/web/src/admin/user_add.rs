//! `user-add`.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::{Folder, Scrypt, ask_password, check_user_name};
use crate::admin::screen::Screen;
use anyhow::bail;
use rusqlite::{OptionalExtension, params};
use serde_json::json;

/// Add a user who may upload
///
/// The password is asked for on a terminal, and read as one line from standard input otherwise. A restricted user may
/// upload only for jobs that exist and that `access-add` names.
///
/// In JSON: `name` and `restricted`.
#[derive(Debug, clap::Args)]
pub(crate) struct UserAdd {
    /// The name of the user
    username: String,
    /// The user may upload for all jobs, also new ones
    #[arg(long)]
    unrestricted: bool,
    #[command(flatten)]
    scrypt: Scrypt,
}

impl UserAdd {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        check_user_name(&self.username)?;
        let params = self.scrypt.params()?;
        let folder = Folder::open(common)?;
        let stored = ask_password()?.hash(params)?;
        folder.write(|transaction| {
            let known: Option<i64> = transaction
                .query_row("SELECT id FROM user WHERE username = ?1", [&self.username], |row| row.get(0))
                .optional()?;
            if known.is_some() {
                bail!("there is a user {:?} already\nhint: `user-update` sets another password", self.username);
            }
            transaction.execute(
                "INSERT INTO user(username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p, restricted)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![self.username, stored.hash, stored.salt, stored.n, stored.r, stored.p, !self.unrestricted],
            )?;
            Ok(())
        })?;
        let kind = if self.unrestricted { "unrestricted" } else { "restricted" };
        screen.done(
            &format!("added the {kind} user {}", self.username),
            &json!({ "name": self.username, "restricted": !self.unrestricted }),
        )?;
        Ok(Exit::Success)
    }
}
