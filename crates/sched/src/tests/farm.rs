//! A scheduler with a clock, a store and names instead of ids, driven by lines of text.
//!
//! Builds are called `b1`, `b2`, … in the order in which their ids are made; times are counted from the start of the
//! story. After each line, everything that must hold is checked.

use super::replay::Replay;
use crate::{Act, Event, LostWhy, Now, Reply, Scheduler, Settings, Template, TemplateText, WorkerId};
use builder_model::state::{Change, Queued};
use builder_model::{
    BuildId, Job, JobName, Outcome, PackageName, ParameterJob, Period, Platform, ScriptJob, TemplateId, TemplateName,
    TemplatedJob, Timestamp, Values,
};
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;

pub(super) struct Farm {
    pub(super) scheduler: Scheduler,
    settings: Settings,
    pub(super) replay: Replay,
    builds: u128,
    now: Now,
    pub(super) story: String,
}

/// Tells a story: one line, one event; the answers are indented below it.
pub(super) fn farm(lines: &str) -> String {
    let mut farm = Farm::new(Settings::default());
    farm.tell(lines);
    farm.story
}

pub(super) fn job_name(text: &str) -> JobName {
    JobName::from_history(text.as_bytes())
}

pub(super) fn platform(text: &str) -> Platform {
    Platform::from_history(text.as_bytes())
}

pub(super) fn script(name: &str, on: &str) -> Job {
    Job::Script(ScriptJob {
        name: job_name(name),
        platform: platform(on),
        script: format!("run {name}").as_bytes().into(),
    })
}

pub(super) fn templated(name: &str) -> Job {
    Job::Templated(TemplatedJob { name: job_name(name), package: PackageName::from_history(name.as_bytes()) })
}

/// A job of the template `named`, with the value `x` of its parameter `a`.
pub(super) fn parameter(name: &str, on: Option<&str>) -> Job {
    let values = Values::parse([(b"a".as_slice(), b"x".as_slice())]).unwrap();
    let template = TemplateName::parse(b"named").unwrap();
    Job::Parameter(ParameterJob { name: job_name(name), template, platform: on.map(platform), values })
}

/// A template `named`: with the parameter `a`, or another one.
fn named(what: &str) -> Template {
    let head =
        |name: &str, more: &str| format!("#: [[parameter]]\n#: name = \"{name}\"\n#: description = \"d\"\n{more}");
    let text = match what {
        "missing" => return Template::Missing,
        "unreadable" => return Template::Unreadable("permission denied".to_owned()),
        "other" => head("b", ""),
        "digits" => head("a", "#: kind = \"integer\"\n"),
        "huge" => {
            static HUGE: LazyLock<Template> = LazyLock::new(|| named(&"x".repeat(5 << 20)));
            return HUGE.clone();
        }
        what => head("a", what),
    };
    let template = builder_template::Template::parse(text.as_bytes().into()).unwrap();
    Template::Present(TemplateText::Named(template.into()))
}

pub(super) fn build(number: u128) -> BuildId {
    BuildId::from_bytes(number.to_be_bytes())
}

fn build_number(id: BuildId) -> u128 {
    u128::from_be_bytes(*id.as_bytes())
}

/// `90s`, `2h`, `-1d`.
fn milliseconds(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => 1000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => panic!("{text:?} is no duration"),
    };
    number.parse::<i64>().unwrap() * unit
}

pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::from_milliseconds(START).unwrap().plus_milliseconds(milliseconds(text))
}

fn shown(time: Timestamp) -> String {
    let seconds = (time.milliseconds() - START) / 1000;
    match seconds {
        _ if time == Timestamp::MAX => "never".to_owned(),
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ => format!("{seconds}s"),
    }
}

impl Farm {
    pub(super) fn new(settings: Settings) -> Self {
        let now = Now { wall: at("0s"), monotonic: Duration::ZERO };
        let (scheduler, changes) = Scheduler::restore(settings.clone(), Replay::default().state(), now);
        assert_eq!(changes, []);
        Self { scheduler, settings, replay: Replay::default(), builds: 0, now, story: String::new() }
    }

