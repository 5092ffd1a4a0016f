//! A server that says what a test tells it to say, and the programs run as a person runs them.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use builder_model::BuildId;
use builder_wire::{ClientVersion, Inbox, Message, Role};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

pub(crate) const BUILD: BuildId = BuildId::from_bytes([0x11; 16]);
pub(crate) const UUID: &str = "11111111-1111-1111-1111-111111111111";

/// What a program printed, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn ran(status: i32, stdout: &str, stderr: &str) -> Ran {
    Ran { status, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

pub(crate) fn client(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder-client"));
    command.args(arguments);
    hermetic(command)
}

pub(crate) fn inspect(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder-inspect"));
    command.args(arguments);
    hermetic(command)
}

fn hermetic(mut command: Command) -> Command {
    for name in ["BUILDER_REMOTE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.env("TZ", "UTC").stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> Ran {
    command.output().unwrap().into()
}

/// Runs a program with this on its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

/// A server for as many connections as it was given scripts.
pub(crate) struct Server {
    pub(crate) remote: String,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Server {
    /// A server that speaks version 13 only. On each connection it answers the hello and the command, then sends these
    /// bytes and closes. Connections in another version are closed without a word, and not counted.
    pub(crate) fn sending(answers: Vec<Vec<u8>>) -> Self {
        Self::speaking(&[ClientVersion::Thirteen], answers)
    }

    /// The same, but it speaks version 14, too.
    pub(crate) fn answering(answers: Vec<Vec<u8>>) -> Self {
        Self::speaking(&ClientVersion::ALL, answers)
    }

    fn speaking(versions: &'static [ClientVersion], answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap().to_string();
        let answer = move |bytes: &Vec<u8>| loop {
            let Some(mut peer) = Peer::greeted_in(listener.accept().unwrap().0, versions) else { continue };
            let command = peer.receive();
            peer.send(bytes);
            return command;
        };
        Self { remote, thread: std::thread::spawn(move || answers.iter().map(answer).collect()) }
    }

    /// Each connection is served by `serve`, which gives the command that it got.
    pub(crate) fn start(connections: usize, serve: impl Fn(usize, TcpStream) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap().to_string();
        let serve_all = move || (0..connections).map(|number| serve(number, listener.accept().unwrap().0)).collect();
        Self { remote, thread: std::thread::spawn(serve_all) }
    }

    /// The commands it got, one for each connection.
    pub(crate) fn commands(self) -> Vec<Vec<u8>> {
        self.thread.join().unwrap()
    }
}

/// The server's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    inbox: Inbox,
}

impl Peer {
    /// Before the hello.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, inbox: Inbox::new() }
    }

    /// After the hello, in version 13.
    pub(crate) fn greeted(stream: TcpStream) -> Self {
        Self::greeted_in(stream, &[ClientVersion::Thirteen]).unwrap()
    }

    /// After the hello, if it is in one of these versions.
    pub(crate) fn greeted_in(stream: TcpStream, versions: &[ClientVersion]) -> Option<Self> {
        let mut peer = Self::new(stream);
        let hello = peer.receive();
        let Message::ClientHello { role: Role::Client, version } = Message::decode(&hello).unwrap() else {
            panic!("a client says hello first: {hello:x?}");
        };
        let known = versions.iter().any(|known| known.number() == version);
        known.then(|| {
            peer.send(&Message::ServerHello.frame().to_vec());
            peer
        })
    }

    /// The DER of the next message.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        loop {
            if let Some(head) = self.inbox.head().unwrap()
                && let Some(message) = self.inbox.message(head)
            {
                let message = message.to_vec();
                self.inbox.message_done(head);
                return message;
            }
            let count = self.stream.read(self.inbox.room()).unwrap();
            assert!(count > 0, "the client closed the connection");
            self.inbox.filled(count);
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }
}

/// The frames of these messages.
pub(crate) fn frames(messages: &[Message<'_>]) -> Vec<u8> {
    messages.iter().flat_map(|message| message.frame().to_vec()).collect()
}

/// A line for an observer of [`BUILD`].
pub(crate) fn line(delta: i64, line: &[u8]) -> Message<'_> {
    Message::Output { build: BUILD, line, delta: Some(delta) }
}

/// The lines of the golden vectors.
pub(crate) fn vectors() -> Vec<serde_json::Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/vectors/wire.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
