//! What is known of each platform's template.

use crate::event::Template;
use builder_model::Platform;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The templates that the edge read. A platform of which it said nothing yet may have one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates {
    read: BTreeMap<Platform, Template>,
}

impl Templates {
    /// None when it was not read yet.
    pub(crate) fn get(&self, platform: &Platform) -> Option<&Template> {
        self.read.get(platform)
    }

    pub(crate) fn bytes(&self, platform: &Platform) -> Option<Arc<[u8]>> {
        match self.read.get(platform)? {
            Template::Present(bytes) => Some(Arc::clone(bytes)),
            Template::Missing | Template::Unreadable(_) => None,
        }
    }

    /// Whether a templated job may be queued there: a template that cannot be read, now or not yet, is no reason to
    /// lose the run of a job; one that does not exist is.
    pub(crate) fn may_exist(&self, platform: &Platform) -> bool {
        match self.read.get(platform) {
            None | Some(Template::Present(_) | Template::Unreadable(_)) => true,
            Some(Template::Missing) => false,
        }
    }

    pub(crate) fn set(&mut self, platform: Platform, template: Template) {
        self.read.insert(platform, template);
    }

    pub(crate) fn len(&self) -> usize {
        self.read.len()
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Platform) -> bool) {
        self.read.retain(|platform, _| keep(platform));
    }
}
