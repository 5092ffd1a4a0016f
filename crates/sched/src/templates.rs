//! What is known of the templates of each platform, and the scripts that they make.

use crate::event::{Template, TemplateText};
use crate::queue::Aside;
use builder_model::limits::SCRIPT_BYTES_MAX;
use builder_model::{Job, Platform, ScriptJob, TemplateId};
use builder_template::Misfit;
use std::collections::BTreeMap;

/// From how many on it is looked for those that nobody needs.
const PRUNE_MIN: usize = 2_048;

/// The templates that the edge read. A platform of which it said nothing yet may have one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates {
    read: BTreeMap<Platform, BTreeMap<TemplateId, Template>>,
    /// How many they are.
    count: usize,
    /// How many there were when it was last looked for those that nobody needs.
    kept: usize,
}

impl Templates {
    /// None when it was not read yet.
    pub(crate) fn get(&self, platform: &Platform, id: &TemplateId) -> Option<&Template> {
        self.read.get(platform)?.get(id)
    }

    /// None when there is nothing to fill in.
    pub(crate) fn text(&self, platform: &Platform, id: &TemplateId) -> Option<&TemplateText> {
        match self.get(platform, id)? {
            Template::Present(text) => Some(text),
            Template::Missing | Template::Unreadable(_) => None,
        }
    }

    /// Whether a job of a template may be queued there: a template that cannot be read, now or not yet, is no reason to
    /// lose the run of a job; one that does not exist is.
    pub(crate) fn may_exist(&self, platform: &Platform, id: &TemplateId) -> bool {
        match self.get(platform, id) {
            None | Some(Template::Present(_) | Template::Unreadable(_)) => true,
            Some(Template::Missing) => false,
        }
    }

    pub(crate) fn set(&mut self, platform: Platform, id: TemplateId, template: Template) {
        let before = self.read.entry(platform).or_default().insert(id, template);
        self.count += usize::from(before.is_none());
    }

    /// Whether there are so many that some may be left over, such as those of refused requests.
    pub(crate) fn are_many(&self) -> bool {
        self.count >= PRUNE_MIN.max(self.kept.saturating_mul(2))
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Platform, &TemplateId) -> bool) {
        for (platform, templates) in &mut self.read {
            templates.retain(|id, _| keep(platform, id));
        }
        self.read.retain(|_, templates| !templates.is_empty());
        self.count = self.read.values().map(BTreeMap::len).sum();
        self.kept = self.count;
    }
}

/// Whether a template takes the values of a job.
pub(crate) fn fits(job: &Job, text: &TemplateText) -> Result<(), Misfit> {
    match (job, text) {
        (Job::Parameter(job), TemplateText::Named(template)) => template.check(&job.values),
        (Job::Script(_) | Job::Templated(_), _) | (Job::Parameter(_), TemplateText::Package(_)) => Ok(()),
    }
}

/// The script that a template makes for a job on a platform, or why it makes none.
pub(crate) fn fill(job: &Job, text: &TemplateText, platform: &Platform) -> Result<ScriptJob, Aside> {
    let script = match (job, text) {
        (Job::Templated(job), TemplateText::Package(text)) => job.render(text, platform),
        (Job::Parameter(job), TemplateText::Named(template)) => {
            template.render(job, platform).map_err(Aside::Misfit)?
        }
        (Job::Script(script), _) => script.clone(),
        (Job::Templated(_), TemplateText::Named(_)) | (Job::Parameter(_), TemplateText::Package(_)) => {
            assert!(matches!(job, Job::Script(_)), "the template of {} is of its kind", job.name());
            return Err(Aside::TooLong { bytes: 0 });
        }
    };
    // A script was checked when it arrived; filling in a template can make it longer than that.
    let bytes = script.script.len();
    if bytes > SCRIPT_BYTES_MAX { Err(Aside::TooLong { bytes }) } else { Ok(script) }
}
