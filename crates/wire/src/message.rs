//! The messages of the protocol: one flat CHOICE with the context tags 0 to 22.
//!
//! Values borrow from the frame they were read from, and are written from where their payloads lie. Text is any
//! octets here: who acts on a name checks it first (`builder_model::name`).

use crate::der::{DecodeError, Fault, Reader};
use crate::element::{Element, Encoded};
use crate::time;
use builder_model::limits;
use builder_model::{BuildId, Outcome, Period, Timestamp};
use std::borrow::Cow;

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

/// A file that a build left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'a> {
    /// Its path, with repeated slashes collapsed; otherwise as it came.
    pub path: Cow<'a, [u8]>,
    /// What is in it.
    pub data: &'a [u8],
}

/// A job on the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleEntry<'a> {
    /// When it runs next.
    pub next: Timestamp,
    /// How often it runs.
    pub period: Period,
    /// What runs.
    pub job: Job<'a>,
}

/// One queue in the answer to `info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoQueue<'a> {
    /// Whose queue.
    pub platform: &'a [u8],
    /// Who waits, the next one first.
    pub jobs: Vec<Job<'a>>,
}

/// One running build in the answer to `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InfoRunning<'a> {
    /// When it was handed out.
    pub started: Timestamp,
    /// The build.
    pub build: BuildId,
    /// What runs.
    pub job: ScriptJob<'a>,
}

/// The answer to `info`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info<'a> {
    /// The schedule.
    pub schedule: Vec<ScheduleEntry<'a>>,
    /// The queues.
    pub queues: Vec<InfoQueue<'a>>,
    /// The running builds.
    pub running: Vec<InfoRunning<'a>>,
    /// The platforms that are refused.
    pub dropped: Vec<&'a [u8]>,
}

/// Who says hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `client [0]`.
    Client,
    /// `worker [1]`.
    Worker,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// `[2]`, server to worker: run this.
    JobSchedule {
        /// The build that it is from now on.
        build: BuildId,
        /// What to run.
        job: ScriptJob<'a>,
    },
    /// `[3]`, worker to server: it ended. Large ones are read with [`crate::stream::FinishedParser`] instead.
    JobFinished {
        /// Which build.
        build: BuildId,
        /// How.
        outcome: Outcome,
        /// What it left.
        files: Vec<File<'a>>,
    },
    /// `[4]`, a line of the console: from a worker without a time, to an observer with one.
    Output {
        /// Which build.
        build: BuildId,
        /// The line without its newline.
        line: &'a [u8],
        /// Nanoseconds since the start of the build.
        delta: Option<i64>,
    },
    /// `[5]`, client: put a script on the schedule.
    Schedule {
        /// How often.
        period: Period,
        /// What.
        job: ScriptJob<'a>,
    },
    /// `[6]`, client: what is going on?
    Info,
    /// `[9]`, client: take a job off the schedule.
    Unschedule {
        /// Its name.
        name: &'a [u8],
    },
    /// `[10]`, client: show the console of a build.
    Observe {
        /// Which build.
        build: BuildId,
    },
    /// `[12]`, client: put a templated job on the schedule.
    ScheduleTemplated {
        /// How often.
        period: Period,
        /// Its name.
        name: &'a [u8],
        /// The package that the templates build.
        package: &'a [u8],
    },
    /// `[13]`, client: change when a job runs.
    Reschedule {
        /// Its name.
        name: &'a [u8],
        /// When it runs next.
        next: Timestamp,
        /// How often from then on; unchanged when absent.
        period: Option<Period>,
    },
    /// `[14]`, client and worker: who I am.
    ClientHello {
        /// In which role.
        role: Role,
        /// With which version of the protocol.
        version: i64,
    },
    /// `[15]`, server: welcome.
    ServerHello,
    /// `[16]`, worker: give me a job.
    JobRequested {
        /// For this platform.
        platform: &'a [u8],
    },
    /// `[17]`, client: refuse a platform from now on.
    DropPlatform {
        /// Which.
        platform: &'a [u8],
    },
    /// `[18]`, server: done.
    Success,
    /// `[19]`, server: not done.
    Failure {
        /// Why.
        reason: &'a [u8],
    },
    /// `[20]` and the older `[11]`, client: run a job now.
    Execute {
        /// Its name.
        name: &'a [u8],
        /// Where; everywhere when absent.
        platform: Option<&'a [u8]>,
    },
    /// `[21]`, client: take a platform back.
    UndropPlatform {
        /// Which.
        platform: &'a [u8],
    },
    /// `[22]` and the older `[7]`, server: what is going on.
    InfoReply(Info<'a>),
}

