//! A worker that builds nothing, and hands in what a test tells it.

use crate::peer::Peer;
use builder_model::{BuildId, Outcome};
use builder_wire::message::write_output_frame;
use builder_wire::record::{FileHead, finished_head};
use builder_wire::{Message, MessageKind, Told, WorkerVersion};
use std::net::SocketAddr;

/// A worker's connection.
#[derive(Debug)]
pub struct FakeWorker {
    /// Whatever else it should say.
    pub peer: Peer,
    build: Option<BuildId>,
}

/// What a worker was told to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSeen {
    /// As which build.
    pub build: BuildId,
    /// The name of the job.
    pub name: String,
    /// Its platform.
    pub platform: String,
    /// Its script.
    pub script: String,
}

impl FakeWorker {
    /// A worker that said hello, as old ones do.
    pub async fn greeted(address: SocketAddr) -> Self {
        Self::greeted_as(WorkerVersion::Five, address).await
    }

    /// A worker that said hello with this version.
    pub async fn greeted_as(version: WorkerVersion, address: SocketAddr) -> Self {
        let mut peer = Peer::connect(address).await;
        peer.send(&version.hello()).await;
        peer.expect(&Message::ServerHello).await;
        Self { peer, build: None }
    }

    /// A worker that asked for a job.
    pub async fn waiting(address: SocketAddr, platform: &str) -> Self {
        Self::greeted(address).await.asking(platform).await
    }

    /// A worker that may refuse its build has a job.
    pub async fn choosy(address: SocketAddr, platform: &str) -> (Self, JobSeen) {
        let mut worker = Self::greeted_as(WorkerVersion::Six, address).await.asking(platform).await;
        let job = worker.job().await;
        (worker, job)
    }

    async fn asking(mut self, platform: &str) -> Self {
        self.peer.send(&Message::JobRequested { platform: platform.as_bytes() }).await;
        self
    }

    /// A worker that has a job.
    pub async fn running(address: SocketAddr, platform: &str) -> (Self, JobSeen) {
        let mut worker = Self::waiting(address, platform).await;
        let job = worker.job().await;
        (worker, job)
    }

    /// Waits for the job that it asked for.
    pub async fn job(&mut self) -> JobSeen {
        let Some(bytes) = self.peer.next().await else { panic!("the worker was sent away") };
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.kind(), MessageKind::JobSchedule, "{message:?}");
        let Message::JobSchedule { build, job } = message else { unreachable!("that is its kind") };
        self.build = Some(build);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        JobSeen { build, name: text(job.name), platform: text(job.platform), script: text(job.script) }
    }

    /// The build that it has.
    pub fn build(&self) -> BuildId {
        self.build.unwrap()
    }

    /// Sends a line of the console.
    pub async fn line(&mut self, line: impl AsRef<[u8]>) {
        self.lines([line]).await;
    }

    /// Sends lines, all at once.
    pub async fn lines(&mut self, lines: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let frames = self.line_frames(lines);
        self.peer.send_bytes(&frames).await;
    }

    /// The bytes of lines.
    pub fn line_frames(&self, lines: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
        let (build, mut frames) = (self.build(), Vec::new());
        for line in lines {
            write_output_frame(&mut frames, &build, line.as_ref(), None);
        }
        frames
    }

    /// The bytes of a `jobFinished`.
    pub fn finish_frame(&self, outcome: &Outcome, files: &[(&[u8], &[u8])]) -> Vec<u8> {
        let heads: Vec<FileHead> = files.iter().map(|(path, data)| FileHead::new(path, data.len() as u64)).collect();
        let mut frame = finished_head(&self.build(), outcome, heads.iter().map(FileHead::size).sum());
        for (head, (_, data)) in heads.iter().zip(files) {
            frame.extend_from_slice(&head.header);
            frame.extend_from_slice(data);
        }
        frame
    }

    /// Hands the build in, and waits until the server has it.
    pub async fn finish(mut self, outcome: Outcome, files: &[(&str, &[u8])]) {
        let files: Vec<(&[u8], &[u8])> = files.iter().map(|(path, data)| (path.as_bytes(), *data)).collect();
        let frame = self.finish_frame(&outcome, &files);
        self.peer.send_bytes(&frame).await;
        self.closed().await;
    }

    /// Refuses the build, and waits until the server has heard it.
    pub async fn refuse(mut self, reason: impl AsRef<[u8]>) {
        let message = Message::Tell { build: self.build(), what: Told::Refused(reason.as_ref()) };
        self.peer.send(&message).await;
        self.closed().await;
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self) {
        self.peer.closed().await;
    }
}
