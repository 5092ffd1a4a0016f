//! A connection as a worker sees it: hello, a request, one job.

use crate::message::{Message, MessageKind, ScriptJob};
use builder_model::BuildId;

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// The hello was sent.
    Greeting,
    /// A job was requested; it may take days.
    Waiting,
    /// The job runs as this build; the server has nothing to say.
    Running(BuildId),
}

/// What a message means.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Send `jobRequested` now.
    Request,
    /// Run this.
    Run {
        /// As this build.
        build: BuildId,
        /// The job.
        job: ScriptJob<'a>,
    },
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
            Self::Waiting => ("a job", kind == MessageKind::JobSchedule),
            Self::Running(_) => ("silence", false),
        };
        if admitted { Ok(()) } else { Err(Violation { kind, expected }) }
    }

    /// Takes a message and moves on.
    pub fn receive<'a>(&mut self, message: &Message<'a>) -> Result<Step<'a>, Violation> {
        self.admits(message.kind())?;
        if let Message::JobSchedule { build, job } = message {
            *self = Self::Running(*build);
            Ok(Step::Run { build: *build, job: *job })
        } else {
            *self = Self::Waiting;
            Ok(Step::Request)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples::{BUILD, one_of_each};

    /// Which messages each state takes, by their place in `one_of_each`; all others are violations that change nothing.
    #[test]
    fn every_state_and_message() {
        let table: [(Session, &[usize]); 3] =
            [(Session::Greeting, &[13]), (Session::Waiting, &[0]), (Session::Running(BUILD), &[])];
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
}
