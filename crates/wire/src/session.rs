//! Which message may come when, for each of the three programs at a connection: state machines without IO.
//!
//! A session takes a decoded message and answers what it means now, or that it may not come. What a server does with
//! a violation is written at [`server::Violation`]; on the other sides every violation ends the connection.

pub mod client;
pub mod server;
pub mod worker;

#[cfg(test)]
pub(crate) mod samples {
    use crate::message::{AskBuilds, AskRender, AskTemplates, BuildsReply, Reply};
    use crate::*;
    use builder_model::{BuildId, Outcome, Period, Timestamp};

    pub(crate) const BUILD: BuildId = BuildId::from_bytes([7; 16]);
    pub(crate) const OTHER: BuildId = BuildId::from_bytes([9; 16]);

    /// One message of every kind, in the order of the tags as they came to be; where it matters, one of each form.
    pub(crate) fn one_of_each() -> Vec<Message<'static>> {
        let job = ScriptJob { name: b"j", platform: b"p", script: b"s" };
        vec![
            Message::JobSchedule { build: BUILD, job },
            Message::JobFinished { build: BUILD, outcome: Outcome::Exited(0), files: Vec::new() },
            Message::Output { build: BUILD, line: b"l", delta: None },
            Message::Output { build: BUILD, line: b"l", delta: Some(1) },
            Message::Schedule { period: Period::Daily, job },
            Message::Info,
            Message::Unschedule { name: b"j" },
            Message::Observe { build: BUILD },
            Message::ScheduleTemplated { period: Period::Daily, name: b"j", package: b"o" },
            Message::Reschedule { name: b"j", next: Timestamp::MAX, period: None },
            Message::ClientHello { role: Role::Client, version: CLIENT_VERSION },
            Message::ClientHello { role: Role::Worker, version: WORKER_VERSION },
            Message::ClientHello { role: Role::Client, version: CLIENT_VERSION - 1 },
            Message::ServerHello,
            Message::JobRequested { platform: b"p" },
            Message::DropPlatform { platform: b"p" },
            Message::Success,
            Message::Failure { reason: b"no" },
            Message::Execute { name: b"j", platform: None },
            Message::UndropPlatform { platform: b"p" },
            Message::InfoReply(Info::default()),
            Message::Ask(Ask::Waits),
            Message::Ask(Ask::Builds(AskBuilds { count: 1, before: None, job: None, platform: None, failed: false })),
            Message::Ask(Ask::Uploads),
            Message::Ask(Ask::Artifacts(BUILD)),
            Message::WaitsReply(Vec::new()),
            Message::BuildsReply(BuildsReply::default()),
            Message::UploadsReply(Vec::new()),
            Message::ArtifactsReply(Vec::new()),
            ClientVersion::Fourteen.hello(),
            Message::ClientHello { role: Role::Client, version: 15 },
            Message::Ask(Ask::Templates(AskTemplates::default())),
            Message::Ask(Ask::Render(AskRender { template: b"n", platform: b"p", values: Vec::new() })),
            Message::ScheduleTemplate {
                period: Period::Daily,
                job: ParameterJob { name: b"j", template: b"n", values: Vec::new(), platform: None },
            },
            Message::Reply(Reply::Templates(Vec::new())),
            Message::Reply(Reply::Script(b"s".as_slice().into())),
            WorkerVersion::Six.hello(),
            Message::ClientHello { role: Role::Worker, version: 7 },
            Message::Tell { build: BUILD, what: Told::Refused(b"no") },
        ]
    }
}