/// The kind of a message: its context tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the variants are those of `Message`")]
pub enum MessageKind {
    Obsolete0 = 0,
    Obsolete1 = 1,
    JobSchedule = 2,
    JobFinished = 3,
    Output = 4,
    Schedule = 5,
    Info = 6,
    InfoReplyOld = 7,
    Obsolete8 = 8,
    Unschedule = 9,
    Observe = 10,
    ExecuteOld = 11,
    ScheduleTemplated = 12,
    Reschedule = 13,
    ClientHello = 14,
    ServerHello = 15,
    JobRequested = 16,
    DropPlatform = 17,
    Success = 18,
    Failure = 19,
    Execute = 20,
    UndropPlatform = 21,
    InfoReply = 22,
}

/// Longest message that holds only names, times and numbers, in bytes: long enough to say what is wrong with a name.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Longest message that holds a script, in bytes.
const SCRIPT_MESSAGE_BYTES_MAX: u64 = limits::SCRIPT_BYTES_MAX as u64 + SMALL_BYTES_MAX;
/// Longest answer to `info`, in bytes.
const INFO_BYTES_MAX: u64 = 1 << 30;

impl MessageKind {
    /// All kinds; the index is the tag.
    pub const ALL: [Self; 23] = [
        Self::Obsolete0,
        Self::Obsolete1,
        Self::JobSchedule,
        Self::JobFinished,
        Self::Output,
        Self::Schedule,
        Self::Info,
        Self::InfoReplyOld,
        Self::Obsolete8,
        Self::Unschedule,
        Self::Observe,
        Self::ExecuteOld,
        Self::ScheduleTemplated,
        Self::Reschedule,
        Self::ClientHello,
        Self::ServerHello,
        Self::JobRequested,
        Self::DropPlatform,
        Self::Success,
        Self::Failure,
        Self::Execute,
        Self::UndropPlatform,
        Self::InfoReply,
    ];

    /// The kind that starts with this identifier octet.
    pub fn from_identifier(octet: u8) -> Option<Self> {
        Self::ALL.get(usize::from(octet.checked_sub(0xa0)?)).copied()
    }

    /// The longest message of this kind that is taken, in bytes. A `jobFinished` is never held whole: its own limit
    /// is the one on the artifacts of a build.
    pub const fn bytes_max(self) -> u64 {
        match self {
            Self::JobSchedule | Self::Schedule => SCRIPT_MESSAGE_BYTES_MAX,
            Self::JobFinished => i64::MAX as u64,
            Self::Output => limits::LINE_BYTES_MAX as u64 + 64,
            Self::InfoReply | Self::InfoReplyOld => INFO_BYTES_MAX,
            Self::Failure => limits::REASON_BYTES_MAX as u64 + 64,
            Self::ClientHello | Self::ServerHello | Self::Info | Self::Success | Self::Observe => 1024,
            Self::Obsolete0
            | Self::Obsolete1
            | Self::Obsolete8
            | Self::Unschedule
            | Self::ExecuteOld
            | Self::ScheduleTemplated
            | Self::Reschedule
            | Self::JobRequested
            | Self::DropPlatform
            | Self::Execute
            | Self::UndropPlatform => SMALL_BYTES_MAX,
        }
    }
}

