//! What a client can ask of a server. Each method makes its own connection, as the protocol wants it.

use crate::connection::Connection;
use crate::error::Error;
use crate::farm::Farm;
use crate::observe::{ConsoleEvent, observe};
use crate::remote::Remote;
use builder_model::{BuildId, Outcome, Period, Shown, Timestamp};
use builder_wire::session::client::Step;
use builder_wire::{Message, ScriptJob};
use std::io;

/// Asks one server. Names and platforms are sent as they are: the server decides whether it takes them.
#[derive(Debug, Clone)]
pub struct Client {
    remote: Remote,
}

/// The answer to a command, as far as it has come.
enum Answer {
    Info(Farm),
    Done,
    Refused(String),
    Other,
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
        let mut connection = self.send(&Message::Info)?;
        let mut farm = Farm::default();
        loop {
            match answer(&mut connection)? {
                Answer::Info(reply) => farm = reply,
                Answer::Done => return Ok(farm),
                Answer::Refused(reason) => return Err(Error::Refused { reason }),
                Answer::Other => {}
            }
        }
    }

    /// Shows the console of a build from its first line to its end, and gives its outcome. It returns when the build
    /// has ended, which may take as long as a build takes. An error of `show` ends it as [`Error::Sink`].
    pub fn observe(
        &self,
        build: BuildId,
        show: &mut dyn FnMut(ConsoleEvent<'_>) -> io::Result<()>,
    ) -> Result<Outcome, Error> {
        let mut connection = self.send(&Message::Observe { build })?;
        observe(&mut connection, build, show)
    }

    fn send(&self, command: &Message<'_>) -> Result<Connection, Error> {
        let mut connection = Connection::open(&self.remote)?;
        connection.command(command)?;
        Ok(connection)
    }

    fn command(&self, command: &Message<'_>) -> Result<(), Error> {
        let mut connection = self.send(command)?;
        loop {
            match answer(&mut connection)? {
                Answer::Done => return Ok(()),
                Answer::Refused(reason) => return Err(Error::Refused { reason }),
                Answer::Info(_) | Answer::Other => {}
            }
        }
    }
}

fn answer(connection: &mut Connection) -> Result<Answer, Error> {
    let answer = connection.receive(|step| match step {
        Step::Info(info) => Answer::Info(Farm::from(info)),
        Step::Done => Answer::Done,
        Step::Refused(reason) => Answer::Refused(Shown(reason).to_string()),
        Step::Ready | Step::Line { .. } | Step::Waits(_) | Step::Builds(_) | Step::Uploads(_) | Step::Artifacts(_) => {
            Answer::Other
        }
    })?;
    answer.ok_or_else(|| Error::NoAnswer { remote: connection.remote().clone() })
}
