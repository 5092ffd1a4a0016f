//! `check` and `verify-data-dir`: files against rows.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::audit::{Mode, Scope, audit};
use crate::admin::folder::Folder;
use crate::admin::screen::Screen;

/// Look for what is wrong in the data folder: files against rows, rows against rows
///
/// Reads each artifact once. Finds artifacts that are missing, damaged or named by no row; folders of builds that are not
/// there; builds without console, script or outline, or with damaged ones; files that nobody knows; uploads that a crash
/// left; rows that name nothing.
/// A running server is not disturbed.
///
/// With --repair it removes what no row names, sets damaged artifacts and outlines aside in _damaged, so that another
/// upload of the same content brings them back, and notes at their builds what is missing. Files that it does not know stay.
///
/// In JSON: `builds`, `artifacts` and `bytes` that were read, `count` and `unrepaired`, and `findings`, a list of `kind`,
/// `at`, `detail`, `repaired` and `hint`, null where nothing is left to do. Exit status 1 when faults are left.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Mend what can be mended
    #[arg(long)]
    repair: bool,
}

impl Check {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        run(common, Scope::All, if self.repair { Mode::Repair } else { Mode::Look }, screen)
    }
}

/// Compare the files of the data folder with the rows, as `check` does, and nothing else
///
/// Reads each artifact once, and lists files that nobody knows. Exit status 1 when something is wrong.
///
/// In JSON: as `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyDataDir {}

impl VerifyDataDir {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        run(common, Scope::Files, Mode::Look, screen)
    }
}

fn run(common: &Common, scope: Scope, mode: Mode, screen: &mut Screen) -> anyhow::Result<Exit> {
    let report = audit(&Folder::open(common)?, scope, mode, screen)?;
    report.show(screen)?;
    Ok(if report.is_clean() { Exit::Success } else { Exit::Findings })
}
