//! What templates ask of a build in a list.

use crate::database::listed::{Binary, Listed};
use crate::pages::{link, text};

impl Listed {
    /// The address of its page.
    pub(crate) fn address(&self) -> String {
        link::build(&self.job, &self.uuid)
    }

    /// The address of its job.
    pub(crate) fn job_address(&self) -> String {
        link::job(&self.job, None)
    }

    /// The address of its job on its platform.
    pub(crate) fn platform_address(&self) -> String {
        link::job(&self.job, Some(&self.platform))
    }

    /// The address of its main binary.
    pub(crate) fn binary_address(&self) -> String {
        link::main_binary(&self.job, &self.uuid)
    }

    /// When it started.
    pub(crate) fn time(&self) -> String {
        text::time(self.start)
    }

    /// How long it took.
    pub(crate) fn took(&self) -> String {
        text::span(self.duration())
    }

    /// How it ended.
    pub(crate) fn result(&self) -> String {
        text::outcome_in_list(&self.outcome)
    }

    /// What it left, where it has no main binary.
    pub(crate) fn left_text(&self) -> String {
        let left = |artifacts: crate::database::listed::Artifacts| match artifacts.count {
            0 => "left nothing".into(),
            count => format!("{}, {}", text::count(count, "artifact", "artifacts"), text::bytes(artifacts.bytes)),
        };
        self.artifacts.map_or_else(|| "no main binary".into(), left)
    }
}

impl Binary {
    /// The last part of its path.
    pub(crate) fn name(&self) -> &str {
        builder_facts::artifact_role::base_name(&self.filepath)
    }

    /// Its size.
    pub(crate) fn size_text(&self) -> String {
        text::bytes(self.size)
    }

    /// The first digits of its digest.
    pub(crate) fn short(&self) -> String {
        self.sha256.short()
    }
}
