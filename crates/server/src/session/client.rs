//! A client's one command: checked, handed to the engine, answered.

use super::ask::{self, Question};
use super::{SessionError, next_head, observe, templates, within};
use crate::Shared;
use crate::connection::{Connection, ConnectionError};
use crate::engine::Refused;
use builder_model::limits::SCRIPT_BYTES_MAX;
use builder_model::{
    BuildId, Job, JobName, NameError, PackageName, ParameterJob, Period, Platform, ScriptJob, TemplateName,
    TemplatedJob, Values,
};
use builder_sched::{Event, Snapshot};
use builder_wire::message::{self, Info, InfoQueue, InfoRunning};
use builder_wire::session::server::{Session, Violation};
use builder_wire::{ClientVersion, Message, ScheduleEntry};
use std::sync::Arc;
use std::time::Duration;

/// What a command asks for, with its names checked.
enum Command {
    Event(Event),
    /// Its template is looked at before it becomes an event.
    ScheduleTemplate {
        job: ParameterJob,
        period: Period,
    },
    Info(ClientVersion),
    Observe(BuildId),
    Ask(Question),
}

/// How long a client may take to give its command, a script of several MiB included.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn serve(mut connection: Box<Connection>, mut session: Session, shared: Arc<Shared>) {
    let peer = connection.peer;
    let result = match within(COMMAND_LIMIT, command(&mut connection, &mut session)).await {
        Ok(command) => answer(&mut connection, command, &shared).await,
        Err(SessionError::Connection(error)) => Err(error),
        // As the original says it.
        Err(SessionError::Violation(violation)) => {
            tracing::warn!(%peer, "{violation}");
            fail(&mut connection, "bad communication").await
        }
        Err(error @ (SessionError::Decode(_) | SessionError::Refused(_))) => {
            tracing::info!(%peer, "refused a command: {error}");
            fail(&mut connection, &error.to_string()).await
        }
    };
    match result {
        Ok(()) => connection.close().await,
        Err(ConnectionError::Frame(error)) => {
            tracing::warn!(%peer, "{error}");
            // The peer may be gone already; it was told if it is not.
            if fail(&mut connection, &error.to_string()).await.is_ok() {
                connection.close().await;
            }
        }
        Err(ConnectionError::Closed) => tracing::debug!(%peer, "a client left"),
        Err(error) => tracing::info!(%peer, "a client's connection ended: {error}"),
    }
}

async fn command(connection: &mut Connection, session: &mut Session) -> Result<Command, SessionError> {
    let version = if let Session::Client(version) = session { *version } else { ClientVersion::Thirteen };
    let head = next_head(connection, session).await?;
    connection.whole(head).await?;
    let bytes = connection.inbox.message(head).unwrap_or_default();
    let message = Message::decode(bytes)?;
    session.receive(&message)?;
    let command = checked(&message, version)?.ok_or(Violation::NoCommand(head.kind))?;
    connection.inbox.message_done(head);
    connection.inbox.release();
    Ok(command)
}

/// The command with its names parsed; `None` when it is no command. Names that are new are checked strictly. A name
/// that an old state may hold can still be taken off, run or dropped.
fn checked(message: &Message<'_>, version: ClientVersion) -> Result<Option<Command>, SessionError> {
    let bad = |error: NameError| SessionError::Refused(error.to_string());
    let event = match message {
        Message::Schedule { period, job } => {
            if job.script.len() > SCRIPT_BYTES_MAX {
                let text = format!("the script has {} bytes, at most {SCRIPT_BYTES_MAX} are taken", job.script.len());
                return Err(SessionError::Refused(text));
            }
            let job = ScriptJob {
                name: JobName::parse(job.name).map_err(bad)?,
                platform: Platform::parse(job.platform).map_err(bad)?,
                script: job.script.into(),
            };
            Event::Schedule { job: Job::Script(job), period: *period }
        }
        Message::ScheduleTemplated { period, name, package } => {
            let name = JobName::parse(name).map_err(bad)?;
            let package = PackageName::parse(package).map_err(bad)?;
            Event::Schedule { job: Job::Templated(TemplatedJob { name, package }), period: *period }
        }
        Message::Unschedule { name } => Event::Unschedule { job: JobName::from_history(name) },
        Message::Execute { name, platform } => {
            Event::Execute { job: JobName::from_history(name), platform: platform.map(Platform::from_history) }
        }
        Message::Reschedule { name, next, period } => {
            Event::Reschedule { job: JobName::from_history(name), next: *next, period: *period }
        }
        Message::DropPlatform { platform } => Event::DropPlatform(Platform::from_history(platform)),
        Message::UndropPlatform { platform } => Event::UndropPlatform(Platform::from_history(platform)),
        Message::ScheduleTemplate { period, job } => {
            let job = parameter_job(job).map_err(SessionError::Refused)?;
            return Ok(Some(Command::ScheduleTemplate { job, period: *period }));
        }
        Message::Info => return Ok(Some(Command::Info(version))),
        Message::Observe { build } => return Ok(Some(Command::Observe(*build))),
        Message::Ask(question) => {
            return Ok(Some(Command::Ask(Question::of(question).map_err(SessionError::Refused)?)));
        }
        Message::JobSchedule { .. }
        | Message::JobFinished { .. }
        | Message::Output { .. }
        | Message::ClientHello { .. }
        | Message::ServerHello
        | Message::JobRequested { .. }
        | Message::Success
        | Message::Failure { .. }
        | Message::InfoReply(_)
        | Message::WaitsReply(_)
        | Message::BuildsReply(_)
        | Message::UploadsReply(_)
        | Message::ArtifactsReply(_)
        | Message::Reply(_)
        | Message::Tell { .. } => return Ok(None),
    };
    Ok(Some(Command::Event(event)))
}

