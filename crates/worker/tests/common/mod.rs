//! A server that does what a test tells it, and the real worker to go with it.
#![allow(dead_code, reason = "no test file uses all of it")]
#![allow(unreachable_pub, reason = "shared by test files")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "all of this is test")]

pub mod root;

use builder_model::{BuildId, Outcome};
use builder_wire::{Inbox, Message, MessageKind, ScriptJob, Told, WorkerVersion};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const BUILD: BuildId = BuildId::from_bytes([7; 16]);
/// Nothing in these tests takes that long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for something that has no other way to be waited for.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub struct Server {
    listener: TcpListener,
}

impl Server {
    pub fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub fn restart_at(address: SocketAddr) -> Self {
        let mut listener = None;
        eventually("the port is free again", || {
            listener = TcpListener::bind(address).ok();
            listener.is_some()
        });
        Self { listener: listener.unwrap() }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next worker, before its hello.
    pub fn accept(&self) -> Peer {
        self.listener.set_nonblocking(true).unwrap();
        let mut stream = None;
        eventually("a worker connects", || {
            stream = self.listener.accept().ok();
            stream.is_some()
        });
        let stream = stream.unwrap().0;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, inbox: Inbox::new() }
    }

    /// Whether no worker has connected that was not accepted.
    pub fn is_alone(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        matches!(self.listener.accept(), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// The next worker, which waits for a job.
    pub fn waiting(&self) -> Peer {
        let mut peer = self.accept();
        peer.greet();
        peer
    }

    /// Gives a worker this script, and comes back when the worker handed it in.
    pub fn run(&self, script: &str) -> Finished {
        let mut peer = self.waiting();
        peer.schedule(script.as_bytes());
        peer.finish()
    }
}

/// The real worker.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_builder-worker");

pub struct Peer {
    pub stream: TcpStream,
    inbox: Inbox,
}

/// A message that owns what it says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Line(Vec<u8>),
    Finished(Outcome, Vec<(String, Vec<u8>)>),
    Refused(String),
    End,
}

#[derive(Debug)]
pub struct Finished {
    pub lines: Vec<Vec<u8>>,
    pub outcome: Outcome,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Finished {
    /// The console as text.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
    }

    pub fn paths(&self) -> Vec<&str> {
        self.files.iter().map(|(path, _)| path.as_str()).collect()
    }
}

impl Peer {
    pub fn greet(&mut self) {
        self.greet_as(WorkerVersion::Six);
    }

    /// The same for a worker that comes with this version.
    pub fn greet_as(&mut self, version: WorkerVersion) {
        self.hello(version);
        self.send(&Message::ServerHello);
        self.expect(|message| assert_eq!(*message, Message::JobRequested { platform: b"test-1" }));
    }

    /// The worker says hello, with this version.
    #[track_caller]
    pub fn hello(&mut self, version: WorkerVersion) {
        self.expect(|message| assert_eq!(*message, version.hello()));
    }

    /// Answers the hello of the worker, which asks for a job next.
    pub fn welcome(&mut self) {
        self.hello(WorkerVersion::Six);
        self.send(&Message::ServerHello);
    }

    pub fn send(&mut self, message: &Message<'_>) {
        self.stream.write_all(&message.frame().to_vec()).unwrap();
    }

    pub fn schedule(&mut self, script: &[u8]) {
        let job = ScriptJob { name: b"job", platform: b"test-1", script };
        self.send(&Message::JobSchedule { build: BUILD, job });
    }

    #[track_caller]
    fn expect(&mut self, check: impl FnOnce(&Message<'_>)) {
        assert!(self.next(|message| check(&message)).is_some(), "the worker closed the connection");
    }

    fn next<T>(&mut self, take: impl FnOnce(Message<'_>) -> T) -> Option<T> {
        loop {
            if let Some(head) = self.inbox.head().unwrap() {
                assert!(head.kind != MessageKind::Output || head.length < 70_000, "{head:?}");
                if let Some(bytes) = self.inbox.message(head) {
                    let taken = take(Message::decode(bytes).unwrap());
                    self.inbox.message_done(head);
                    return Some(taken);
                }
            }
            match self.stream.read(self.inbox.room()) {
                Ok(0) => {
                    assert_eq!(self.inbox.bytes(), b"", "the worker closed in the middle of a message");
                    return None;
                }
                Ok(count) => self.inbox.filled(count),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("reading from the worker: {error}"),
            }
        }
    }

    pub fn said(&mut self) -> Said {
        let said = self.next(|message| match message {
            Message::Output { build, line, delta } => {
                assert_eq!((build, delta), (BUILD, None));
                Said::Line(line.to_vec())
            }
            Message::JobFinished { build, outcome, files } => {
                assert_eq!(build, BUILD);
                let file = |file: builder_wire::File<'_>| {
                    (String::from_utf8(file.path.into_owned()).unwrap(), file.data.to_vec())
                };
                Said::Finished(outcome, files.into_iter().map(file).collect())
            }
            Message::Tell { build, what: Told::Refused(reason) } => {
                assert_eq!(build, BUILD);
                Said::Refused(String::from_utf8(reason.to_vec()).unwrap())
            }
            other => panic!("a worker does not say {other:?} now"),
        });
        said.unwrap_or(Said::End)
    }

    /// The next line of the console, as text.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.said() {
            Said::Line(line) => String::from_utf8(line).unwrap(),
            other => panic!("expected a line, not {other:?}"),
        }
    }

