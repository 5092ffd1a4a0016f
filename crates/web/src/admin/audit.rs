//! Files against rows: what is missing, what is damaged, what nobody names any more, and which of it can be mended.
//!
//! A running server may add and remove builds meanwhile. What looks wrong in one snapshot is therefore looked at again,
//! under the lock that keeps uploads from placing files, before it counts.

mod artifacts;
mod folders;
mod records;
mod rows;

use crate::admin::args::Format;
use crate::admin::folder::Folder;
use crate::admin::screen::{Screen, bytes_text, count_text};
use crate::error::WebError;
use crate::limits::FINDINGS_MAX;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Artifacts and the folders of builds.
    Files,
    /// Those, uploads that a crash left, and all rows.
    All,
}

/// Whether faults are mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Only look.
    Look,
    /// Mend what can be mended without losing anything that a row names.
    Repair,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ArtifactMissing,
    ArtifactDamaged,
    ArtifactUnreadable,
    ArtifactOrphan,
    BuildFileMissing,
    BuildFileDamaged,
    BuildFileElsewhere,
    FolderOrphan,
    Untracked,
    StagingStale,
    RowDangling,
    RowInvalid,
    DatabaseDamaged,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::ArtifactMissing => "artifact-missing",
            Self::ArtifactDamaged => "artifact-damaged",
            Self::ArtifactUnreadable => "artifact-unreadable",
            Self::ArtifactOrphan => "artifact-orphan",
            Self::BuildFileMissing => "build-file-missing",
            Self::BuildFileDamaged => "build-file-damaged",
            Self::BuildFileElsewhere => "build-file-elsewhere",
            Self::FolderOrphan => "folder-orphan",
            Self::Untracked => "untracked",
            Self::StagingStale => "staging-stale",
            Self::RowDangling => "row-dangling",
            Self::RowInvalid => "row-invalid",
            Self::DatabaseDamaged => "database-damaged",
        }
    }

    /// What to do about one that is left.
    fn hint(self) -> &'static str {
        match self {
            Self::ArtifactMissing | Self::ArtifactDamaged => {
                "an artifact comes back with an upload of any build that has it, or from a backup; `check --repair` notes it at its builds"
            }
            Self::ArtifactUnreadable => "look at the rights of the file, and at the disk",
            Self::BuildFileMissing => {
                "consoles, scripts and outlines come back from a backup, or with an upload of the same record"
            }
            Self::BuildFileDamaged => {
                "it comes back from a backup; or, when it is moved away, as `check --repair` does with an outline, with an upload of the same record"
            }
            Self::BuildFileElsewhere => "such a row was not written by an upload: look who else writes to the database",
            Self::ArtifactOrphan | Self::FolderOrphan | Self::StagingStale => {
                "`builder-db check --repair` removes it, run by whom it belongs to"
            }
            Self::Untracked => "whoever put it there can move it away; builder-web does not look at it",
            Self::RowDangling => {
                "`builder-db check --repair` mends all but builds without their job or user; those come back with the database of a backup"
            }
            Self::RowInvalid => {
                "`builder-db check --repair` mends sizes; a row without a SHA-256 goes with its build, by `vacuum` or `job-remove`"
            }
            Self::DatabaseDamaged => {
                "restore the database from a backup, or save what can be read with `sqlite3 builder.sqlite3 .recover`"
            }
        }
    }
}

/// Something that is wrong.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// A path below the data folder, or a table.
    pub(crate) at: String,
    /// What exactly, for people.
    pub(crate) detail: String,
    /// Whether it was mended.
    pub(crate) repaired: bool,
}

/// All that was looked at, and what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) builds: u64,
    pub(crate) artifacts: u64,
    pub(crate) bytes: u64,
    pub(crate) findings: Vec<Finding>,
    /// Findings beyond [`FINDINGS_MAX`].
    more: u64,
    unrepaired: u64,
}

