//! What a client can ask of a server. Each method makes its own connection, as the protocol wants it.

use crate::builds::{BuildFilter, BuildPage, EndedBuild, WaitingUpload};
use crate::connection::Connection;
use crate::error::Error;
use crate::farm::{Farm, Wait};
use crate::inspect::Artifact;
use crate::observe::{ConsoleEvent, observe};
use crate::templates::{NewParameterJob, TemplateTold};
use builder_model::Remote;
use builder_model::{BuildId, Outcome, ParameterError, Period, Shown, Timestamp};
use builder_wire::message::{ArtifactRow, AskRender, AskTemplates};
use builder_wire::session::client::Step;
use builder_wire::{Ask, ClientVersion, Message, ParameterJob, ScriptJob};
use std::io;

/// Asks one server. Names and platforms are sent as they are: the server decides whether it takes them.
#[derive(Debug, Clone)]
pub struct Client {
    remote: Remote,
}

/// The answer to a command, as far as it has come.
enum Answer {
    Reply,
    Done,
    Refused(String),
}

impl Client {
    /// A client of this server; nothing is connected yet.
    pub fn new(remote: Remote) -> Self {
        Self { remote }
    }

    /// Puts a script on the schedule, and into the queue of its platform.
    pub fn schedule(&self, job: ScriptJob<'_>, period: Period) -> Result<(), Error> {
        self.command(&Message::Schedule { period, job })
    }

    /// Puts a templated job on the schedule, and into the queue of every platform that has a template.
    pub fn schedule_templated(&self, name: &str, package: &str, period: Period) -> Result<(), Error> {
        let (name, package) = (name.as_bytes(), package.as_bytes());
        self.command(&Message::ScheduleTemplated { period, name, package })
    }

    /// Puts a job of a template with parameters on the schedule, and into the queues where it belongs; the server must
    /// speak version 14.
    pub fn schedule_parameter(&self, job: &NewParameterJob<'_>, period: Period) -> Result<(), Error> {
        let job = ParameterJob {
            name: job.name.as_bytes(),
            template: job.template.as_bytes(),
            values: pairs(&job.values),
            platform: job.platform.map(str::as_bytes),
        };
        let connection = self.connect_newer("have templates with parameters")?;
        exchange(connection, &Message::ScheduleTemplate { period, job }, |_, ()| {})
    }

    /// The templates with parameters, without their texts, of a name and of a platform if these are given; the server
    /// must speak version 14.
    pub fn templates(&self, name: Option<&str>, platform: Option<&str>) -> Result<Vec<TemplateTold>, Error> {
        let (name, platform) = (name.map(str::as_bytes), platform.map(str::as_bytes));
        self.ask_templates(AskTemplates { name, platform, with_text: false })
    }

    /// A template with its text; the server must speak version 14.
    pub fn template(&self, name: &str, platform: &str) -> Result<TemplateTold, Error> {
        let (only, on) = (Some(name.as_bytes()), Some(platform.as_bytes()));
        let found = self.ask_templates(AskTemplates { name: only, platform: on, with_text: true })?;
        let none = || Error::NoTemplate { name: name.to_owned(), platform: platform.to_owned() };
        found.into_iter().next().ok_or_else(none)
    }

    fn ask_templates(&self, ask: AskTemplates<'_>) -> Result<Vec<TemplateTold>, Error> {
        self.ask(Ask::Templates(ask), |step, templates: &mut Vec<TemplateTold>| {
            if let Step::Templates(rows) = step {
                *templates = rows.iter().map(TemplateTold::from).collect();
            }
        })
    }

    /// The script that a template makes of these values; the server must speak version 14.
    pub fn render(&self, template: &str, platform: &str, values: Vec<(&str, &str)>) -> Result<Vec<u8>, Error> {
        let (template, platform, values) = (template.as_bytes(), platform.as_bytes(), pairs(&values));
        self.ask(Ask::Render(AskRender { template, platform, values }), |step, script: &mut Vec<u8>| {
            if let Step::Script(bytes) = step {
                *script = bytes.to_vec();
            }
        })
    }

    /// Takes a job off the schedule and out of the queues.
    pub fn unschedule(&self, name: &str) -> Result<(), Error> {
        self.command(&Message::Unschedule { name: name.as_bytes() })
    }

    /// Puts a job at the front of the queue of one platform, or of all that it can run on.
    pub fn execute(&self, name: &str, platform: Option<&str>) -> Result<(), Error> {
        self.command(&Message::Execute { name: name.as_bytes(), platform: platform.map(str::as_bytes) })
    }

    /// Changes when a job runs next and, if a period is given, how often from then on.
    pub fn reschedule(&self, name: &str, next: Timestamp, period: Option<Period>) -> Result<(), Error> {
        self.command(&Message::Reschedule { name: name.as_bytes(), next, period })
    }

    /// Has the server forget a platform and refuse it from now on.
    pub fn drop_platform(&self, platform: &str) -> Result<(), Error> {
        self.command(&Message::DropPlatform { platform: platform.as_bytes() })
    }

    /// Has the server take a platform again.
    pub fn undrop_platform(&self, platform: &str) -> Result<(), Error> {
        self.command(&Message::UndropPlatform { platform: platform.as_bytes() })
    }

    /// What is going on.
    pub fn info(&self) -> Result<Farm, Error> {
        info(self.connect()?)
    }

