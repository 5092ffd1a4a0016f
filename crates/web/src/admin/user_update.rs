//! `user-update`.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::{Folder, Scrypt, ask_password, user};
use crate::admin::screen::Screen;
use rusqlite::params;
use serde_json::json;

/// Set another password of a user
///
/// Whether the user is restricted stays as it is, unless one of the flags says otherwise.
///
/// In JSON: `name` and `restricted`.
#[derive(Debug, clap::Args)]
pub(crate) struct UserUpdate {
    /// The name of the user
    username: String,
    /// From now on the user may upload for all jobs, also new ones
    #[arg(long)]
    unrestricted: bool,
    /// From now on the user may upload only for jobs that `access-add` names
    #[arg(long, conflicts_with = "unrestricted")]
    restricted: bool,
    /// Ask for no password: only one of the flags above is meant
    #[arg(long, conflicts_with_all = ["scrypt_n", "scrypt_r", "scrypt_p"])]
    keep_password: bool,
    #[command(flatten)]
    scrypt: Scrypt,
}

impl UserUpdate {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let params = self.scrypt.params()?;
        let folder = Folder::open(common)?;
        // Whoever mistypes a name learns it before choosing a password.
        folder.write(|transaction| user(transaction, &self.username))?;
        let stored = if self.keep_password { None } else { Some(ask_password()?.hash(params)?) };
        let restricted = folder.write(|transaction| {
            let id = user(transaction, &self.username)?;
            if let Some(stored) = stored {
                transaction.execute(
                    "UPDATE user SET password_hash = ?2, password_salt = ?3, scrypt_n = ?4, scrypt_r = ?5, scrypt_p = ?6
                     WHERE id = ?1",
                    params![id, stored.hash, stored.salt, stored.n, stored.r, stored.p],
                )?;
            }
            if self.restricted || self.unrestricted {
                transaction.execute("UPDATE user SET restricted = ?2 WHERE id = ?1", params![id, self.restricted])?;
            }
            Ok(transaction.query_row("SELECT restricted FROM user WHERE id = ?1", [id], |row| row.get::<_, bool>(0))?)
        })?;
        let kind = if restricted { "restricted" } else { "unrestricted" };
        screen.done(
            &format!("updated the {kind} user {}", self.username),
            &json!({ "name": self.username, "restricted": restricted }),
        )?;
        Ok(Exit::Success)
    }
}
