//! What is built: jobs and how often they run.

use crate::name::{JobName, PackageName, Platform, TemplateName};
use crate::parameter::Values;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A job: a script for one platform, or what a template makes a script of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// A shell script.
    Script(ScriptJob),
    /// A package, built by each platform's template.
    Templated(TemplatedJob),
    /// Values for the parameters of a named template.
    Parameter(ParameterJob),
}

/// Where a job belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunsOn<'a> {
    /// On this platform, and no other.
    One(&'a Platform),
    /// On every platform that has this template.
    EachWith(TemplateId),
}

/// Which template of a platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplateId {
    /// The one for templated jobs.
    Package,
    /// One with parameters.
    Named(TemplateName),
}

impl Job {
    /// The name, unique on a schedule.
    pub fn name(&self) -> &JobName {
        match self {
            Self::Script(job) => &job.name,
            Self::Templated(job) => &job.name,
            Self::Parameter(job) => &job.name,
        }
    }

    /// The one platform of a script, or of a parameter job that has one.
    pub fn platform(&self) -> Option<&Platform> {
        match self.runs_on() {
            RunsOn::One(platform) => Some(platform),
            RunsOn::EachWith(_) => None,
        }
    }

    /// Where it belongs.
    pub fn runs_on(&self) -> RunsOn<'_> {
        match self {
            Self::Script(job) => RunsOn::One(&job.platform),
            Self::Templated(_) => RunsOn::EachWith(TemplateId::Package),
            Self::Parameter(job) => match &job.platform {
                Some(platform) => RunsOn::One(platform),
                None => RunsOn::EachWith(TemplateId::Named(job.template.clone())),
            },
        }
    }

    /// The template that makes its script; a script job has none.
    pub fn template(&self) -> Option<TemplateId> {
        match self {
            Self::Script(_) => None,
            Self::Templated(_) => Some(TemplateId::Package),
            Self::Parameter(job) => Some(TemplateId::Named(job.template.clone())),
        }
    }
}

/// Values for the parameters of a named template, for one platform or for each that has the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterJob {
    /// The job's name.
    pub name: JobName,
    /// What makes its script.
    pub template: TemplateName,
    /// Where it runs; on every platform that has the template if there is none.
    pub platform: Option<Platform>,
    /// What is filled in.
    pub values: Values,
}

/// A shell script that runs on one platform.
#[derive(Clone, PartialEq, Eq)]
pub struct ScriptJob {
    /// The job's name.
    pub name: JobName,
    /// Where it runs.
    pub platform: Platform,
    /// The script: any bytes.
    pub script: Arc<[u8]>,
}

impl fmt::Debug for ScriptJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScriptJob({} on {}, {} bytes)", self.name, self.platform, self.script.len())
    }
}

/// A package that is built with the template of each platform (the original's `orb` builds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplatedJob {
    /// The job's name.
    pub name: JobName,
    /// What the template builds.
    pub package: PackageName,
}

impl TemplatedJob {
    /// The script for one platform: every `%%OPAM_PACKAGE%%` and then every `%%PLATFORM%%` of the template replaced.
    pub fn render(&self, template: &[u8], platform: &Platform) -> ScriptJob {
        let with_package = replace(template, b"%%OPAM_PACKAGE%%", self.package.as_bytes());
        let script = replace(&with_package, b"%%PLATFORM%%", platform.as_bytes());
        ScriptJob { name: self.name.clone(), platform: platform.clone(), script: script.into() }
    }
}

fn replace(text: &[u8], pattern: &[u8], by: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(pattern.len()).position(|window| window == pattern) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(by);
        rest = &rest[at + pattern.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// How often a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// Every 3,600 seconds.
    Hourly,
    /// Every 86,400 seconds.
    Daily,
    /// Every 604,800 seconds.
    Weekly,
    /// Only when asked.
    Never,
}

impl Period {
    /// All of them, in the order of their tags on the wire.
    pub const ALL: [Self; 4] = [Self::Hourly, Self::Daily, Self::Weekly, Self::Never];

    /// The time between two runs in seconds; none for [`Period::Never`].
    pub const fn seconds(self) -> Option<i64> {
        match self {
            Self::Hourly => Some(3_600),
            Self::Daily => Some(86_400),
            Self::Weekly => Some(604_800),
            Self::Never => None,
        }
    }

    /// The word for it, as commands take it and tables show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Never => "never",
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|period| period.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a period: expected hourly, daily, weekly or never"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_replace_the_package_first() {
        let job =
            TemplatedJob { name: JobName::parse(b"j").unwrap(), package: PackageName::from_history(b"%%PLATFORM%%-x") };
        let platform = Platform::parse(b"p").unwrap();
        let script = job.render(b"a %%OPAM_PACKAGE%% %%PLATFORM%% %%OPAM_PACKAGE", &platform);
        assert_eq!(&*script.script, b"a p-x p %%OPAM_PACKAGE");
    }
}