    /// A line that is the number of a process.
    #[track_caller]
    pub fn process(&mut self) -> Pid {
        let line = self.line();
        Pid::from_raw(line.trim().parse().unwrap_or_else(|_| panic!("{line:?} is no number")))
    }

    /// All that comes until the job is handed in.
    #[track_caller]
    pub fn finish(&mut self) -> Finished {
        let mut lines = Vec::new();
        loop {
            match self.said() {
                Said::Line(line) => lines.push(line),
                Said::Finished(outcome, files) => return Finished { lines, outcome, files },
                Said::Refused(why) => panic!("the worker refused the build: {why}"),
                Said::End => {
                    let lines: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
                    panic!("the worker closed the connection after {lines:#?}")
                }
            }
        }
    }

    /// The worker refuses the job: its reason, after these lines. It knows that it was heard when this comes back.
    #[track_caller]
    pub fn refused(mut self) -> (Vec<String>, String) {
        let mut lines = Vec::new();
        loop {
            match self.said() {
                Said::Line(line) => lines.push(String::from_utf8(line).unwrap()),
                Said::Refused(reason) => return (lines, reason),
                other => panic!("expected a refusal after {lines:#?}, not {other:?}"),
            }
        }
    }

    /// The worker goes without handing in the job.
    #[track_caller]
    pub fn vanishes(&mut self) {
        loop {
            match self.said() {
                Said::Line(_) => {}
                Said::End => return,
                Said::Finished(outcome, _) => panic!("handed in as {outcome}"),
                Said::Refused(why) => panic!("refused: {why}"),
            }
        }
    }
}

/// The real program, in a folder of its own.
pub struct Worker {
    child: Child,
    folder: tempfile::TempDir,
}

/// How a worker ended.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub stderr: String,
    /// The names that it left in its folder.
    pub left: Vec<String>,
}

impl Worker {
    pub fn start(server: &Server, arguments: &[&str]) -> Self {
        Self::start_at(&server.address().to_string(), "test-1", arguments)
    }

    pub fn start_at(remote: &str, platform: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(PROGRAM), remote, platform, arguments)
    }

    /// A worker that is not the program that was built.
    pub fn start_program(program: &std::path::Path, server: &Server, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(program), &server.address().to_string(), "test-1", arguments)
    }

    /// A worker that cannot make files longer than this, in the blocks of the shell: 512 bytes, or 1024 with some.
    /// To it, longer files are what a full disk would be.
    pub fn start_limited(server: &Server, blocks: u32, arguments: &[&str]) -> Self {
        // Ignored, the signal leaves the error.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        Self::start_in_shell(&script, server, arguments)
    }

    /// A worker that a shell becomes, by `exec "$0" "$@"`, after what else it does.
    pub fn start_in_shell(script: &str, server: &Server, arguments: &[&str]) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, PROGRAM]);
        Self::spawn(command, &server.address().to_string(), "test-1", arguments)
    }

    pub fn spawn(mut command: Command, remote: &str, platform: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let stderr = std::fs::File::create(folder.path().join("stderr")).unwrap();
        let child = command
            .args([platform, "--remote", remote, "--workdir"])
            .arg(folder.path().join("work"))
            .args(arguments)
            .env_remove("BUILDER_REMOTE")
            .env("FROM_OUTSIDE", "inherited")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    pub fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.id(), signal).unwrap();
    }

    /// The folder of the one job that it runs.
    pub fn job_folder(&self) -> PathBuf {
        let id = self.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let supervisor = children.split_whitespace().next().unwrap();
        std::fs::read_link(format!("/proc/{supervisor}/cwd")).unwrap()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// The pauses that it made or makes, in milliseconds.
    pub fn pauses(&self) -> Vec<u64> {
        let stderr = self.stderr();
        let number = |text: &str| text.split_once(" ms").unwrap().0.parse().unwrap();
        stderr.split("trying again in ").skip(1).map(number).collect()
    }

    #[track_caller]
    pub fn end(mut self) -> Ended {
        let mut status = None;
        eventually("the worker ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let left = std::fs::read_dir(self.folder.path().join("work")).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        Ended { status: status.unwrap().code(), stderr: self.stderr(), left }
    }

    /// It ended well, and left nothing behind.
    #[track_caller]
    pub fn ends_well(self) -> String {
        let ended = self.end();
        assert_eq!((ended.status, &ended.left[..]), (Some(0), &[][..]), "{}", ended.stderr);
        ended.stderr
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

pub fn is_alive(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A zombie whose parent has not looked yet is dead enough.
    kill(process, None) != Err(Errno::ESRCH) && !stat.contains(") Z ")
}

#[track_caller]
pub fn dies(process: Pid) {
    eventually("a process of the job dies", || !is_alive(process));
}

/// The parent of a process, by /proc.
pub fn parent(process: Pid) -> Pid {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1;
    Pid::from_raw(fields.split(' ').nth(1).unwrap().parse().unwrap())
}