impl<'a> Message<'a> {
    /// Reads one message from all of `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let number = reader.choice("a message")?;
        let Some(kind) = MessageKind::ALL.get(usize::from(number)).copied() else {
            return reader.no_such_choice("a message");
        };
        let message = reader.explicit(number, |reader| Self::decode_body(kind, reader))?;
        reader.end()?;
        Ok(message)
    }

    fn decode_body(kind: MessageKind, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match kind {
            MessageKind::Obsolete0 | MessageKind::Obsolete1 | MessageKind::Obsolete8 => {
                return reader.error(Fault::Reserved { tag: kind as u8 });
            }
            MessageKind::JobSchedule => {
                let (build, job) = reader.sequence(|r| Ok((r.build_id()?, r.script_job()?)))?;
                Self::JobSchedule { build, job }
            }
            MessageKind::JobFinished => {
                let (build, outcome, files) =
                    reader.sequence(|r| Ok((r.build_id()?, r.outcome()?, r.sequence_of(Reader::file)?)))?;
                Self::JobFinished { build, outcome, files }
            }
            MessageKind::Output => reader.sequence(|r| {
                let (build, line) = (r.build_id()?, r.octets()?);
                let delta = if r.is_empty() { None } else { Some(r.integer()?) };
                Ok(Self::Output { build, line, delta })
            })?,
            MessageKind::Schedule => {
                let (period, job) = reader.sequence(|r| Ok((r.period()?, r.script_job()?)))?;
                Self::Schedule { period, job }
            }
            MessageKind::Info => reader.null().map(|()| Self::Info)?,
            MessageKind::InfoReplyOld => Self::InfoReply(reader.sequence(|r| r.info(false))?),
            MessageKind::InfoReply => Self::InfoReply(reader.sequence(|r| r.info(true))?),
            MessageKind::Unschedule => Self::Unschedule { name: reader.octets()? },
            MessageKind::Observe => Self::Observe { build: reader.build_id()? },
            MessageKind::ExecuteOld => Self::Execute { name: reader.octets()?, platform: None },
            MessageKind::ScheduleTemplated => {
                let (period, (name, package)) = reader.sequence(|r| Ok((r.period()?, r.templated_job()?)))?;
                Self::ScheduleTemplated { period, name, package }
            }
            MessageKind::Reschedule => reader.sequence(|r| {
                let (name, next) = (r.octets()?, r.time()?);
                let period = if r.is_empty() { None } else { Some(r.period()?) };
                Ok(Self::Reschedule { name, next, period })
            })?,
            MessageKind::ClientHello => {
                let (role, version) = reader.sequence(|r| Ok((r.role()?, r.integer()?)))?;
                Self::ClientHello { role, version }
            }
            MessageKind::ServerHello => reader.null().map(|()| Self::ServerHello)?,
            MessageKind::JobRequested => Self::JobRequested { platform: reader.octets()? },
            MessageKind::DropPlatform => Self::DropPlatform { platform: reader.octets()? },
            MessageKind::Success => reader.null().map(|()| Self::Success)?,
            MessageKind::Failure => Self::Failure { reason: reader.octets()? },
            MessageKind::Execute => reader.sequence(|r| {
                let name = r.octets()?;
                let platform = if r.is_empty() { None } else { Some(r.octets()?) };
                Ok(Self::Execute { name, platform })
            })?,
            MessageKind::UndropPlatform => Self::UndropPlatform { platform: reader.octets()? },
        })
    }

    /// The kind under which it is written.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::JobSchedule { .. } => MessageKind::JobSchedule,
            Self::JobFinished { .. } => MessageKind::JobFinished,
            Self::Output { .. } => MessageKind::Output,
            Self::Schedule { .. } => MessageKind::Schedule,
            Self::Info => MessageKind::Info,
            Self::Unschedule { .. } => MessageKind::Unschedule,
            Self::Observe { .. } => MessageKind::Observe,
            Self::ScheduleTemplated { .. } => MessageKind::ScheduleTemplated,
            Self::Reschedule { .. } => MessageKind::Reschedule,
            Self::ClientHello { .. } => MessageKind::ClientHello,
            Self::ServerHello => MessageKind::ServerHello,
            Self::JobRequested { .. } => MessageKind::JobRequested,
            Self::DropPlatform { .. } => MessageKind::DropPlatform,
            Self::Success => MessageKind::Success,
            Self::Failure { .. } => MessageKind::Failure,
            Self::Execute { .. } => MessageKind::Execute,
            Self::UndropPlatform { .. } => MessageKind::UndropPlatform,
            Self::InfoReply(_) => MessageKind::InfoReply,
        }
    }

    /// The DER of the message.
    pub fn encode(&self) -> Encoded<'_> {
        self.element().encode()
    }

    /// The message with its frame header: what is written to a socket.
    pub fn frame(&self) -> Encoded<'_> {
        let element = self.element();
        element.encode_after(element.size().to_be_bytes().to_vec())
    }

    fn element(&self) -> Element<'_> {
        Element::explicit(self.kind() as u8, self.body())
    }

    fn body(&self) -> Element<'_> {
        match self {
            Self::JobSchedule { build, job } => Element::sequence(vec![build_id(build), job.element()]),
            Self::JobFinished { build, outcome: how, files: list } => {
                Element::sequence(vec![build_id(build), outcome(how), files(list)])
            }
            Self::Output { build, line, delta } => {
                let mut parts = vec![build_id(build), Element::octets(*line)];
                parts.extend(delta.map(Element::integer));
                Element::sequence(parts)
            }
            Self::Schedule { period: often, job } => Element::sequence(vec![period(*often), job.element()]),
            Self::Info | Self::ServerHello | Self::Success => Element::null(),
            Self::Unschedule { name: text }
            | Self::JobRequested { platform: text }
            | Self::DropPlatform { platform: text }
            | Self::Failure { reason: text }
            | Self::UndropPlatform { platform: text } => Element::octets(*text),
            Self::Observe { build } => build_id(build),
            Self::ScheduleTemplated { period: often, name, package } => {
                Element::sequence(vec![period(*often), templated_job(name, package)])
            }
            Self::Reschedule { name, next, period: often } => {
                let mut parts = vec![Element::octets(*name), time::element(*next)];
                parts.extend(often.map(period));
                Element::sequence(parts)
            }
            Self::ClientHello { role, version } => {
                let role = Element::explicit(*role as u8, Element::null());
                Element::sequence(vec![role, Element::integer(*version)])
            }
            Self::Execute { name, platform } => {
                let mut parts = vec![Element::octets(*name)];
                parts.extend(platform.map(Element::octets));
                Element::sequence(parts)
            }
            Self::InfoReply(info) => info.element(),
        }
    }
}

