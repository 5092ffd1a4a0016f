//! `job-remove`.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::folder::Folder;
use crate::admin::screen::{Screen, count_text};
use crate::admin::vacuum::{json_of, remove, report};
use crate::removal::{JobBuilds, JobRemoval, Removal, builds_of_job, remove_job};
use anyhow::anyhow;

/// Remove a job with all its builds, rights and texts
///
/// A job that is not there is none to remove: that is noted, and the exit status is 0. A job with pinned builds stays.
///
/// In JSON: as `gc`.
#[derive(Debug, clap::Args)]
pub(crate) struct JobRemove {
    /// The name of the job
    job: String,
    /// Only show what would go
    #[arg(long)]
    dry_run: bool,
}

impl JobRemove {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let folder = Folder::open(common)?;
        if self.dry_run {
            return self.preview(&folder, screen);
        }
        match remove_job(&folder.depot, &folder.database, &self.job)? {
            JobRemoval::Unknown => self.report_unknown(screen)?,
            JobRemoval::Pinned(builds) => return Err(self.refusal(builds)),
            JobRemoval::Removed(removal) => report(&removal, screen)?,
        }
        Ok(Exit::Success)
    }

    fn preview(&self, folder: &Folder, screen: &mut Screen) -> anyhow::Result<Exit> {
        match folder.read(|connection| builds_of_job(connection, &self.job))? {
            JobBuilds::Unknown => self.report_unknown(screen)?,
            JobBuilds::Pinned(builds) => return Err(self.refusal(builds)),
            JobBuilds::Free { builds, .. } => remove(folder, &builds, true, screen)?,
        }
        Ok(Exit::Success)
    }

    fn report_unknown(&self, screen: &mut Screen) -> std::io::Result<()> {
        screen.note(&format!("there is no job {:?}", self.job));
        screen.done("nothing to remove", &json_of(&Removal::default(), self.dry_run))
    }

    fn refusal(&self, pinned: u64) -> anyhow::Error {
        anyhow!(
            "{} of {:?} cannot go, being pinned; nothing was changed\nhint: `builder-db pins` shows which, `unpin` frees them",
            count_text(pinned, "build"),
            self.job
        )
    }
}