    pub(super) fn tell(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            writeln!(self.story, "> {line}").unwrap();
            self.line(line);
            self.check();
        }
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["info"] => self.info(),
            ["wake"] => {
                let wake = self.scheduler.wake_at();
                let wall = wake.wall.map_or("never".to_owned(), shown);
                writeln!(self.story, "    due {wall}, time over at {:?}", wake.monotonic).unwrap();
            }
            ["clock", by] => self.now.wall = self.now.wall.plus_milliseconds(milliseconds(by)),
            ["restart"] => {
                let state = self.scheduler.to_state();
                self.now.monotonic = Duration::ZERO;
                let (scheduler, changes) = Scheduler::restore(self.settings.clone(), state, self.now);
                self.scheduler = scheduler;
                self.save(&changes);
            }
            ["unsaved", ..] => {
                let event = self.event(&words[1..]);
                self.handle(event);
                let (settings, live) = (self.settings.clone(), self.scheduler.live());
                let (scheduler, changes) = Scheduler::restore_live(settings, self.replay.state(), live, self.now);
                self.scheduler = scheduler;
                self.save(&changes);
            }
            ["passes", by] => {
                let by = milliseconds(by);
                self.now.wall = self.now.wall.plus_milliseconds(by);
                self.now.monotonic += Duration::from_millis(u64::try_from(by).unwrap());
                self.send(Event::TimePassed);
            }
            _ => {
                let event = self.event(&words);
                self.send(event);
            }
        }
    }

    fn event(&self, words: &[&str]) -> Event {
        let period = |text: &str| text.parse::<Period>().unwrap();
        let worker = |text: &str| WorkerId(text.parse().unwrap());
        let build = |text: &str| build(text.strip_prefix('b').unwrap().parse().unwrap());
        match *words {
            ["schedule", name, on, every] => Event::Schedule { job: script(name, on), period: period(every) },
            ["schedule-templated", name, every] => Event::Schedule { job: templated(name), period: period(every) },
            ["schedule-parameter", name, every] => {
                Event::Schedule { job: parameter(name, None), period: period(every) }
            }
            ["schedule-parameter", name, on, every] => {
                Event::Schedule { job: parameter(name, Some(on)), period: period(every) }
            }
            ["unschedule", name] => Event::Unschedule { job: job_name(name) },
            ["execute", name] => Event::Execute { job: job_name(name), platform: None },
            ["execute", name, on] => Event::Execute { job: job_name(name), platform: Some(platform(on)) },
            ["reschedule", name, next] => Event::Reschedule { job: job_name(name), next: at(next), period: None },
            ["reschedule", name, next, every] => {
                Event::Reschedule { job: job_name(name), next: at(next), period: Some(period(every)) }
            }
            ["drop", on] => Event::DropPlatform(platform(on)),
            ["undrop", on] => Event::UndropPlatform(platform(on)),
            ["waits", id, on] => Event::WorkerWaits { worker: worker(id), platform: platform(on) },
            ["gone", id] => Event::WorkerGone { worker: worker(id) },
            ["lost", id] => Event::Lost { build: build(id), why: LostWhy::WorkerVanished },
            ["lost", id, "disk"] => Event::Lost { build: build(id), why: LostWhy::RecordFailed("disk full".into()) },
            ["lost", id, "undelivered"] => Event::Lost { build: build(id), why: LostWhy::NotDelivered },
            ["lost", id, "refused"] => Event::Lost { build: build(id), why: LostWhy::Refused("no bwrap".into()) },
            ["lost", id, "restart"] => Event::Lost { build: build(id), why: LostWhy::ServerRestarted },
            ["finish", id, how] => {
                let (outcome, record_bytes) = match how {
                    "ok" => (Outcome::Exited(0), Some(100)),
                    "timeout" => (Outcome::aborted("timeout"), Some(100)),
                    "unrecorded" => (Outcome::aborted("disk full"), None),
                    _ => panic!("{how:?} is no end"),
                };
                Event::Finished { build: build(id), finished: self.now.wall, outcome, record_bytes }
            }
            ["tick"] => Event::TimePassed,
            ["template", on, what] => {
                let template = match what {
                    "missing" => Template::Missing,
                    "unreadable" => Template::Unreadable("permission denied".to_owned()),
                    "huge" => Template::Present(TemplateText::Package(vec![b'x'; 5 << 20].into())),
                    text => {
                        let text = format!("{text} %%OPAM_PACKAGE%% %%PLATFORM%%");
                        Template::Present(TemplateText::Package(text.as_bytes().into()))
                    }
                };
                Event::TemplateRead { platform: platform(on), id: TemplateId::Package, template }
            }
            ["named", on, what] => {
                let id = TemplateId::Named(TemplateName::parse(b"named").unwrap());
                Event::TemplateRead { platform: platform(on), id, template: named(what) }
            }
            _ => panic!("{words:?} is no event"),
        }
    }

    fn handle(&mut self, event: Event) -> crate::Decision {
        let builds = &mut self.builds;
        let mut fresh = || {
            *builds += 1;
            build(*builds)
        };
        self.scheduler.handle(self.now, event, &mut fresh)
    }

    fn send(&mut self, event: Event) {
        let decision = self.handle(event);
        match &decision.reply {
            Ok(Reply::Done) => {}
            Ok(Reply::RunAgain) => self.story.push_str("    run again\n"),
            Ok(Reply::Record(outcome)) => writeln!(self.story, "    record {outcome}").unwrap(),
            Err(refusal) => writeln!(self.story, "    refused: {refusal}").unwrap(),
        }
        self.save(&decision.changes);
        for act in &decision.acts {
            match act {
                Act::Assign { worker, running, script } => {
                    let (id, text) = (build_number(running.build), String::from_utf8_lossy(&script.script));
                    writeln!(self.story, "    => worker {}: b{id}, {text:?}", worker.0).unwrap();
                }
                Act::TimedOut { worker, build } => {
                    writeln!(self.story, "    => worker {}: b{} is over its time", worker.0, build_number(*build))
                        .unwrap();
                }
            }
        }
    }

    fn save(&mut self, changes: &[Change]) {
        for change in changes {
            self.replay.apply(change);
            writeln!(self.story, "    {}", picture(change)).unwrap();
        }
        self.scheduler.saved();
    }

    fn info(&mut self) {
        let snapshot = self.scheduler.snapshot();
        let story = &mut self.story;
        for entry in &snapshot.schedule {
            writeln!(story, "    {} {} at {}", entry.job.name(), entry.period, shown(entry.next)).unwrap();
        }
        let mut waits = snapshot.waits.iter();
        for (platform, jobs) in &snapshot.queues {
            writeln!(story, "    queue of {platform}:").unwrap();
            for job in jobs {
                let wait = waits.next().unwrap();
                assert_eq!((job.name(), platform), (&wait.job, &wait.platform));
                writeln!(story, "        {} waits for {}", job.name(), wait.waits).unwrap();
            }
        }
        for running in &snapshot.running {
            let (id, attempt) = (build_number(running.build.build), running.build.attempt);
            writeln!(story, "    b{id} runs {} on worker {}, attempt {attempt}", running.build.job, running.worker.0)
                .unwrap();
        }
        for platform in &snapshot.dropped {
            writeln!(story, "    {platform} is dropped").unwrap();
        }
    }

    pub(super) fn check(&self) {
        self.scheduler.check();
        let state = self.scheduler.to_state();
        assert_eq!(self.replay.state(), state, "the changes lead to the state");
        for number in 1..=self.builds {
            let count = self.replay.whereabouts(build(number));
            // A build whose hand-out was not saved was never begun.
            assert!(count <= 1, "b{number} is in one place, not in {count}");
        }
        let (restored, changes) = Scheduler::restore(self.settings.clone(), state.clone(), self.now);
        restored.check();
        let mut replay = Replay::of(state);
        changes.iter().for_each(|change| replay.apply(change));
        assert_eq!(replay.state(), restored.to_state(), "the changes of a restart lead to its state");
        let (_, again) = Scheduler::restore(self.settings.clone(), restored.to_state(), self.now);
        assert_eq!(again, [], "a restart heals what there is to heal");
    }
}