/// A frame with one line of output, written to the end of `out`: the hot path of a console, byte for byte what
/// [`Message::frame`] gives.
pub fn write_output_frame(out: &mut Vec<u8>, build: &BuildId, line: &[u8], delta: Option<i64>) {
    use crate::der::tag;
    use crate::element::{element_size, write_header};
    let time = delta.map(|delta| Element::integer(delta).encode().to_vec()).unwrap_or_default();
    let content = element_size(16) + element_size(line.len() as u64) + time.len() as u64;
    let size = element_size(element_size(content));
    out.extend_from_slice(&size.to_be_bytes());
    write_header(out, tag::context(MessageKind::Output as u8), element_size(content));
    write_header(out, tag::SEQUENCE, content);
    write_header(out, tag::UTF8_STRING, 16);
    out.extend_from_slice(build.as_bytes());
    write_header(out, tag::UTF8_STRING, line.len() as u64);
    out.extend_from_slice(line);
    out.extend_from_slice(&time);
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

impl<'a> ScheduleEntry<'a> {
    pub(crate) fn element(&self) -> Element<'a> {
        Element::sequence(vec![time::element(self.next), period(self.period), self.job.element()])
    }
}

impl<'a> InfoQueue<'a> {
    pub(crate) fn element(&self) -> Element<'a> {
        let jobs = self.jobs.iter().map(Job::element).collect();
        Element::sequence(vec![Element::octets(self.platform), Element::sequence(jobs)])
    }
}

impl<'a> Info<'a> {
    fn element(&self) -> Element<'a> {
        let running = |running: &InfoRunning<'a>| {
            let id = Element::octets(running.build.as_bytes().to_vec());
            Element::sequence(vec![time::element(running.started), id, running.job.element()])
        };
        Element::sequence(vec![
            Element::sequence(self.schedule.iter().map(ScheduleEntry::element).collect()),
            Element::sequence(self.queues.iter().map(InfoQueue::element).collect()),
            Element::sequence(self.running.iter().map(running).collect()),
            Element::sequence(self.dropped.iter().map(|platform| Element::octets(*platform)).collect()),
        ])
    }
}

fn build_id(build: &BuildId) -> Element<'_> {
    Element::octets(&build.as_bytes()[..])
}

fn templated_job<'a>(name: &'a [u8], package: &'a [u8]) -> Element<'a> {
    Element::sequence(vec![Element::octets(name), Element::octets(package)])
}

fn period(period: Period) -> Element<'static> {
    Element::explicit(period as u8, Element::null())
}

pub(crate) fn outcome(outcome: &Outcome) -> Element<'_> {
    match outcome {
        Outcome::Exited(status) => Element::explicit(0, Element::integer(*status)),
        Outcome::Signalled(number) => Element::explicit(1, Element::integer(*number)),
        Outcome::Stopped(number) => Element::explicit(2, Element::integer(*number)),
        Outcome::Aborted(reason) => Element::explicit(3, Element::octets(&reason[..])),
    }
}

