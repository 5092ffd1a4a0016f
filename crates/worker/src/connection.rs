//! The connection to the server: finding it, keeping it alive, whole messages in and bytes out.
//!
//! Every wait here also waits for the request to stop.

use crate::error::Error;
use crate::signals::Stop;
use crate::wait;
use builder_model::{BuildId, Remote, ScriptJob};
use builder_wire::session::worker::{Session, Step};
use builder_wire::{Inbox, Message, Told, WorkerVersion};
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long one address may take to accept a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
/// How long the server may take to answer our hello.
const HELLO_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the server may take no bytes at all. A slow server slows the job; one that does nothing is gone.
const STALL_TIME_MAX: Duration = Duration::from_secs(600);
/// How long the server may take to store a build that it has received.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(600);
/// After this long without a byte, the server is asked for a sign of life,
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// then this often,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// and after this many questions without an answer it is gone.
const KEEPALIVE_PROBES: u32 = 4;

/// What goes on while a server and a worker agree on a version.
pub(crate) const AT_HELLO: &str = "at the hello";

/// A connection on which a job is requested, run and handed in.
pub(crate) struct Connection<'a> {
    stream: TcpStream,
    stop: &'a Stop,
    inbox: Inbox,
    session: Session,
    version: WorkerVersion,
}

/// The job that the server wants run.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// As which build.
    pub(crate) build: BuildId,
    /// What.
    pub(crate) job: ScriptJob,
}

/// What a message asks of us.
enum Next {
    Request,
    Run(Assignment),
}

impl<'a> Connection<'a> {
    /// Connects and says hello with this version of the protocol, or where the server does not take that, with the oldest;
    /// the server has answered when this comes back.
    pub(crate) fn open(remote: &Remote, stop: &'a Stop, version: WorkerVersion) -> Result<Self, Error> {
        match Self::open_as(remote, stop, version) {
            Err(error) if version != WorkerVersion::Five && error.may_be_the_version() => {
                tracing::debug!("the server takes no hello of version {}: {error}", version.number());
                Self::open_as(remote, stop, WorkerVersion::Five)
            }
            result => result,
        }
    }

    fn open_as(remote: &Remote, stop: &'a Stop, version: WorkerVersion) -> Result<Self, Error> {
        let resolved = (remote.host(), remote.port()).to_socket_addrs();
        let addresses = resolved.map_err(|source| Error::Resolve { remote: remote.clone(), source })?;
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        for address in addresses {
            match connect(address, stop) {
                Ok(stream) => {
                    let (inbox, session) = (Inbox::new(), Session::Greeting);
                    let mut connection = Self { stream, stop, inbox, session, version };
                    connection.hello()?;
                    return Ok(connection);
                }
                Err(_) if stop.is_stopped() => return Err(Error::Stopped),
                Err(error) => failure = error,
            }
        }
        Err(Error::Connect { remote: remote.clone(), source: failure })
    }

    /// The version of the protocol that both speak.
    pub(crate) fn version(&self) -> WorkerVersion {
        self.version
    }

    fn hello(&mut self) -> Result<(), Error> {
        self.send(&self.version.hello().frame().to_vec(), AT_HELLO)?;
        match self.receive(Some(HELLO_TIME_MAX), AT_HELLO)? {
            Some(Next::Request) => Ok(()),
            Some(Next::Run(_)) => unreachable!("the session takes no job before it was requested"),
            None => Err(Error::NotWelcome),
        }
    }

    /// Asks for a job, and waits for it, for days if need be.
    pub(crate) fn request(&mut self, platform: &[u8]) -> Result<Assignment, Error> {
        const DOING: &str = "while we waited for a job";
        self.send(&Message::JobRequested { platform }.frame().to_vec(), DOING)?;
        let assignment = match self.receive(None, DOING)? {
            Some(Next::Run(assignment)) => assignment,
            Some(Next::Request) => unreachable!("the session takes one hello only"),
            None => return Err(Error::ClosedWaiting),
        };
        if self.inbox.bytes().is_empty() { Ok(assignment) } else { Err(Error::SpokeDuringJob) }
    }