fn picture(change: &Change) -> String {
    let place = |queued: &Queued| {
        let mut text = queued.job.to_string();
        if queued.retries > 0 {
            write!(text, ", retries {}", queued.retries).unwrap();
        }
        if let Some(resume) = &queued.resume {
            write!(text, ", resumes b{} after attempt {}", build_number(resume.build), resume.attempts).unwrap();
            if resume.refusals > 0 {
                write!(text, ", refused {}", resume.refusals).unwrap();
            }
        }
        text
    };
    match change {
        Change::EntryPut(entry) => format!("+ entry {} {} at {}", entry.job.name(), entry.period, shown(entry.next)),
        Change::EntryNext { job, next, period } => format!("entry {job} {period} at {}", shown(*next)),
        Change::EntryRemoved(job) => format!("- entry {job}"),
        Change::QueueAdded(platform) => format!("+ queue {platform}"),
        Change::QueueRemoved(platform) => format!("- queue {platform}"),
        Change::QueuedPut { platform, position, queued } => format!("+ {platform}[{position}] {}", place(queued)),
        Change::QueuedRemoved { platform, position } => format!("- {platform}[{position}]"),
        Change::PlatformDropped(platform) => format!("+ dropped {platform}"),
        Change::PlatformUndropped(platform) => format!("- dropped {platform}"),
        Change::RunningPut(build) => {
            let (id, attempt) = (build_number(build.build), build.attempt);
            format!("+ running b{id} {} on {}, attempt {attempt}, retries {}", build.job, build.platform, build.retries)
        }
        Change::RunningRemoved(build) => format!("- running b{}", build_number(*build)),
        Change::Finished(row) => {
            let record = row.record_bytes.map_or("no record".to_owned(), |bytes| format!("record of {bytes} bytes"));
            let (id, took) = (build_number(row.build), format!("{} to {}", shown(row.started), shown(row.finished)));
            format!(
                "+ finished b{id} {} on {}, attempts {}, {took}, {}, {record}",
                row.job, row.platform, row.attempts, row.outcome
            )
        }
    }
}
