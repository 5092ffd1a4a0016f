//! What a client of version 14 may ask, and the replies: what queued jobs wait for, finished builds, uploads that
//! wait, the artifacts of a build. What is asked about templates is in `template`.
//!
//! A reply is bounded: who makes one looks at the size of its rows.

use crate::der::{DecodeError, Fault, INTEGER_MAX, Reader};
use crate::element::Element;
use crate::message::build::{build_id, outcome};
use crate::message::template::{AskRender, AskTemplates};
use crate::time;
use builder_model::{BuildId, Outcome, Timestamp};
use std::borrow::Cow;

/// Most builds that can be asked for at once.
pub const BUILDS_ASKED_MAX: u32 = 10_000;
/// Most uploads that a reply lists.
pub const UPLOADS_LISTED_MAX: usize = 10_000;
/// Longest reply, in bytes.
pub const REPLY_BYTES_MAX: u64 = 64 << 20;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask<'a> {
    /// `[0]`: what does each queued job wait for?
    Waits,
    /// `[1]`: which builds have ended?
    Builds(AskBuilds<'a>),
    /// `[2]`: which records wait for their upload?
    Uploads,
    /// `[3]`: what did this build leave?
    Artifacts(BuildId),
    /// `[4]`: which templates with parameters are there?
    Templates(AskTemplates<'a>),
    /// `[5]`: which script does a template make?
    Render(AskRender<'a>),
}

/// Which finished builds are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskBuilds<'a> {
    /// At most this many: from 1 to [`BUILDS_ASKED_MAX`].
    pub count: u32,
    /// Only those with a lower number than this.
    pub before: Option<i64>,
    /// Only those of this job.
    pub job: Option<&'a [u8]>,
    /// Only those on this platform.
    pub platform: Option<&'a [u8]>,
    /// Only those that did not exit with status 0.
    pub failed: bool,
}

/// A queued job, and why it does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitRow<'a> {
    /// The queue.
    pub platform: &'a [u8],
    /// The job.
    pub job: &'a [u8],
    /// What it waits for, in words, such as `a free worker`.
    pub reason: Cow<'a, [u8]>,
}

/// Some finished builds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildsReply<'a> {
    /// The newest first.
    pub builds: Vec<BuildRow<'a>>,
    /// Where there may be more: the `before` to ask with.
    pub next: Option<i64>,
}

/// A finished build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRow<'a> {
    /// Its place in the history: later builds have higher numbers.
    pub number: i64,
    /// The build.
    pub build: BuildId,
    /// Its job.
    pub job: &'a [u8],
    /// Where it ran.
    pub platform: &'a [u8],
    /// How many attempts it took.
    pub attempts: u32,
    /// When the first attempt was handed out.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The size of its record in bytes, while the server keeps it.
    pub record_bytes: Option<u64>,
    /// When the repository took it.
    pub uploaded: Option<Timestamp>,
}

/// An upload that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadRow<'a> {
    /// Which build.
    pub build: BuildId,
    /// Its job.
    pub job: &'a [u8],
    /// How often it was tried.
    pub tries: u32,
    /// Why it failed last.
    pub error: Option<&'a [u8]>,
}

/// An artifact of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtifactRow<'a> {
    /// Its path.
    pub path: &'a [u8],
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

impl Ask<'_> {
    pub(super) fn element(&self) -> Element<'_> {
        let what = match self {
            Self::Waits => Element::explicit(0, Element::null()),
            Self::Builds(builds) => Element::explicit(1, builds.element()),
            Self::Uploads => Element::explicit(2, Element::null()),
            Self::Artifacts(build) => Element::explicit(3, build_id(build)),
            Self::Templates(templates) => Element::explicit(4, templates.element()),
            Self::Render(render) => Element::explicit(5, render.element()),
        };
        Element::sequence(vec![what])
    }
}

impl AskBuilds<'_> {
    fn element(&self) -> Element<'_> {
        let mut parts = vec![Element::integer(i64::from(self.count))];
        parts.extend(self.before.map(|before| Element::explicit(0, Element::integer(before))));
        parts.extend(self.job.map(|job| Element::explicit(1, Element::octets(job))));
        parts.extend(self.platform.map(|platform| Element::explicit(2, Element::octets(platform))));
        parts.extend(self.failed.then(|| Element::explicit(3, Element::null())));
        Element::sequence(parts)
    }
}

impl WaitRow<'_> {
    /// How many bytes of a reply it takes.
    pub fn size(&self) -> u64 {
        self.element().size()
    }

    pub(super) fn element(&self) -> Element<'_> {
        let texts = [self.platform, self.job, &self.reason[..]];
        Element::sequence(texts.map(Element::octets).into())
    }
}

impl BuildsReply<'_> {
    pub(super) fn element(&self) -> Element<'_> {
        let mut parts = vec![Element::sequence(self.builds.iter().map(BuildRow::element).collect())];
        parts.extend(self.next.map(|next| Element::explicit(0, Element::integer(next))));
        Element::sequence(parts)
    }
}

impl BuildRow<'_> {
    fn element(&self) -> Element<'_> {
        let mut parts = vec![
            Element::integer(self.number),
            build_id(&self.build),
            Element::octets(self.job),
            Element::octets(self.platform),
            Element::integer(i64::from(self.attempts)),
            time::element(self.started),
            time::element(self.finished),
            outcome(&self.outcome),
        ];
        parts.extend(self.record_bytes.map(|bytes| Element::explicit(0, size(bytes))));
        parts.extend(self.uploaded.map(|at| Element::explicit(1, time::element(at))));
        Element::sequence(parts)
    }
}