    /// What is going on, and what each queued job waits for, where the server can tell.
    pub fn info_with_waits(&self) -> Result<Farm, Error> {
        let connection = Connection::open_newest(&self.remote)?;
        let version = connection.version();
        let mut farm = info(connection)?;
        if version >= ClientVersion::Fourteen {
            let waits = self.ask(Ask::Waits, |step, waits: &mut Vec<Wait>| {
                if let Step::Waits(rows) = step {
                    *waits = rows.iter().map(Wait::from).collect();
                }
            })?;
            farm.take_waits(waits);
        }
        Ok(farm)
    }

    /// The builds that have ended, the newest first. Asks in pages; the server must speak version 14.
    pub fn builds(&self, filter: &BuildFilter) -> Result<Vec<EndedBuild>, Error> {
        let (mut builds, mut before) = (Vec::new(), None);
        loop {
            let left = filter.count - builds.len();
            let ask = filter.ask(left, before);
            let page = self.ask(ask, |step, page: &mut BuildPage| {
                if let Step::Builds(reply) = step {
                    *page = BuildPage::from(*reply);
                }
            })?;
            builds.extend(page.builds.into_iter().take(left));
            match page.next {
                Some(next) if builds.len() < filter.count => {
                    if before.is_some_and(|before| next >= before) {
                        return Err(Error::Pages { remote: self.remote.clone() });
                    }
                    before = Some(next);
                }
                Some(_) | None => return Ok(builds),
            }
        }
    }

    /// The uploads that wait, the one that waits longest first; the server must speak version 14.
    pub fn uploads(&self) -> Result<Vec<WaitingUpload>, Error> {
        self.ask(Ask::Uploads, |step, uploads: &mut Vec<WaitingUpload>| {
            if let Step::Uploads(rows) = step {
                *uploads = rows.iter().map(WaitingUpload::from).collect();
            }
        })
    }

    /// What a finished build left; the server must speak version 14, and still have the record.
    pub fn artifacts(&self, build: BuildId) -> Result<Vec<Artifact>, Error> {
        self.ask(Ask::Artifacts(build), |step, artifacts: &mut Vec<Artifact>| {
            if let Step::Artifacts(rows) = step {
                let own =
                    |row: &ArtifactRow<'_>| Artifact { path: row.path.into(), bytes: row.bytes, sha256: row.sha256 };
                *artifacts = rows.iter().map(own).collect();
            }
        })
    }

    /// Shows the console of a build from its first line to its end, and gives its outcome. It returns when the build
    /// has ended, which may take as long as a build takes. An error of `show` ends it as [`Error::Sink`].
    pub fn observe(
        &self,
        build: BuildId,
        show: &mut dyn FnMut(ConsoleEvent<'_>) -> io::Result<()>,
    ) -> Result<Outcome, Error> {
        let mut connection = self.connect()?;
        connection.command(&Message::Observe { build })?;
        observe(&mut connection, build, show)
    }

    /// In the version that every server speaks.
    fn connect(&self) -> Result<Connection, Error> {
        Connection::open(&self.remote, ClientVersion::Thirteen)
    }

    fn command(&self, command: &Message<'_>) -> Result<(), Error> {
        exchange(self.connect()?, command, |_, ()| {})
    }

    fn ask<T: Default>(&self, ask: Ask<'_>, read: impl FnMut(&Step<'_, '_>, &mut T)) -> Result<T, Error> {
        exchange(self.connect_newer("tell")?, &Message::Ask(ask), read)
    }

    /// In version 14, for what older servers cannot do.
    fn connect_newer(&self, cannot: &'static str) -> Result<Connection, Error> {
        let connection = Connection::open_newest(&self.remote)?;
        match connection.version() {
            ClientVersion::Thirteen => Err(Error::OldServer { remote: self.remote.clone(), cannot }),
            ClientVersion::Fourteen => Ok(connection),
        }
    }
}

/// Names and values as they travel.
fn pairs<'a>(values: &[(&'a str, &'a str)]) -> Vec<(&'a [u8], &'a [u8])> {
    values.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn info(connection: Connection) -> Result<Farm, Error> {
    let remote = connection.remote().clone();
    let told = exchange(connection, &Message::Info, |step, told: &mut Option<Result<Farm, ParameterError>>| {
        if let Step::Info(info) = step {
            *told = Some(Farm::try_from(*info));
        }
    })?;
    told.transpose().map(Option::unwrap_or_default).map_err(|source| Error::Values { remote, source })
}

/// Sends a command and waits for its answer. What comes before the answer, if anything, is taken up by `read`; that
/// it comes, and is of the right kind, is the session's to see to.
fn exchange<T: Default>(
    mut connection: Connection,
    command: &Message<'_>,
    mut read: impl FnMut(&Step<'_, '_>, &mut T),
) -> Result<T, Error> {
    connection.command(command)?;
    let mut reply = T::default();
    loop {
        let answer = connection.receive(|step| match step {
            Step::Done => Answer::Done,
            Step::Refused(reason) => Answer::Refused(Shown(reason).to_string()),
            Step::Ready
            | Step::Info(_)
            | Step::Line { .. }
            | Step::Waits(_)
            | Step::Builds(_)
            | Step::Uploads(_)
            | Step::Artifacts(_)
            | Step::Templates(_)
            | Step::Script(_) => {
                read(&step, &mut reply);
                Answer::Reply
            }
        })?;
        match answer {
            Some(Answer::Done) => return Ok(reply),
            Some(Answer::Refused(reason)) => return Err(Error::Refused { reason }),
            Some(Answer::Reply) => {}
            None => return Err(Error::NoAnswer { remote: connection.remote().clone() }),
        }
    }
}