    /// The next message; nothing when the server closed between two messages.
    fn receive(&mut self, at_most: Option<Duration>, doing: &'static str) -> Result<Option<Next>, Error> {
        let until = at_most.map(|at_most| Instant::now() + at_most);
        self.inbox.release();
        loop {
            if let Some(head) = self.inbox.head()? {
                self.session.admits(head.kind)?;
                if let Some(bytes) = self.inbox.message(head) {
                    let message = Message::decode(bytes)?;
                    let next = match self.session.receive(&message)? {
                        Step::Request => Next::Request,
                        Step::Run { build, job } => Next::Run(Assignment { build, job: job.to_model() }),
                    };
                    self.inbox.message_done(head);
                    return Ok(Some(next));
                }
            }
            self.await_readable(until, at_most, doing)?;
            match self.stream.read(self.inbox.room()) {
                Ok(0) if self.inbox.bytes().is_empty() => return Ok(None),
                Ok(0) => return Err(Error::Lost { doing, source: io::ErrorKind::UnexpectedEof.into() }),
                Ok(count) => self.inbox.filled(count),
                Err(error) if is_passing(&error) => {}
                Err(source) => return Err(Error::Lost { doing, source }),
            }
        }
    }

    fn await_readable(
        &self,
        until: Option<Instant>,
        at_most: Option<Duration>,
        doing: &'static str,
    ) -> Result<(), Error> {
        let mut fds = [wait::to_read(self.stream.as_fd()), wait::to_read(self.stop.fd())];
        let ready = wait::poll_until(&mut fds, until).map_err(|source| Error::Lost { doing, source })?;
        if wait::happened(&fds[1]) {
            return Err(Error::Stopped);
        }
        let seconds = at_most.unwrap_or_default().as_secs();
        if ready { Ok(()) } else { Err(Error::Silent { seconds, doing }) }
    }

    /// Sends all these bytes, however slowly the server takes them.
    pub(crate) fn send(&self, mut bytes: &[u8], doing: &'static str) -> Result<(), Error> {
        if self.stop.is_stopped() {
            return Err(Error::Stopped);
        }
        while !bytes.is_empty() {
            match (&self.stream).write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.await_writable(doing)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Lost { doing, source }),
            }
        }
        Ok(())
    }

    fn await_writable(&self, doing: &'static str) -> Result<(), Error> {
        let mut fds = [wait::to_write(self.stream.as_fd()), wait::to_read(self.stop.fd())];
        let until = Some(Instant::now() + STALL_TIME_MAX);
        let ready = wait::poll_until(&mut fds, until).map_err(|source| Error::Lost { doing, source })?;
        if wait::happened(&fds[1]) {
            return Err(Error::Stopped);
        }
        if ready { Ok(()) } else { Err(Error::Silent { seconds: STALL_TIME_MAX.as_secs(), doing }) }
    }

    /// What can be read from when the server closed, or broke the silence that it owes while a job runs.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Why [`Connection::fd`] could be read from while a job ran; nothing if there was no reason.
    pub(crate) fn broken(&self) -> Option<Error> {
        match (&self.stream).read(&mut [0]) {
            Ok(0) => Some(Error::EndedByServer),
            Ok(_) => Some(Error::SpokeDuringJob),
            Err(error) if is_passing(&error) => None,
            Err(source) => Some(Error::Lost { doing: "while the job ran", source }),
        }
    }

    /// Ends the connection for every thread that uses it.
    pub(crate) fn abandon(&self) {
        match self.stream.shutdown(Shutdown::Both) {
            // One that is gone already needs no ending.
            Ok(()) | Err(_) => {}
        }
    }

    /// Tells why the job has not begun and will not begin here, and waits until the server knows; where the version of the
    /// protocol has words for that.
    pub(crate) fn refuse(&self, build: BuildId, reason: &str) -> Result<(), Error> {
        let what = Told::Refused(reason.as_bytes());
        self.send(&Message::Tell { build, what }.frame().to_vec(), "while we refused the build")?;
        self.await_close("after we had refused the build")
    }

    /// Waits until the server closes, which is how it says that it has the build.
    pub(crate) fn await_close(&self, doing: &'static str) -> Result<(), Error> {
        let until = Some(Instant::now() + CLOSE_TIME_MAX);
        let mut ignored = [0; 1024];
        loop {
            self.await_readable(until, Some(CLOSE_TIME_MAX), doing)?;
            match (&self.stream).read(&mut ignored) {
                Ok(0) => return Ok(()),
                // Nothing may come any more; what comes all the same changes nothing for this build.
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(source) => return Err(Error::Lost { doing, source }),
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// A connected socket that does not block, sends small messages at once, and notices a peer that vanished.
fn connect(address: SocketAddr, stop: &Stop) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    match socket.connect(&SockAddr::from(address)) {
        Ok(()) => return Ok(socket.into()),
        // After EINTR a connection is in progress as well (POSIX, connect).
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) || is_passing(&error) => {}
        Err(error) => return Err(error),
    }
    let mut fds = [wait::to_write(socket.as_fd()), wait::to_read(stop.fd())];
    let ready = wait::poll_until(&mut fds, Some(Instant::now() + CONNECT_TIME_MAX))?;
    if !ready || !wait::happened(&fds[0]) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(socket.into()),
    }
}
