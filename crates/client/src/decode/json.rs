//! The values as JSON, in the shape of the golden vectors: written by hand, as this runs a million times in a row.

mod ask;
mod templates;

use builder_model::{BuildId, Outcome, Period, Timestamp};
use builder_wire::{
    File, Info, InfoQueue, InfoRunning, Job, Message, Record, Role, ScheduleEntry, ScriptJob, StateItem, Told,
};
use std::io::Write;

/// Writes JSON to the end of a buffer.
pub(super) struct Json<'o>(pub(super) &'o mut Vec<u8>);

impl Json<'_> {
    pub(super) fn message(&mut self, message: &Message<'_>) {
        match message {
            Message::JobSchedule { build, job } => {
                self.command("Job_schedule").uuid("uuid", build).key("job").script_job(job);
            }
            Message::JobFinished { build, outcome, files } => {
                self.command("Job_finished").uuid("uuid", build).key("result").outcome(outcome);
                self.key("data").files(files);
            }
            Message::Output { build, line, delta: None } => {
                self.command("Output").uuid("uuid", build).bytes("output", line);
            }
            Message::Output { build, line, delta: Some(delta) } => {
                self.command("Output_timestamped").uuid("uuid", build).number("timestamp", *delta);
                self.bytes("output", line);
            }
            Message::Schedule { period, job } => {
                self.command("Schedule").period(Some(*period)).key("job").script_job(job);
            }
            Message::Info => {
                self.command("Info");
            }
            Message::Unschedule { name } => {
                self.command("Unschedule").bytes("name", name);
            }
            Message::Observe { build } => {
                self.command("Observe").uuid("uuid", build);
            }
            Message::ScheduleTemplated { period, name, package } => {
                self.command("Schedule_orb_build").period(Some(*period)).key("job").templated_job(name, package);
            }
            Message::Reschedule { name, next, period } => {
                self.command("Reschedule").bytes("name", name).time("next", *next).period(*period);
            }
            Message::ClientHello { role, version } => {
                self.command("Client_hello").word("typ", role_word(*role)).number("version", *version);
            }
            Message::ServerHello => {
                self.command("Server_hello");
            }
            Message::JobRequested { platform } => {
                self.command("Job_requested").bytes("platform", platform);
            }
            Message::DropPlatform { platform } => {
                self.command("Drop_platform").bytes("platform", platform);
            }
            Message::Success => {
                self.command("Success");
            }
            Message::Failure { reason } => {
                self.command("Failure").bytes("msg", reason);
            }
            Message::Execute { name, platform } => {
                self.command("Execute").bytes("name", name).optional_bytes("platform", *platform);
            }
            Message::UndropPlatform { platform } => {
                self.command("Undrop_platform").bytes("platform", platform);
            }
            Message::InfoReply(info) => self.command("Info_reply").key("info").info(info),
            Message::Ask(ask) => self.ask(ask),
            Message::WaitsReply(rows) => self.waits_reply(rows),
            Message::BuildsReply(reply) => self.builds_reply(reply),
            Message::UploadsReply(rows) => self.uploads_reply(rows),
            Message::ArtifactsReply(rows) => self.artifacts_reply(rows),
            Message::ScheduleTemplate { period, job } => self.schedule_template(*period, job),
            Message::Reply(reply) => self.reply(reply),
            Message::Tell { build, what: Told::Refused(reason) } => {
                self.command("Tell_refused").uuid("uuid", build).bytes("msg", reason);
            }
        }
        self.0.push(b'}');
    }

    pub(super) fn record(&mut self, record: &Record<'_>) {
        self.raw("{\"job\":").script_job(&record.job);
        self.uuid("uuid", &record.build).key("console").list(&record.console, |json, line| {
            json.raw("{\"delta\":");
            json.integer(line.delta).bytes("data", line.line).raw("}");
        });
        self.time("started", record.started).time("finished", record.finished);
        self.key("result").outcome(&record.outcome);
        self.key("output").files(&record.files);
        self.0.push(b'}');
    }

    pub(super) fn state(&mut self, items: &[StateItem<'_>]) {
        self.list(items, |json, item| {
            match item {
                StateItem::Schedule(entry) => json.raw("{\"schedule\":").entry(entry),
                StateItem::Queue(queue) => json.raw("{\"queue\":").queue(queue),
                StateItem::DroppedPlatform(platform) => json.raw("{\"dropped_platform\":").hex(platform),
            }
            json.0.push(b'}');
        });
    }

    /// A string with whatever escapes it needs.
    pub(super) fn text(&mut self, text: &str) {
        let before = self.0.len();
        if serde_json::to_writer(&mut *self.0, text).is_err() {
            // Writing to a buffer cannot fail.
            self.0.truncate(before);
            self.raw("\"\"");
        }
    }

    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn command(&mut self, name: &str) -> &mut Self {
        self.raw("{\"cmd\":\"").raw(name).raw("\"")
    }

    /// A key, with a comma in front unless it is the first of its object.
    fn key(&mut self, key: &str) -> &mut Self {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.raw("\"").raw(key).raw("\":")
    }

    fn print(&mut self, arguments: std::fmt::Arguments<'_>) {
        let before = self.0.len();
        if self.0.write_fmt(arguments).is_err() {
            // Writing to a buffer cannot fail.
            self.0.truncate(before);
        }
    }

    fn word(&mut self, key: &str, word: &str) -> &mut Self {
        self.key(key).raw("\"").raw(word).raw("\"")
    }

    fn integer(&mut self, number: i64) -> &mut Self {
        self.print(format_args!("{number}"));
        self
    }

    fn number(&mut self, key: &str, number: i64) -> &mut Self {
        self.key(key).integer(number)
    }

    fn hex(&mut self, bytes: &[u8]) {
        self.0.push(b'"');
        push_hex(self.0, bytes);
        self.0.push(b'"');
    }

    fn bytes(&mut self, key: &str, bytes: &[u8]) -> &mut Self {
        self.key(key).hex(bytes);
        self
    }

    fn optional_bytes(&mut self, key: &str, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.bytes(key, bytes),
            None => self.key(key).raw("null"),
        }
    }

    fn uuid(&mut self, key: &str, build: &BuildId) -> &mut Self {
        self.key(key).raw("\"");
        let mut rest = &build.as_bytes()[..];
        for size in [4, 2, 2, 2, 6] {
            let (head, tail) = rest.split_at(size);
            push_hex(self.0, head);
            rest = tail;
            if !rest.is_empty() {
                self.0.push(b'-');
            }
        }
        self.raw("\"")
    }

    fn time(&mut self, key: &str, time: Timestamp) -> &mut Self {
        let (civil, milliseconds) = (time.to_civil(), time.milliseconds().rem_euclid(1000));
        let (date, clock) = (civil.date(), civil.time());
        self.key(key);
        self.print(format_args!(
            "\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{milliseconds:03}000000000Z\"",
            date.year(),
            date.month(),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second()
        ));
        self
    }

    fn period(&mut self, period: Option<Period>) -> &mut Self {
        match period {
            Some(period) => self.word("period", period.as_str()),
            None => self.raw(",\"period\":null"),
        }
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Json<'_>, &T)) {
        self.0.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            write(self, item);
        }
        self.0.push(b']');
    }

    fn script_job(&mut self, job: &ScriptJob<'_>) {
        self.raw("{\"name\":").hex(job.name);
        self.bytes("platform", job.platform).bytes("script", job.script).raw("}");
    }

    fn templated_job(&mut self, name: &[u8], package: &[u8]) {
        self.raw("{\"name\":").hex(name);
        self.bytes("opam_package", package).raw("}");
    }

    fn job(&mut self, job: &Job<'_>) {
        match job {
            Job::Script(job) => self.raw("{\"script_job\":").script_job(job),
            Job::Templated { name, package } => self.raw("{\"orb_build_job\":").templated_job(name, package),
            Job::Parameter(job) => self.raw("{\"parameter_job\":").parameter_job(job),
        }
        self.0.push(b'}');
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.raw("{\"");
        match outcome {
            Outcome::Exited(number) | Outcome::Signalled(number) | Outcome::Stopped(number) => {
                self.raw(outcome.kind()).raw("\":").integer(*number);
            }
            Outcome::Aborted(reason) => self.raw("msg\":").hex(reason),
        }
        self.0.push(b'}');
    }

    fn files(&mut self, files: &[File<'_>]) {
        self.list(files, |json, file| {
            json.raw("{\"path\":").hex(&file.path);
            json.bytes("data", file.data).raw("}");
        });
    }

    fn entry(&mut self, entry: &ScheduleEntry<'_>) {
        self.raw("{").time("next", entry.next).period(Some(entry.period)).key("job").job(&entry.job);
        self.0.push(b'}');
    }

    fn queue(&mut self, queue: &InfoQueue<'_>) {
        self.raw("{\"platform\":").hex(queue.platform);
        self.key("jobs").list(&queue.jobs, |json, job| json.job(job));
        self.0.push(b'}');
    }

    fn info(&mut self, info: &Info<'_>) {
        self.raw("{\"schedule\":").list(&info.schedule, |json, entry| json.entry(entry));
        self.key("queues").list(&info.queues, |json, queue| json.queue(queue));
        self.key("running").list(&info.running, |json, running: &InfoRunning<'_>| {
            json.raw("{").time("started", running.started).uuid("uuid", &running.build);
            json.key("job").script_job(&running.job);
            json.0.push(b'}');
        });
        self.key("dropped_platforms").list(&info.dropped, |json, platform| json.hex(platform));
        self.0.push(b'}');
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Worker => "worker",
    }
}

/// Bytes as lower-case hex.
pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for &byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
