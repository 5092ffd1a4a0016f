//! Jobs as they travel, and as nouns of ours.

use crate::der::{DecodeError, Reader};
use crate::element::Element;
use builder_model::{ParameterError, Period, Values};

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

/// The name of a parameter, and its value.
pub type ValuePair<'a> = (&'a [u8], &'a [u8]);

/// A job of a template with parameters as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterJob<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The template.
    pub template: &'a [u8],
    /// What is filled in, each with the name of its parameter.
    pub values: Vec<ValuePair<'a>>,
    /// Where it runs; everywhere where the template is when absent.
    pub platform: Option<&'a [u8]>,
}

/// A job as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// `parameter [2]`, to a client of version 14.
    Parameter(ParameterJob<'a>),
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

impl<'a> ParameterJob<'a> {
    pub(crate) fn element(&self) -> Element<'a> {
        let mut parts = vec![Element::octets(self.name), Element::octets(self.template), values_element(&self.values)];
        parts.extend(self.platform.map(|platform| Element::explicit(0, Element::octets(platform))));
        Element::sequence(parts)
    }

    /// The job as a noun of ours; its names are taken as they are, its values must be such.
    pub fn to_model(&self) -> Result<builder_model::ParameterJob, ParameterError> {
        Ok(builder_model::ParameterJob {
            name: builder_model::JobName::from_history(self.name),
            template: builder_model::TemplateName::from_history(self.template),
            platform: self.platform.map(builder_model::Platform::from_history),
            values: Values::parse(self.values.iter().copied())?,
        })
    }
}

impl<'a> From<&'a builder_model::ParameterJob> for ParameterJob<'a> {
    fn from(job: &'a builder_model::ParameterJob) -> Self {
        Self {
            name: job.name.as_bytes(),
            template: job.template.as_bytes(),
            values: pairs(&job.values),
            platform: job.platform.as_ref().map(|platform| platform.as_bytes()),
        }
    }
}

/// Values as they travel.
fn pairs(values: &Values) -> Vec<ValuePair<'_>> {
    values.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_str().as_bytes())).collect()
}

pub(super) fn values_element<'a>(values: &[ValuePair<'a>]) -> Element<'a> {
    let pair = |(name, value): &ValuePair<'a>| Element::sequence(vec![Element::octets(*name), Element::octets(*value)]);
    Element::sequence(values.iter().map(pair).collect())
}

impl<'a> From<&'a builder_model::Job> for Job<'a> {
    fn from(job: &'a builder_model::Job) -> Self {
        match job {
            builder_model::Job::Script(job) => Self::Script(job.into()),
            builder_model::Job::Templated(job) => {
                Self::Templated { name: job.name.as_bytes(), package: job.package.as_bytes() }
            }
            builder_model::Job::Parameter(job) => Self::Parameter(job.into()),
        }
    }
}

impl<'a> Job<'a> {
    pub(crate) fn element(&self) -> Element<'a> {
        match self {
            Self::Script(job) => Element::explicit(0, job.element()),
            Self::Templated { name, package } => Element::explicit(1, templated_job(name, package)),
            Self::Parameter(job) => Element::explicit(2, job.element()),
        }
    }

    /// As a client of version 13 knows jobs: one of a template with parameters is told as one of a package that has
    /// the name of the template.
    #[must_use]
    pub fn for_version_13(self) -> Self {
        match self {
            Self::Script(_) | Self::Templated { .. } => self,
            Self::Parameter(job) => Self::Templated { name: job.name, package: job.template },
        }
    }

    /// The job as a noun of ours; its names are taken as they are, its values must be such.
    pub fn to_model(&self) -> Result<builder_model::Job, ParameterError> {
        Ok(match self {
            Self::Script(job) => builder_model::Job::Script(job.to_model()),
            Self::Templated { name, package } => builder_model::Job::Templated(builder_model::TemplatedJob {
                name: builder_model::JobName::from_history(name),
                package: builder_model::PackageName::from_history(package),
            }),
            Self::Parameter(job) => builder_model::Job::Parameter(job.to_model()?),
        })
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

    pub(super) fn parameter_job(&mut self) -> Result<ParameterJob<'a>, DecodeError> {
        self.sequence(|reader| {
            let (name, template, values) = (reader.octets()?, reader.octets()?, reader.values()?);
            Ok(ParameterJob { name, template, values, platform: reader.optional(0, Reader::octets)? })
        })
    }

    pub(super) fn values(&mut self) -> Result<Vec<ValuePair<'a>>, DecodeError> {
        self.sequence_of(|reader| reader.sequence(|reader| Ok((reader.octets()?, reader.octets()?))))
    }

    /// A job of any kind, as a server of version 14 tells of it.
    pub(crate) fn any_job(&mut self) -> Result<Job<'a>, DecodeError> {
        match self.choice("a job")? {
            2 => self.explicit(2, |reader| Ok(Job::Parameter(reader.parameter_job()?))),
            _ => self.job(),
        }
    }

    /// A job as the original knows it.
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
