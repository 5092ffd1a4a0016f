//! `access-add` and `access-remove`: the two sides of one right.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::{Folder, is_disabled, is_restricted, job, user};
use crate::admin::screen::Screen;
use anyhow::bail;
use serde_json::json;

/// The right of a restricted user to upload for a job.
#[derive(Debug, clap::Args)]
pub(crate) struct Access {
    /// The name of the user
    username: String,
    /// The name of the job
    job: String,
}

impl Access {
    pub(crate) fn add(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let Self { username, job: job_name } = &self;
        let disabled = Folder::open(common)?.write(|transaction| {
            let ids = [user(transaction, username)?, job(transaction, job_name)?];
            if transaction.execute("INSERT OR IGNORE INTO access_list(user, job) VALUES (?1, ?2)", ids)? == 0 {
                bail!("{username:?} may upload for {job_name:?} already");
            }
            is_disabled(transaction, ids[0])
        })?;
        if disabled {
            screen.note(&format!("{username} is disabled; `builder-db user-update {username}` sets a password"));
        }
        self.say("may upload", true, screen)
    }

    pub(crate) fn remove(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let Self { username, job: job_name } = &self;
        let restricted = Folder::open(common)?.write(|transaction| {
            let ids = [user(transaction, username)?, job(transaction, job_name)?];
            transaction.execute("DELETE FROM access_list WHERE user = ?1 AND job = ?2", ids)?;
            is_restricted(transaction, ids[0])
        })?;
        if restricted {
            return self.say("may no longer upload", false, screen);
        }
        let change = format!("`builder-db user-update {username} --restricted --keep-password`");
        screen.note(&format!("{username} is unrestricted, and may upload for all jobs; {change} changes that"));
        self.say("may still upload", true, screen)
    }

    fn say(&self, may: &str, access: bool, screen: &mut Screen) -> anyhow::Result<Exit> {
        screen.done(
            &format!("{} {may} for {}", self.username, self.job),
            &json!({ "name": self.username, "job": self.job, "access": access }),
        )?;
        Ok(Exit::Success)
    }
}