impl UploadRow<'_> {
    /// How many bytes of a reply it takes.
    pub fn size(&self) -> u64 {
        self.element().size()
    }

    pub(super) fn element(&self) -> Element<'_> {
        let tries = Element::integer(i64::from(self.tries));
        let mut parts = vec![build_id(&self.build), Element::octets(self.job), tries];
        parts.extend(self.error.map(Element::octets));
        Element::sequence(parts)
    }
}

impl ArtifactRow<'_> {
    /// How many bytes of a reply it takes.
    pub fn size(&self) -> u64 {
        self.element().size()
    }

    pub(super) fn element(&self) -> Element<'_> {
        Element::sequence(vec![Element::octets(self.path), size(self.bytes), Element::octets(&self.sha256[..])])
    }
}

fn size(bytes: u64) -> Element<'static> {
    Element::integer(i64::try_from(bytes).unwrap_or(INTEGER_MAX))
}

impl<'a> Reader<'a> {
    pub(super) fn ask(&mut self) -> Result<Ask<'a>, DecodeError> {
        self.sequence(|reader| match reader.choice("a question")? {
            0 => reader.explicit(0, Reader::null).map(|()| Ask::Waits),
            1 => reader.explicit(1, |reader| Ok(Ask::Builds(reader.sequence(Reader::ask_builds)?))),
            2 => reader.explicit(2, Reader::null).map(|()| Ask::Uploads),
            3 => reader.explicit(3, |reader| Ok(Ask::Artifacts(reader.build_id()?))),
            4 => reader.explicit(4, |reader| Ok(Ask::Templates(reader.ask_templates()?))),
            5 => reader.explicit(5, |reader| Ok(Ask::Render(reader.ask_render()?))),
            _ => reader.no_such_choice("a question"),
        })
    }

    fn ask_builds(&mut self) -> Result<AskBuilds<'a>, DecodeError> {
        Ok(AskBuilds {
            count: self.number("the count of builds", 1, BUILDS_ASKED_MAX)?,
            before: self.optional(0, Reader::integer)?,
            job: self.optional(1, Reader::octets)?,
            platform: self.optional(2, Reader::octets)?,
            failed: self.optional(3, Reader::null)?.is_some(),
        })
    }

    pub(super) fn wait_row(&mut self) -> Result<WaitRow<'a>, DecodeError> {
        self.sequence(|reader| {
            let (platform, job) = (reader.octets()?, reader.octets()?);
            Ok(WaitRow { platform, job, reason: Cow::Borrowed(reader.octets()?) })
        })
    }

    pub(super) fn builds_reply(&mut self) -> Result<BuildsReply<'a>, DecodeError> {
        self.sequence(|reader| {
            let builds = reader.sequence_of(Reader::build_row)?;
            Ok(BuildsReply { builds, next: reader.optional(0, Reader::integer)? })
        })
    }

    fn build_row(&mut self) -> Result<BuildRow<'a>, DecodeError> {
        self.sequence(|reader| {
            Ok(BuildRow {
                number: reader.integer()?,
                build: reader.build_id()?,
                job: reader.octets()?,
                platform: reader.octets()?,
                attempts: reader.number("the count of attempts", 0, u32::MAX)?,
                started: reader.time()?,
                finished: reader.time()?,
                outcome: reader.outcome()?,
                record_bytes: reader.optional(0, Reader::size)?,
                uploaded: reader.optional(1, Reader::time)?,
            })
        })
    }

    pub(super) fn upload_row(&mut self) -> Result<UploadRow<'a>, DecodeError> {
        self.sequence(|reader| {
            let (build, job) = (reader.build_id()?, reader.octets()?);
            let tries = reader.number("the count of tries", 0, u32::MAX)?;
            let error = if reader.is_empty() { None } else { Some(reader.octets()?) };
            Ok(UploadRow { build, job, tries, error })
        })
    }

    pub(super) fn artifact_row(&mut self) -> Result<ArtifactRow<'a>, DecodeError> {
        self.sequence(|reader| {
            let (path, bytes) = (reader.octets()?, reader.size()?);
            let before = reader.clone();
            let digest = reader.octets()?;
            match <[u8; 32]>::try_from(digest) {
                Ok(sha256) => Ok(ArtifactRow { path, bytes, sha256 }),
                Err(_) => before.error(Fault::Digest { octets: digest.len() }),
            }
        })
    }

    fn size(&mut self) -> Result<u64, DecodeError> {
        self.number("a size", 0, INTEGER_MAX as u64)
    }

    /// An element in a context tag of its own, if that comes next.
    pub(super) fn optional<T>(
        &mut self,
        number: u8,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.peek() == Some(crate::der::tag::context(number)) {
            return self.explicit(number, read).map(Some);
        }
        Ok(None)
    }

    /// An INTEGER within bounds.
    fn number<T>(&mut self, what: &'static str, least: T, most: T) -> Result<T, DecodeError>
    where
        T: TryFrom<i64> + Into<u64> + PartialOrd + Copy,
    {
        let before = self.clone();
        match T::try_from(self.integer()?) {
            Ok(number) if number >= least && number <= most => Ok(number),
            Ok(_) | Err(_) => before.error(Fault::Number { what, least: least.into(), most: most.into() }),
        }
    }
}
