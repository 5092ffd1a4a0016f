//! The versions of the protocol that a client or a worker and a server may agree on.

use crate::message::{Message, MessageKind, Role};

/// A version of the client's protocol. The hello names it; a server that does not speak it closes without an answer,
/// and the client may then connect again with an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientVersion {
    /// The original's, which every server speaks.
    Thirteen = 13,
    /// The same, `ask` with its replies, and jobs of templates with parameters.
    Fourteen = 14,
}

impl ClientVersion {
    /// All of them, the oldest first.
    pub const ALL: [Self; 2] = [Self::Thirteen, Self::Fourteen];

    /// How a hello says it.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The version of a hello.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// The first message of a client that speaks it.
    pub const fn hello(self) -> Message<'static> {
        Message::ClientHello { role: Role::Client, version: self.number() }
    }

    /// Whether a client that speaks it may give this command; asked of commands only.
    pub(crate) fn has(self, command: MessageKind) -> bool {
        let new = matches!(command, MessageKind::Ask | MessageKind::ScheduleTemplate);
        !new || self >= Self::Fourteen
    }
}

/// A version of the worker's protocol, agreed on as that of a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerVersion {
    /// The original's, which every server speaks.
    Five = 5,
    /// The same, and `tell`.
    Six = 6,
}

impl WorkerVersion {
    /// All of them, the oldest first.
    pub const ALL: [Self; 2] = [Self::Five, Self::Six];

    /// How a hello says it.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The version of a hello.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// The first message of a worker that speaks it.
    pub const fn hello(self) -> Message<'static> {
        Message::ClientHello { role: Role::Worker, version: self.number() }
    }

    /// Whether a worker that speaks it may tell what became of its build otherwise than by handing it in.
    pub const fn tells(self) -> bool {
        match self {
            Self::Five => false,
            Self::Six => true,
        }
    }
}