impl Report {
    fn find(&mut self, kind: Kind, at: impl Into<String>, detail: impl Into<String>, repaired: bool) {
        self.unrepaired += u64::from(!repaired);
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { kind, at: at.into(), detail: detail.into(), repaired });
        } else {
            self.more += 1;
        }
    }

    /// Tells of what no row names, and removes it where faults are mended. What cannot be removed keeps nothing else from
    /// being.
    fn find_orphan(
        &mut self,
        mode: Mode,
        kind: Kind,
        at: String,
        what: &str,
        remove: impl FnOnce() -> Result<(), WebError>,
    ) {
        match mode {
            Mode::Look => self.find(kind, at, what, false),
            Mode::Repair => match remove() {
                Ok(()) => self.find(kind, at, what, true),
                Err(error) => {
                    let reason = error.to_string();
                    let reason = reason.lines().next().unwrap_or_default();
                    self.find(kind, at, format!("{what}; {reason}"), false);
                }
            },
        }
    }

    /// Whether something is wrong still.
    pub(crate) fn is_clean(&self) -> bool {
        self.unrepaired == 0
    }

    /// Shows it.
    pub(crate) fn show(&self, screen: &mut Screen) -> std::io::Result<()> {
        let total = self.findings.len() as u64 + self.more;
        if screen.format() == Format::Json {
            return screen.json(&json!({
                "builds": self.builds,
                "artifacts": self.artifacts,
                "bytes": self.bytes,
                "count": total,
                "unrepaired": self.unrepaired,
                "findings": self.findings.iter().map(json_of).collect::<Vec<_>>(),
            }));
        }
        for Finding { kind, at, detail, repaired } in &self.findings {
            let repaired = if *repaired { " (repaired)" } else { "" };
            screen.line(&format!("{}: {at}: {detail}{repaired}", kind.name()))?;
        }
        if self.more > 0 {
            screen.line(&format!("and {} more", self.more))?;
        }
        let left: BTreeSet<Kind> =
            self.findings.iter().filter(|finding| !finding.repaired).map(|finding| finding.kind).collect();
        left.into_iter().for_each(|kind| screen.note(&format!("{}: {}", kind.name(), kind.hint())));
        let seen = format!(
            "{} and {} read, {}",
            count_text(self.builds, "build"),
            count_text(self.artifacts, "artifact"),
            bytes_text(self.bytes)
        );
        let found = match (total, self.unrepaired) {
            (0, _) => "all is well".to_owned(),
            (_, 0) => format!("{}, all repaired", count_text(total, "fault")),
            (_, left) if left < total => format!("{}, of which {left} are left", count_text(total, "fault")),
            (_, _) => count_text(total, "fault"),
        };
        screen.done(&format!("{seen}: {found}"), &Value::Null)
    }
}

fn json_of(finding: &Finding) -> Value {
    json!({
        "kind": finding.kind.name(),
        "at": finding.at,
        "detail": finding.detail,
        "repaired": finding.repaired,
        "hint": (!finding.repaired).then(|| finding.kind.hint()),
    })
}

/// Looks at a data folder.
pub(crate) fn audit(folder: &Folder, scope: Scope, mode: Mode, screen: &Screen) -> anyhow::Result<Report> {
    let mut report = Report::default();
    if scope == Scope::All {
        rows::audit(folder, mode, &mut report)?;
    }
    let damaged = artifacts::audit(folder, mode, screen, &mut report)?;
    folders::audit(folder, mode, &mut report)?;
    records::audit(folder, mode, &mut report)?;
    if scope == Scope::All {
        folders::audit_stagings(folder, mode, screen, &mut report)?;
    }
    if mode == Mode::Repair {
        rows::mark(folder, &damaged)?;
    }
    Ok(report)
}

/// Removes the artifacts and the folders that no row names, without reading any.
pub(crate) fn sweep(folder: &Folder) -> anyhow::Result<Report> {
    let mut report = Report::default();
    artifacts::sweep(folder, &mut report)?;
    folders::audit(folder, Mode::Repair, &mut report)?;
    let is_orphan = |kind: Kind| [Kind::ArtifactOrphan, Kind::FolderOrphan].contains(&kind);
    match report.findings.iter().find(|finding| is_orphan(finding.kind) && !finding.repaired) {
        Some(Finding { at, detail, .. }) => anyhow::bail!("{at} stays: {detail}"),
        None => Ok(report),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Tried;

    #[test]
    fn what_cannot_be_removed_is_told_and_left() {
        let mut report = Report::default();
        let refuse = || Err(std::io::Error::from(std::io::ErrorKind::PermissionDenied)).tried("remove", "a".as_ref());
        report.find_orphan(Mode::Repair, Kind::FolderOrphan, "a".into(), "there is no such build", refuse);
        report.find_orphan(Mode::Repair, Kind::FolderOrphan, "b".into(), "there is no such build", || Ok(()));
        let told: Vec<_> = report.findings.iter().map(|found| (found.detail.as_str(), found.repaired)).collect();
        assert_eq!(
            told,
            [("there is no such build; cannot remove a: permission denied", false), ("there is no such build", true)]
        );
        assert!(!report.is_clean());
    }
}
