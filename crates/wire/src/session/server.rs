//! A connection as the server sees it.

use crate::message::{Message, MessageKind, Role};
use crate::{ClientVersion, Told, WorkerVersion};
use builder_model::BuildId;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// Nothing came yet.
    Greeting,
    /// A client said hello; its one command comes next, of those that its version has.
    Client(ClientVersion),
    /// The client gave its command; nothing more may come.
    Commanded,
    /// A worker said hello; its platform comes next.
    Worker(WorkerVersion),
    /// The worker waits for a job; it has nothing to say.
    Waiting(WorkerVersion),
    /// The worker runs this build.
    Running(WorkerVersion, BuildId),
    /// The worker handed the build in, or told that it will not; nothing more may come.
    Finished,
}

/// What a message means.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a, 'm> {
    /// Answer with `serverHello`.
    Greet(Role),
    /// A command of a client: answer it, then close.
    Command(&'m Message<'a>),
    /// A worker waits for a job for this platform.
    JobRequested(&'a [u8]),
    /// A line of the running build.
    Line(&'a [u8]),
    /// The running build ended; its files follow.
    Finished,
    /// The running build has no end here.
    Told(Told<'a>),
}

/// A message that may not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The first message is no hello: close without an answer.
    #[error("the first message is {0:?}, not a hello")]
    NoHello(MessageKind),
    /// Another version: close without an answer, as the original does.
    #[error("the {role:?} speaks version {version} of the protocol, this server speaks {spoken}")]
    Version {
        /// Who.
        role: Role,
        /// What it speaks.
        version: i64,
        /// What it may speak.
        spoken: &'static str,
    },
    /// No command of a client: answer `failure "bad communication"`, then close.
    #[error("a client sent {0:?}, which is no command of a client")]
    NoCommand(MessageKind),
    /// No message that a worker sends now: close; a running build is lost.
    #[error("a worker sent {kind:?} while it {state}")]
    Unexpected {
        /// What it sent.
        kind: MessageKind,
        /// What it should be doing.
        state: &'static str,
    },
    /// A worker speaks of a build that it does not have: close; its own build is lost.
    #[error("a worker that has build {expected} sent {kind:?} for build {found}")]
    OtherBuild {
        /// What it sent.
        kind: MessageKind,
        /// The build it has.
        expected: BuildId,
        /// The build it speaks of.
        found: BuildId,
    },
}

impl Session {
    /// Whether a message of this kind may come now: asked when its first byte is there, so that nobody can send long
    /// messages that would be refused.
    pub fn admits(&self, kind: MessageKind) -> Result<(), Violation> {
        let unexpected = |state| Err(Violation::Unexpected { kind, state });
        match self {
            Self::Greeting if kind == MessageKind::ClientHello => Ok(()),
            Self::Greeting => Err(Violation::NoHello(kind)),
            Self::Client(version) if is_command(kind) && version.has(kind) => Ok(()),
            Self::Client(_) | Self::Commanded => Err(Violation::NoCommand(kind)),
            Self::Worker(_) if kind == MessageKind::JobRequested => Ok(()),
            Self::Worker(_) => unexpected("should ask for a job"),
            Self::Waiting(_) => unexpected("waits for a job"),
            Self::Running(..) if matches!(kind, MessageKind::Output | MessageKind::JobFinished) => Ok(()),
            Self::Running(version, _) if kind == MessageKind::Tell && version.tells() => Ok(()),
            Self::Running(..) => unexpected("runs a build"),
            Self::Finished => unexpected("has finished"),
        }
    }

    /// Takes a message and moves on.
    pub fn receive<'a, 'm>(&mut self, message: &'m Message<'a>) -> Result<Step<'a, 'm>, Violation> {
        self.admits(message.kind())?;
        let step = match message {
            Message::ClientHello { role, version } => self.greet(*role, *version)?,
            Message::JobRequested { platform } => {
                if let Self::Worker(version) = *self {
                    *self = Self::Waiting(version);
                }
                Step::JobRequested(platform)
            }
            Message::Output { build, line, delta: _ } => {
                self.own_build(message.kind(), *build)?;
                Step::Line(line)
            }
            Message::JobFinished { build, outcome: _, files: _ } => {
                self.finished(*build)?;
                Step::Finished
            }
            Message::Tell { build, what } => {
                self.own_build(message.kind(), *build)?;
                *self = Self::Finished;
                Step::Told(*what)
            }
            Message::Schedule { .. }
            | Message::Info
            | Message::Unschedule { .. }
            | Message::Observe { .. }
            | Message::ScheduleTemplated { .. }
            | Message::Reschedule { .. }
            | Message::DropPlatform { .. }
            | Message::Execute { .. }
            | Message::UndropPlatform { .. }
            | Message::ScheduleTemplate { .. }
            | Message::Ask(_) => {
                *self = Self::Commanded;
                Step::Command(message)
            }
            Message::JobSchedule { .. }
            | Message::ServerHello
            | Message::Success
            | Message::Failure { .. }
            | Message::InfoReply(_)
            | Message::WaitsReply(_)
            | Message::BuildsReply(_)
            | Message::UploadsReply(_)
            | Message::ArtifactsReply(_)
            | Message::Reply(_) => return Err(Violation::NoCommand(message.kind())),
        };
        Ok(step)
    }

    /// The head of a `jobFinished` names this build: it must be the one that runs here.
    pub fn finished(&mut self, build: BuildId) -> Result<(), Violation> {
        self.own_build(MessageKind::JobFinished, build)?;
        *self = Self::Finished;
        Ok(())
    }

    /// The waiting worker was given this build.
    pub fn assigned(&mut self, build: BuildId) {
        let Self::Waiting(version) = *self else { unreachable!("only a waiting worker is given a build") };
        *self = Self::Running(version, build);
    }

    fn greet(&mut self, role: Role, version: i64) -> Result<Step<'static, 'static>, Violation> {
        let next = match role {
            Role::Client => ClientVersion::from_number(version).map(Self::Client),
            Role::Worker => WorkerVersion::from_number(version).map(Self::Worker),
        };
        let Some(next) = next else {
            let spoken = match role {
                Role::Client => "13 and 14",
                Role::Worker => "5 and 6",
            };
            return Err(Violation::Version { role, version, spoken });
        };
        *self = next;
        Ok(Step::Greet(role))
    }

    fn own_build(&self, kind: MessageKind, found: BuildId) -> Result<(), Violation> {
        match *self {
            Self::Running(_, expected) if expected == found => Ok(()),
            Self::Running(_, expected) => Err(Violation::OtherBuild { kind, expected, found }),
            Self::Greeting
            | Self::Client(_)
            | Self::Commanded
            | Self::Worker(_)
            | Self::Waiting(_)
            | Self::Finished => Err(Violation::Unexpected { kind, state: "has no build" }),
        }
    }
}

fn is_command(kind: MessageKind) -> bool {
    match kind {
        MessageKind::Schedule
        | MessageKind::Info
        | MessageKind::Unschedule
        | MessageKind::Observe
        | MessageKind::ExecuteOld
        | MessageKind::ScheduleTemplated
        | MessageKind::Reschedule
        | MessageKind::DropPlatform
        | MessageKind::Execute
        | MessageKind::UndropPlatform
        | MessageKind::ScheduleTemplate
        | MessageKind::Ask => true,
        MessageKind::Obsolete0
        | MessageKind::Obsolete1
        | MessageKind::Obsolete8
        | MessageKind::JobSchedule
        | MessageKind::JobFinished
        | MessageKind::Output
        | MessageKind::InfoReplyOld
        | MessageKind::ClientHello
        | MessageKind::ServerHello
        | MessageKind::JobRequested
        | MessageKind::Success
        | MessageKind::Failure
        | MessageKind::InfoReply
        | MessageKind::WaitsReply
        | MessageKind::BuildsReply
        | MessageKind::UploadsReply
        | MessageKind::ArtifactsReply
        | MessageKind::Reply
        | MessageKind::Tell => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples::{BUILD, OTHER, one_of_each};

    /// Which messages each state takes, by their place in `one_of_each`; all others are violations that change nothing.
    #[test]
    fn every_state_and_message() {
        let commands = [4, 5, 6, 7, 8, 9, 15, 18, 19, 21, 22, 23, 24, 31, 32, 33];
        let table: [(Session, &[usize]); 11] = [
            (Session::Greeting, &[10, 11, 29, 36]),
            (Session::Client(ClientVersion::Thirteen), &commands[..9]),
            (Session::Client(ClientVersion::Fourteen), &commands),
            (Session::Commanded, &[]),
            (Session::Worker(WorkerVersion::Five), &[14]),
            (Session::Worker(WorkerVersion::Six), &[14]),
            (Session::Waiting(WorkerVersion::Five), &[]),
            (Session::Waiting(WorkerVersion::Six), &[]),
            (Session::Running(WorkerVersion::Five, BUILD), &[1, 2, 3]),
            (Session::Running(WorkerVersion::Six, BUILD), &[1, 2, 3, 38]),
            (Session::Finished, &[]),
        ];
        for (state, taken) in table {
            for (index, message) in one_of_each().iter().enumerate() {
                let mut session = state;
                let result = session.receive(message);
                assert_eq!(result.is_ok(), taken.contains(&index), "{state:?} {message:?}");
                if result.is_err() {
                    assert_eq!(session, state, "a violation changes nothing: {message:?}");
                }
            }
        }
    }

    #[test]
    fn other_versions_are_told_what_is_spoken() {
        let violation =
            |role, version| Session::Greeting.receive(&Message::ClientHello { role, version }).unwrap_err().to_string();
        let spoken = ClientVersion::ALL.map(|version| version.number().to_string()).join(" and ");
        let client = violation(Role::Client, 15);
        assert_eq!(client, format!("the Client speaks version 15 of the protocol, this server speaks {spoken}"));
        let spoken = WorkerVersion::ALL.map(|version| version.number().to_string()).join(" and ");
        let worker = violation(Role::Worker, 13);
        assert_eq!(worker, format!("the Worker speaks version 13 of the protocol, this server speaks {spoken}"));
    }

    #[test]
    fn another_build_is_a_violation() {
        for message in [
            Message::Output { build: OTHER, line: b"l", delta: None },
            Message::JobFinished { build: OTHER, outcome: builder_model::Outcome::Exited(0), files: Vec::new() },
            Message::Tell { build: OTHER, what: Told::Refused(b"no") },
        ] {
            let violation = Session::Running(WorkerVersion::Six, BUILD).receive(&message).unwrap_err();
            assert_eq!(violation, Violation::OtherBuild { kind: message.kind(), expected: BUILD, found: OTHER });
        }
    }

    #[test]
    fn a_worker_goes_through_its_life() {
        for version in WorkerVersion::ALL {
            let mut session = Session::Greeting;
            assert_eq!(session.receive(&version.hello()), Ok(Step::Greet(Role::Worker)));
            let request = Message::JobRequested { platform: b"p" };
            assert_eq!(session.receive(&request), Ok(Step::JobRequested(b"p")));
            session.assigned(BUILD);
            if version.tells() {
                let told = Message::Tell { build: BUILD, what: Told::Refused(b"no") };
                assert_eq!(session.receive(&told), Ok(Step::Told(Told::Refused(b"no"))));
            } else {
                assert_eq!(session.finished(BUILD), Ok(()));
            }
            assert_eq!(session, Session::Finished);
        }
    }
}