/// A job of a template with parameters, with names and values that may be new.
fn parameter_job(job: &message::ParameterJob<'_>) -> Result<ParameterJob, String> {
    let bad = |error: NameError| error.to_string();
    Ok(ParameterJob {
        name: JobName::parse(job.name).map_err(bad)?,
        template: TemplateName::parse(job.template).map_err(bad)?,
        platform: job.platform.map(Platform::parse).transpose().map_err(bad)?,
        values: Values::parse(job.values.iter().copied()).map_err(|error| error.to_string())?,
    })
}

async fn answer(connection: &mut Connection, command: Command, shared: &Shared) -> Result<(), ConnectionError> {
    match command {
        Command::Event(event) => happen(connection, event, shared).await,
        Command::ScheduleTemplate { job, period } => match templates::check(&job, shared).await {
            Ok(()) => happen(connection, Event::Schedule { job: Job::Parameter(job), period }, shared).await,
            Err(reason) => {
                tracing::info!(peer = %connection.peer, "refused: {reason}");
                fail(connection, &reason).await
            }
        },
        Command::Info(version) => match shared.engine.snapshot().await {
            Ok(snapshot) => {
                connection.send(&Message::InfoReply(info(&snapshot, version))).await?;
                connection.send(&Message::Success).await
            }
            Err(refused) => refuse(connection, &refused).await,
        },
        Command::Observe(build) => observe::serve(connection, build, shared).await,
        Command::Ask(question) => ask::serve(connection, question, shared).await,
    }
}

async fn happen(connection: &mut Connection, event: Event, shared: &Shared) -> Result<(), ConnectionError> {
    tracing::info!(peer = %connection.peer, "{}", event_text(&event));
    match shared.engine.event(event).await {
        Ok(_) => connection.send(&Message::Success).await,
        Err(refused) => refuse(connection, &refused).await,
    }
}

pub(super) async fn refuse(connection: &mut Connection, refused: &Refused) -> Result<(), ConnectionError> {
    tracing::info!(peer = %connection.peer, "refused: {refused}");
    fail(connection, &refused.to_string()).await
}

pub(super) async fn fail(connection: &mut Connection, reason: &str) -> Result<(), ConnectionError> {
    connection.send(&Message::Failure { reason: reason.as_bytes() }).await
}

fn info(snapshot: &Snapshot, version: ClientVersion) -> Info<'_> {
    let told = |job| match version {
        ClientVersion::Thirteen => message::Job::from(job).for_version_13(),
        ClientVersion::Fourteen => message::Job::from(job),
    };
    let schedule = snapshot.schedule.iter().map(|entry| ScheduleEntry {
        next: entry.next,
        period: entry.period,
        job: told(&entry.job),
    });
    let queues = snapshot
        .queues
        .iter()
        .map(|(platform, jobs)| InfoQueue { platform: platform.as_bytes(), jobs: jobs.iter().map(told).collect() });
    let running = snapshot.running.iter().map(|running| InfoRunning {
        started: running.build.started,
        build: running.build.build,
        job: (&running.script).into(),
    });
    Info {
        schedule: schedule.collect(),
        queues: queues.collect(),
        running: running.collect(),
        dropped: snapshot.dropped.iter().map(Platform::as_bytes).collect(),
    }
}

/// The command as a line of the log.
fn event_text(event: &Event) -> String {
    match event {
        Event::Schedule { job, period } => match job.platform() {
            Some(platform) => format!("schedule {} on {platform}, {period}", job.name()),
            None => format!("schedule {} for every template, {period}", job.name()),
        },
        Event::Unschedule { job } => format!("unschedule {job}"),
        Event::Execute { job, platform: None } => format!("execute {job}"),
        Event::Execute { job, platform: Some(platform) } => format!("execute {job} on {platform}"),
        Event::Reschedule { job, next, .. } => format!("reschedule {job} at {next}"),
        Event::DropPlatform(platform) => format!("drop platform {platform}"),
        Event::UndropPlatform(platform) => format!("undrop platform {platform}"),
        Event::WorkerWaits { .. }
        | Event::WorkerGone { .. }
        | Event::Lost { .. }
        | Event::Finished { .. }
        | Event::TimePassed
        | Event::TemplateRead { .. } => format!("{event:?}"),
    }
}
