//! Jobs as they travel, and as nouns of ours.

use crate::der::{DecodeError, Reader};
use crate::element::Element;
use builder_model::Period;

/// The platform of a script that names none.
pub const NO_PLATFORM: &[u8] = b"no-platform";

/// A script job as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptJob<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Where it runs.
    pub platform: &'a [u8],
    /// The script.
    pub script: &'a [u8],
}

/// A job as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job<'a> {
    /// `script [0]`.
    Script(ScriptJob<'a>),
    /// `orbBuild [1]`.
    Templated {
        /// Its name.
        name: &'a [u8],
        /// The package that the template builds.
        package: &'a [u8],
    },
}

impl<'a> ScriptJob<'a> {
    pub(crate) fn element(&self) -> Element<'a> {
        let no_files = Element::sequence(Vec::new());
        Element::sequence(vec![
            Element::octets(self.name),
            Element::octets(self.script),
            no_files,
            Element::octets(self.platform),
        ])
    }
}

impl<'a> From<&'a builder_model::ScriptJob> for ScriptJob<'a> {
    fn from(job: &'a builder_model::ScriptJob) -> Self {
        Self { name: job.name.as_bytes(), platform: job.platform.as_bytes(), script: &job.script }
    }
}

impl ScriptJob<'_> {
    /// The job as a noun of ours; its names are taken as they are.
    pub fn to_model(&self) -> builder_model::ScriptJob {
        builder_model::ScriptJob {
            name: builder_model::JobName::from_history(self.name),
            platform: builder_model::Platform::from_history(self.platform),
            script: self.script.into(),
        }
    }
}

impl<'a> From<&'a builder_model::Job> for Job<'a> {
    fn from(job: &'a builder_model::Job) -> Self {
        match job {
            builder_model::Job::Script(job) => Self::Script(job.into()),
            builder_model::Job::Templated(job) => {
                Self::Templated { name: job.name.as_bytes(), package: job.package.as_bytes() }
            }
        }
    }
}

impl<'a> Job<'a> {
    pub(crate) fn element(&self) -> Element<'a> {
        match self {
            Self::Script(job) => Element::explicit(0, job.element()),
            Self::Templated { name, package } => Element::explicit(1, templated_job(name, package)),
        }
    }

    /// The job as a noun of ours; its names are taken as they are.
    pub fn to_model(&self) -> builder_model::Job {
        match self {
            Self::Script(job) => builder_model::Job::Script(job.to_model()),
            Self::Templated { name, package } => builder_model::Job::Templated(builder_model::TemplatedJob {
                name: builder_model::JobName::from_history(name),
                package: builder_model::PackageName::from_history(package),
            }),
        }
    }
}

pub(super) fn templated_job<'a>(name: &'a [u8], package: &'a [u8]) -> Element<'a> {
    Element::sequence(vec![Element::octets(name), Element::octets(package)])
}

pub(super) fn period(period: Period) -> Element<'static> {
    Element::explicit(period as u8, Element::null())
}

impl<'a> Reader<'a> {
    pub(crate) fn script_job(&mut self) -> Result<ScriptJob<'a>, DecodeError> {
        self.sequence(|reader| {
            let (name, script) = (reader.octets()?, reader.octets()?);
            // Files were part of a job once; they are read, so that a malformed one is noticed, and dropped.
            reader.sequence_of(Reader::file)?;
            let platform = if reader.is_empty() { NO_PLATFORM } else { reader.octets()? };
            Ok(ScriptJob { name, platform, script })
        })
    }

    pub(super) fn templated_job(&mut self) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
        self.sequence(|reader| Ok((reader.octets()?, reader.octets()?)))
    }

    pub(crate) fn job(&mut self) -> Result<Job<'a>, DecodeError> {
        match self.choice("a job")? {
            0 => self.explicit(0, |reader| Ok(Job::Script(reader.script_job()?))),
            1 => self.explicit(1, |reader| {
                let (name, package) = reader.templated_job()?;
                Ok(Job::Templated { name, package })
            }),
            _ => self.no_such_choice("a job"),
        }
    }

    pub(crate) fn period(&mut self) -> Result<Period, DecodeError> {
        let number = self.choice("a period")?;
        let Some(period) = Period::ALL.get(usize::from(number)).copied() else {
            return self.no_such_choice("a period");
        };
        self.explicit(number, Reader::null)?;
        Ok(period)
    }
}
