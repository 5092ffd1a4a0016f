//! `job-remove`.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::Folder;
use crate::admin::screen::{Screen, count_text};
use crate::admin::vacuum::report;
use crate::removal::{JobRemoval, remove_job};
use anyhow::bail;
use serde_json::json;

/// Remove a job with all its builds, rights and texts
///
/// A job that is not there is none to remove: that is noted, and the exit status is 0. A job with pinned builds stays.
#[derive(Debug, clap::Args)]
pub(crate) struct JobRemove {
    /// The name of the job
    job: String,
}

impl JobRemove {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let folder = Folder::open(common)?;
        match remove_job(&folder.depot, &folder.database, &self.job)? {
            JobRemoval::Unknown => {
                screen.note(&format!("there is no job {:?}", self.job));
                screen.done("nothing to remove", &json!({ "job": self.job, "builds": 0 }))?;
            }
            JobRemoval::Pinned(builds) => {
                let builds = count_text(builds, "build");
                bail!(
                    "{builds} of {:?} cannot go, being pinned; nothing was changed\nhint: `builder-db pins` shows which, `unpin` frees them",
                    self.job
                );
            }
            JobRemoval::Removed(removal) => report(&removal, false, screen)?,
        }
        Ok(Exit::Success)
    }
}
