//! The messages of the protocol: one flat CHOICE with the context tags 0 to 30.
//!
//! Values borrow from the frame they were read from, and are written from where their payloads lie. Text is any
//! octets here: who acts on a name checks it first (`builder_model::name`).

mod ask;
mod build;
mod info;
mod job;
mod kind;
mod template;
mod told;

pub use ask::{
    ArtifactRow, Ask, AskBuilds, BUILDS_ASKED_MAX, BuildRow, BuildsReply, REPLY_BYTES_MAX, UPLOADS_LISTED_MAX,
    UploadRow, WaitRow,
};
pub use build::File;
pub(crate) use build::{files, outcome};
pub use info::{Info, InfoQueue, InfoRunning, ScheduleEntry};
pub use job::{Job, NO_PLATFORM, ParameterJob, ScriptJob, ValuePair};
pub use kind::MessageKind;
pub use template::{AskRender, AskTemplates, ParameterRow, Reply, TemplateContent, TemplateRow};
pub use told::Told;

use crate::der::{DecodeError, Fault, Reader};
use crate::element::{Element, Encoded};
use crate::time;
use build::build_id;
use builder_model::{BuildId, Outcome, Period, Timestamp};
use job::{period, templated_job};

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
    /// `[23]`, client of version 14: a question.
    Ask(Ask<'a>),
    /// `[24]`, server: what queued jobs wait for, in the order of `info`.
    WaitsReply(Vec<WaitRow<'a>>),
    /// `[25]`, server: builds that have ended.
    BuildsReply(BuildsReply<'a>),
    /// `[26]`, server: uploads that wait, the one that waits longest first.
    UploadsReply(Vec<UploadRow<'a>>),
    /// `[27]`, server: what a build left.
    ArtifactsReply(Vec<ArtifactRow<'a>>),
    /// `[28]`, client of version 14: put a job of a template with parameters on the schedule.
    ScheduleTemplate {
        /// How often.
        period: Period,
        /// What.
        job: ParameterJob<'a>,
    },
    /// `[29]`, server: about templates.
    Reply(Reply<'a>),
    /// `[30]`, worker of version 6: what became of its build, when it is not handed in.
    Tell {
        /// Which build.
        build: BuildId,
        /// What.
        what: Told<'a>,
    },
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
            MessageKind::Ask => Self::Ask(reader.ask()?),
            MessageKind::WaitsReply => Self::WaitsReply(reader.sequence_of(Reader::wait_row)?),
            MessageKind::BuildsReply => Self::BuildsReply(reader.builds_reply()?),
            MessageKind::UploadsReply => Self::UploadsReply(reader.sequence_of(Reader::upload_row)?),
            MessageKind::ArtifactsReply => Self::ArtifactsReply(reader.sequence_of(Reader::artifact_row)?),
            MessageKind::ScheduleTemplate => {
                let (period, job) = reader.sequence(|r| Ok((r.period()?, r.parameter_job()?)))?;
                Self::ScheduleTemplate { period, job }
            }
            MessageKind::Reply => Self::Reply(reader.reply()?),
            MessageKind::Tell => {
                let (build, what) = reader.sequence(|r| Ok((r.build_id()?, r.told()?)))?;
                Self::Tell { build, what }
            }
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
            Self::Ask(_) => MessageKind::Ask,
            Self::WaitsReply(_) => MessageKind::WaitsReply,
            Self::BuildsReply(_) => MessageKind::BuildsReply,
            Self::UploadsReply(_) => MessageKind::UploadsReply,
            Self::ArtifactsReply(_) => MessageKind::ArtifactsReply,
            Self::ScheduleTemplate { .. } => MessageKind::ScheduleTemplate,
            Self::Reply(_) => MessageKind::Reply,
            Self::Tell { .. } => MessageKind::Tell,
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
            Self::Ask(ask) => ask.element(),
            Self::WaitsReply(rows) => Element::sequence(rows.iter().map(WaitRow::element).collect()),
            Self::BuildsReply(reply) => reply.element(),
            Self::UploadsReply(rows) => Element::sequence(rows.iter().map(UploadRow::element).collect()),
            Self::ArtifactsReply(rows) => Element::sequence(rows.iter().map(ArtifactRow::element).collect()),
            Self::ScheduleTemplate { period: often, job } => Element::sequence(vec![period(*often), job.element()]),
            Self::Reply(reply) => reply.element(),
            Self::Tell { build, what } => Element::sequence(vec![build_id(build), what.element()]),
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

impl Reader<'_> {
    fn role(&mut self) -> Result<Role, DecodeError> {
        let (number, role) = match self.choice("a role")? {
            0 => (0, Role::Client),
            1 => (1, Role::Worker),
            _ => return self.no_such_choice("a role"),
        };
        self.explicit(number, Reader::null)?;
        Ok(role)
    }
}
