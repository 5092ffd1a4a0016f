//! One connection to a server: opened, greeted, one command sent, its answer read. What a message means, and whether
//! it may come, is the wire crate's session; here are only the bytes and the waiting.

use crate::error::Error;
use builder_model::Remote;
use builder_wire::session::client::{Session, Step};
use builder_wire::{ClientVersion, Inbox, Message, MessageKind};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long one address of a server may take to accept a connection, in seconds.
pub const CONNECT_SECONDS_MAX: u64 = 10;
/// How long a server may take to say hello, in seconds.
pub const HELLO_SECONDS_MAX: u64 = 30;
/// How long a server may be silent before it has answered a command, in seconds. Observing has no such limit: a
/// build may be silent for as long as it runs.
pub const ANSWER_SECONDS_MAX: u64 = 120;
/// How long a server may be silent before it has listed the artifacts of a build, in seconds: it reads all of them.
pub const ARTIFACTS_SECONDS_MAX: u64 = 1800;
/// After how much silence a connection is probed, and how often then, in seconds: a dead server is noticed.
const KEEPALIVE_SECONDS: (u64, u64) = (30, 10);

/// A connection after its hello.
#[derive(Debug)]
pub(crate) struct Connection {
    remote: Remote,
    stream: TcpStream,
    inbox: Inbox,
    session: Session,
    version: ClientVersion,
    doing: &'static str,
}

impl Connection {
    /// Tries the addresses of the server in order, and greets the first that is there.
    pub(crate) fn open(remote: &Remote, version: ClientVersion) -> Result<Self, Error> {
        let stream = connect(remote)?;
        let (remote, inbox, session) = (remote.clone(), Inbox::new(), Session::Greeting);
        let mut connection = Self { remote, stream, inbox, session, version, doing: "greeting the server" };
        connection.wait_at_most(Some(HELLO_SECONDS_MAX))?;
        connection.send(&version.hello())?;
        match connection.receive(|step| matches!(step, Step::Ready))? {
            Some(_) => Ok(connection),
            None => Err(Error::NoHello { remote: connection.remote }),
        }
    }

    /// Greets the server in the newest version that it speaks: one that does not know a version closes without a
    /// word.
    pub(crate) fn open_newest(remote: &Remote) -> Result<Self, Error> {
        match Self::open(remote, ClientVersion::Fourteen) {
            Err(Error::NoHello { .. }) => Self::open(remote, ClientVersion::Thirteen),
            opened => opened,
        }
    }

    /// The version that was agreed on.
    pub(crate) fn version(&self) -> ClientVersion {
        self.version
    }

    /// Sends the one command.
    pub(crate) fn command(&mut self, command: &Message<'_>) -> Result<(), Error> {
        self.doing = "sending the command";
        self.session.commanded(command);
        let observing = matches!(self.session, Session::Observing(_));
        let artifacts = self.session == Session::AwaitsReply(MessageKind::ArtifactsReply);
        let seconds = if artifacts { ARTIFACTS_SECONDS_MAX } else { ANSWER_SECONDS_MAX };
        self.wait_at_most((!observing).then_some(seconds))?;
        self.send(command)?;
        self.doing = if observing { "observing the build" } else { "waiting for the answer" };
        Ok(())
    }

    /// The next message, as `read` understands it; none at the end of the connection.
    pub(crate) fn receive<T>(&mut self, read: impl FnOnce(Step<'_, '_>) -> T) -> Result<Option<T>, Error> {
        let head = loop {
            let head = self.inbox.head().map_err(|source| Error::Frame { remote: self.remote.clone(), source })?;
            if let Some(head) = head {
                // A message that may not come is refused before its bytes are waited for.
                self.session.admits(head.kind)?;
                if self.inbox.message(head).is_some() {
                    break head;
                }
            }
            if !self.fill()? {
                return Ok(None);
            }
        };
        let bytes = self.inbox.message(head).unwrap_or_default();
        let decoded = Message::decode(bytes);
        let message = decoded.map_err(|source| Error::Decode { remote: self.remote.clone(), source })?;
        let value = read(self.session.receive(&message)?);
        self.inbox.message_done(head);
        Ok(Some(value))
    }

    /// Whether the next message is here already, so that [`Connection::receive`] will not wait.
    pub(crate) fn has_message(&self) -> bool {
        matches!(self.inbox.head(), Ok(Some(head)) if self.inbox.message(head).is_some())
    }

    /// The server at the other end.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Reads once; false at the end of the connection.
    fn fill(&mut self) -> Result<bool, Error> {
        loop {
            match self.stream.read(self.inbox.room()) {
                Ok(count) => {
                    self.inbox.filled(count);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A server that closes while bytes of ours are on their way resets the connection: that is its end.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(self.lost(io::Error::new(io::ErrorKind::TimedOut, "the server is silent")));
                }
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    /// Large scripts go out from where they lie.
    fn send(&mut self, message: &Message<'_>) -> Result<(), Error> {
        let frame = message.frame();
        for piece in frame.pieces() {
            match self.stream.write_all(piece) {
                Ok(()) => {}
                // The server may have answered, and closed, before it read everything: the answer tells more.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(self.lost(error)),
            }
        }
        Ok(())
    }

    fn wait_at_most(&self, seconds: Option<u64>) -> Result<(), Error> {
        let limit = seconds.map(Duration::from_secs);
        self.stream.set_read_timeout(limit).map_err(|source| self.lost(source))
    }

    fn lost(&self, source: io::Error) -> Error {
        Error::Lost { remote: self.remote.clone(), doing: self.doing, source }
    }
}

fn connect(remote: &Remote) -> Result<TcpStream, Error> {
    let addresses = (remote.host(), remote.port()).to_socket_addrs();
    let addresses = addresses.map_err(|source| Error::Lookup { remote: remote.clone(), source })?;
    let mut failures = Vec::new();
    for address in addresses {
        let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
        match TcpStream::connect_timeout(&address, limit).and_then(prepare) {
            Ok(stream) => return Ok(stream),
            Err(error) => failures.push((address, error)),
        }
    }
    Err(Error::Connect { remote: remote.clone(), failures })
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))?;
    let (silence, between) = KEEPALIVE_SECONDS;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(silence)).with_interval(Duration::from_secs(between));
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}
