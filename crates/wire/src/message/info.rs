//! The answer to `info`: schedule, queues, running builds, dropped platforms.

use crate::der::{DecodeError, Reader};
use crate::element::Element;
use crate::message::job::{Job, ScriptJob, period};
use crate::time;
use builder_model::{BuildId, Period, Timestamp};

/// A job on the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub(super) fn element(&self) -> Element<'a> {
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

/// How the jobs of a list are read: a state file has fewer kinds of them than a server tells of.
type ReadJob<'a> = fn(&mut Reader<'a>) -> Result<Job<'a>, DecodeError>;

impl<'a> Reader<'a> {
    pub(crate) fn schedule_entry(&mut self, job: ReadJob<'a>) -> Result<ScheduleEntry<'a>, DecodeError> {
        self.sequence(|reader| Ok(ScheduleEntry { next: reader.time()?, period: reader.period()?, job: job(reader)? }))
    }

    pub(crate) fn queue(&mut self, job: ReadJob<'a>) -> Result<InfoQueue<'a>, DecodeError> {
        self.sequence(|reader| Ok(InfoQueue { platform: reader.octets()?, jobs: reader.sequence_of(job)? }))
    }

    pub(super) fn info(&mut self, with_dropped: bool) -> Result<Info<'a>, DecodeError> {
        let running = |reader: &mut Self| {
            reader.sequence(|reader| {
                Ok(InfoRunning { started: reader.time()?, build: reader.build_id()?, job: reader.script_job()? })
            })
        };
        Ok(Info {
            schedule: self.sequence_of(|reader| reader.schedule_entry(Reader::any_job))?,
            queues: self.sequence_of(|reader| reader.queue(Reader::any_job))?,
            running: self.sequence_of(running)?,
            dropped: if with_dropped { self.sequence_of(Reader::octets)? } else { Vec::new() },
        })
    }
}
