//! A connection as a client sees it: hello, one command, the answer.

use crate::message::{
    ArtifactRow, Ask, BuildsReply, Info, Message, MessageKind, Reply, TemplateRow, UploadRow, WaitRow,
};
use crate::{ClientVersion, WorkerVersion};
use builder_model::BuildId;

/// The first message of a client that asks for nothing new: every server takes it.
pub const HELLO: Message<'static> = ClientVersion::Thirteen.hello();
/// The first message of a worker that tells nothing new: every server takes it.
pub const WORKER_HELLO: Message<'static> = WorkerVersion::Five.hello();

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// The hello was sent.
    Greeting,
    /// The server is there: the command may be sent.
    Ready,
    /// A command was sent whose answer is `success` or `failure`.
    Commanded,
    /// `info` was sent: its reply comes before the answer.
    AwaitsInfo,
    /// `ask` was sent: the reply to its question comes before the answer.
    AwaitsReply(MessageKind),
    /// `ask` for templates was sent: their list comes before the answer.
    AwaitsTemplates,
    /// `ask` for what a template makes was sent: the script comes before the answer.
    AwaitsScript,
    /// `observe` was sent for this build: lines come before the answer.
    Observing(BuildId),
    /// The answer came.
    Done,
}

/// What a message means.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a, 'm> {
    /// Send the command now.
    Ready,
    /// The answer to `info`.
    Info(&'m Info<'a>),
    /// What queued jobs wait for.
    Waits(&'m [WaitRow<'a>]),
    /// Builds that have ended.
    Builds(&'m BuildsReply<'a>),
    /// Uploads that wait.
    Uploads(&'m [UploadRow<'a>]),
    /// What the build left.
    Artifacts(&'m [ArtifactRow<'a>]),
    /// Templates.
    Templates(&'m [TemplateRow<'a>]),
    /// What a template makes.
    Script(&'m [u8]),
    /// A line of the observed build; the last one before the answer is the outcome.
    Line {
        /// Nanoseconds since the start of the build.
        delta: i64,
        /// The line.
        line: &'a [u8],
    },
    /// The server did what was asked.
    Done,
    /// The server refuses, and says why.
    Refused(&'a [u8]),
}

/// A message that may not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server sent {kind:?} where {expected} was expected")]
pub struct Violation {
    /// What it sent.
    pub kind: MessageKind,
    /// What should have come.
    pub expected: &'static str,
}

impl Session {
    /// Whether a message of this kind may come now.
    pub fn admits(&self, kind: MessageKind) -> Result<(), Violation> {
        let (expected, admitted) = match self {
            Self::Greeting => ("a hello", kind == MessageKind::ServerHello),
            Self::Ready => ("silence", false),
            Self::Commanded => ("success or failure", is_answer(kind)),
            Self::AwaitsInfo => {
                let info = matches!(kind, MessageKind::InfoReply | MessageKind::InfoReplyOld);
                ("the reply to info", info || kind == MessageKind::Failure)
            }
            Self::AwaitsReply(reply) => ("the reply to the question", kind == *reply || kind == MessageKind::Failure),
            Self::AwaitsTemplates | Self::AwaitsScript => {
                ("the reply to the question", matches!(kind, MessageKind::Reply | MessageKind::Failure))
            }
            Self::Observing(_) => ("a line of output", kind == MessageKind::Output || is_answer(kind)),
            Self::Done => ("the end", false),
        };
        if admitted { Ok(()) } else { Err(Violation { kind, expected }) }
    }

    /// The command was sent: what may come now follows from it.
    pub fn commanded(&mut self, command: &Message<'_>) {
        assert_eq!(*self, Self::Ready, "one command is sent, after the hello");
        *self = if let Message::Observe { build } = command {
            Self::Observing(*build)
        } else if let Message::Ask(ask) = command {
            awaits(ask)
        } else if command.kind() == MessageKind::Info {
            Self::AwaitsInfo
        } else {
            Self::Commanded
        };
    }

    /// Takes a message and moves on.
    pub fn receive<'a, 'm>(&mut self, message: &'m Message<'a>) -> Result<Step<'a, 'm>, Violation> {
        self.admits(message.kind())?;
        #[expect(clippy::wildcard_enum_match_arm, reason = "`admits` has told the others apart")]
        let (next, step) = match message {
            Message::ServerHello => (Self::Ready, Step::Ready),
            Message::InfoReply(info) => (Self::Commanded, Step::Info(info)),
            Message::WaitsReply(rows) => (Self::Commanded, Step::Waits(rows)),
            Message::BuildsReply(reply) => (Self::Commanded, Step::Builds(reply)),
            Message::UploadsReply(rows) => (Self::Commanded, Step::Uploads(rows)),
            Message::ArtifactsReply(rows) => (Self::Commanded, Step::Artifacts(rows)),
            Message::Reply(Reply::Templates(rows)) if *self == Self::AwaitsTemplates => {
                (Self::Commanded, Step::Templates(rows))
            }
            Message::Reply(Reply::Script(script)) if *self == Self::AwaitsScript => {
                (Self::Commanded, Step::Script(script))
            }
            Message::Reply(_) => {
                return Err(Violation { kind: message.kind(), expected: "the reply to the question" });
            }
            Message::Success => (Self::Done, Step::Done),
            Message::Failure { reason } => (Self::Done, Step::Refused(reason)),
            Message::Output { build, line, delta: Some(delta) } if *self == Self::Observing(*build) => {
                (*self, Step::Line { delta: *delta, line })
            }
            other => return Err(Violation { kind: other.kind(), expected: "a line of the observed build" }),
        };
        *self = next;
        Ok(step)
    }
}

fn awaits(ask: &Ask<'_>) -> Session {
    match ask {
        Ask::Waits => Session::AwaitsReply(MessageKind::WaitsReply),
        Ask::Builds(_) => Session::AwaitsReply(MessageKind::BuildsReply),
        Ask::Uploads => Session::AwaitsReply(MessageKind::UploadsReply),
        Ask::Artifacts(_) => Session::AwaitsReply(MessageKind::ArtifactsReply),
        Ask::Templates(_) => Session::AwaitsTemplates,
        Ask::Render(_) => Session::AwaitsScript,
    }
}

fn is_answer(kind: MessageKind) -> bool {
    matches!(kind, MessageKind::Success | MessageKind::Failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples::{BUILD, OTHER, one_of_each};

    /// Which messages each state takes, by their place in `one_of_each`; all others are violations that change nothing.
    #[test]
    fn every_state_and_message() {
        let table: [(Session, &[usize]); 12] = [
            (Session::Greeting, &[13]),
            (Session::Ready, &[]),
            (Session::Commanded, &[16, 17]),
            (Session::AwaitsInfo, &[17, 20]),
            (Session::AwaitsReply(MessageKind::WaitsReply), &[17, 25]),
            (Session::AwaitsReply(MessageKind::BuildsReply), &[17, 26]),
            (Session::AwaitsReply(MessageKind::UploadsReply), &[17, 27]),
            (Session::AwaitsReply(MessageKind::ArtifactsReply), &[17, 28]),
            (Session::AwaitsTemplates, &[17, 34]),
            (Session::AwaitsScript, &[17, 35]),
            (Session::Observing(BUILD), &[3, 16, 17]),
            (Session::Done, &[]),
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
        let other = Message::Output { build: OTHER, line: b"l", delta: Some(1) };
        assert!(Session::Observing(BUILD).receive(&other).is_err());
    }

    #[test]
    fn commands_decide_what_may_come() {
        for (index, command) in one_of_each().iter().enumerate() {
            let mut session = Session::Ready;
            session.commanded(command);
            let expected = match index {
                5 => Session::AwaitsInfo,
                7 => Session::Observing(BUILD),
                21 => Session::AwaitsReply(MessageKind::WaitsReply),
                22 => Session::AwaitsReply(MessageKind::BuildsReply),
                23 => Session::AwaitsReply(MessageKind::UploadsReply),
                24 => Session::AwaitsReply(MessageKind::ArtifactsReply),
                31 => Session::AwaitsTemplates,
                32 => Session::AwaitsScript,
                _ => Session::Commanded,
            };
            assert_eq!(session, expected);
        }
    }
}