pub(crate) fn files<'a>(files: &'a [File<'a>]) -> Element<'a> {
    let file =
        |file: &'a File<'a>| Element::sequence(vec![Element::octets(&file.path[..]), Element::octets(file.data)]);
    Element::sequence(files.iter().map(file).collect())
}

impl<'a> Reader<'a> {
    pub(crate) fn build_id(&mut self) -> Result<BuildId, DecodeError> {
        let before = self.clone();
        let octets = self.octets()?;
        match <[u8; 16]>::try_from(octets) {
            Ok(bytes) => Ok(BuildId::from_bytes(bytes)),
            Err(_) => before.error(Fault::Uuid { octets: octets.len() }),
        }
    }

    pub(crate) fn script_job(&mut self) -> Result<ScriptJob<'a>, DecodeError> {
        self.sequence(|reader| {
            let (name, script) = (reader.octets()?, reader.octets()?);
            // Files were part of a job once; they are read, so that a malformed one is noticed, and dropped.
            reader.sequence_of(Reader::file)?;
            let platform = if reader.is_empty() { NO_PLATFORM } else { reader.octets()? };
            Ok(ScriptJob { name, platform, script })
        })
    }

    fn templated_job(&mut self) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
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

    fn role(&mut self) -> Result<Role, DecodeError> {
        let (number, role) = match self.choice("a role")? {
            0 => (0, Role::Client),
            1 => (1, Role::Worker),
            _ => return self.no_such_choice("a role"),
        };
        self.explicit(number, Reader::null)?;
        Ok(role)
    }

    pub(crate) fn outcome(&mut self) -> Result<Outcome, DecodeError> {
        match self.choice("a result")? {
            0 => self.explicit(0, |reader| Ok(Outcome::Exited(reader.integer()?))),
            1 => self.explicit(1, |reader| Ok(Outcome::Signalled(reader.integer()?))),
            2 => self.explicit(2, |reader| Ok(Outcome::Stopped(reader.integer()?))),
            3 => self.explicit(3, |reader| Ok(Outcome::Aborted(reader.octets()?.to_vec()))),
            _ => self.no_such_choice("a result"),
        }
    }

    /// A path with repeated slashes collapsed.
    pub(crate) fn path(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        let before = self.clone();
        let path = self.octets()?;
        if path.is_empty() || path.contains(&0) {
            return before.error(Fault::Path);
        }
        Ok(collapse_slashes(path))
    }

    pub(crate) fn file(&mut self) -> Result<File<'a>, DecodeError> {
        self.sequence(|reader| Ok(File { path: reader.path()?, data: reader.octets()? }))
    }

    pub(crate) fn schedule_entry(&mut self) -> Result<ScheduleEntry<'a>, DecodeError> {
        self.sequence(|reader| Ok(ScheduleEntry { next: reader.time()?, period: reader.period()?, job: reader.job()? }))
    }

    pub(crate) fn queue(&mut self) -> Result<InfoQueue<'a>, DecodeError> {
        self.sequence(|reader| Ok(InfoQueue { platform: reader.octets()?, jobs: reader.sequence_of(Reader::job)? }))
    }

    fn info(&mut self, with_dropped: bool) -> Result<Info<'a>, DecodeError> {
        let running = |reader: &mut Self| {
            reader.sequence(|reader| {
                Ok(InfoRunning { started: reader.time()?, build: reader.build_id()?, job: reader.script_job()? })
            })
        };
        Ok(Info {
            schedule: self.sequence_of(Reader::schedule_entry)?,
            queues: self.sequence_of(Reader::queue)?,
            running: self.sequence_of(running)?,
            dropped: if with_dropped { self.sequence_of(Reader::octets)? } else { Vec::new() },
        })
    }
}

/// Repeated slashes become one; but two or more at the very start become two, as in the original, where POSIX gives
/// exactly two slashes a meaning of their own.
fn collapse_slashes(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.windows(2).any(|pair| pair == b"//") {
        return Cow::Borrowed(path);
    }
    let mut collapsed: Vec<u8> = Vec::with_capacity(path.len());
    for (index, &byte) in path.iter().enumerate() {
        let repeated = byte == b'/' && collapsed.last() == Some(&b'/') && index != 1;
        if !repeated {
            collapsed.push(byte);
        }
    }
    Cow::Owned(collapsed)
}
