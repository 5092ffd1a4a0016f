//! `info`.

use crate::cli::{Exit, Failure, Format, Screen, Table, text_of};
use crate::client::Client;
use crate::farm::Farm;
use builder_model::time::local_text;
use builder_model::{Job, Timestamp};
use owo_colors::Style;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::SystemTime;

/// Tell what is scheduled, queued and running.
///
/// In JSON: `dropped_platforms`, a list of names; `schedule`, a list of jobs with `period` and `next` (RFC 3339, null
/// for never); `queues`, a list of `platform` and `jobs`, the next to run first; `running`, a list of `uuid`, `name`,
/// `platform` and `started`. A job has `name`, and `platform` or `package`, the other being null; one of a template with
/// parameters has `template` and `values` instead of a package, and `platform` if it is for one alone. A queued one has
/// `waits_for`, too: what must happen for it to run, in words, or null where the server cannot tell.
#[derive(Debug, clap::Args)]
pub(crate) struct Info {}

impl Info {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let farm = client.info_with_waits()?;
        let now = Timestamp::from(SystemTime::now());
        let written = match screen.format() {
            Format::Text => write_text(screen, &farm, now),
            Format::Json => write_json(screen, &farm),
        };
        written.map_err(Failure::Output)?;
        Ok(Exit::Success)
    }
}

fn write_text(screen: &mut Screen, farm: &Farm, now: Timestamp) -> io::Result<()> {
    let heading = |screen: &Screen, text: &str| screen.styled(text, Style::new().bold());
    let dropped: Vec<String> = farm.dropped.iter().map(ToString::to_string).collect();
    let dropped = if dropped.is_empty() { "none".to_owned() } else { dropped.join(" ") };
    writeln!(screen, "{} {dropped}", heading(screen, "dropped platforms:"))?;

    writeln!(screen, "\n{}", heading(screen, &format!("schedule: {}", counted(farm.schedule.len(), "job"))))?;
    let mut table = Table::new(&["NAME", "RUNS ON", "PERIOD", "NEXT", ""]);
    for entry in &farm.schedule {
        let never = entry.next == Timestamp::MAX;
        let (next, relative) =
            if never { ("never".to_owned(), String::new()) } else { (local_text(entry.next), until(entry.next, now)) };
        let job = &entry.job;
        table.row(vec![job.name().to_string(), runs_on(job), entry.period.to_string(), next, relative]);
    }
    screen.write_table(&table)?;

    let waiting = farm.queues.iter().map(|queue| queue.jobs.len()).sum();
    writeln!(screen, "\n{}", heading(screen, &format!("queues: {}", counted(waiting, "job"))))?;
    screen.write_table(&queues_table(farm))?;

    writeln!(screen, "\n{}", heading(screen, &format!("running: {}", counted(farm.running.len(), "build"))))?;
    let mut table = Table::new(&["UUID", "NAME", "PLATFORM", "SINCE", ""]);
    for build in &farm.running {
        let (since, relative) = (local_text(build.started), until(build.started, now));
        table.row(vec![build.build.to_string(), build.job.to_string(), build.platform.to_string(), since, relative]);
    }
    screen.write_table(&table)
}

fn queues_table(farm: &Farm) -> Table {
    // A server that cannot tell what they wait for has no column for it.
    let told = farm.queues.iter().any(|queue| !queue.waits.is_empty());
    let columns = ["PLATFORM", "PLACE", "NAME", "", "WAITS FOR"];
    let columns = &columns[..if told { 5 } else { 4 }];
    let mut table = Table::new(columns);
    let mut row = |mut cells: Vec<String>| {
        cells.truncate(columns.len());
        table.row(cells);
    };
    for queue in &farm.queues {
        let platform = || queue.platform.to_string();
        for (index, job) in queue.jobs.iter().enumerate() {
            let waits = queue.waits.get(job.name()).cloned().unwrap_or_default();
            row(vec![platform(), (index + 1).to_string(), job.name().to_string(), package(job), waits]);
        }
        if queue.jobs.is_empty() {
            row(vec![platform(), "-".to_owned(), "empty".to_owned(), String::new(), String::new()]);
        }
    }
    table
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

fn runs_on(job: &Job) -> String {
    match job {
        Job::Script(job) => job.platform.to_string(),
        Job::Templated(_) => package(job),
        Job::Parameter(job) => match &job.platform {
            Some(platform) => format!("{platform}, template {}", job.template),
            None => format!("template {}", job.template),
        },
    }
}

fn package(job: &Job) -> String {
    match job {
        Job::Script(_) => String::new(),
        Job::Templated(job) => format!("package {}", job.package),
        Job::Parameter(job) => format!("template {}", job.template),
    }
}

/// How far away a time is, in its largest unit: `in 3h`, `5m ago`.
fn until(time: Timestamp, now: Timestamp) -> String {
    let milliseconds = time.milliseconds_since(now);
    let seconds = milliseconds.unsigned_abs() / 1000;
    let span = match seconds {
        0 => return "now".to_owned(),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    };
    if milliseconds > 0 { format!("in {span}") } else { format!("{span} ago") }
}

fn write_json(screen: &mut Screen, farm: &Farm) -> io::Result<()> {
    let schedule = farm.schedule.iter().map(|entry| {
        let mut value = job_value(&entry.job);
        value["period"] = json!(entry.period.as_str());
        value["next"] = if entry.next == Timestamp::MAX { Value::Null } else { json!(entry.next.to_string()) };
        value
    });
    let queues = farm.queues.iter().map(|queue| {
        let job = |job: &Job| {
            let mut value = job_value(job);
            value["waits_for"] = json!(queue.waits.get(job.name()));
            value
        };
        json!({
            "platform": text_of(queue.platform.as_bytes()),
            "jobs": queue.jobs.iter().map(job).collect::<Vec<_>>(),
        })
    });
    let running = farm.running.iter().map(|build| {
        json!({
            "uuid": build.build.to_string(),
            "name": text_of(build.job.as_bytes()),
            "platform": text_of(build.platform.as_bytes()),
            "started": build.started.to_string(),
        })
    });
    let value = json!({
        "dropped_platforms": farm.dropped.iter().map(|name| text_of(name.as_bytes())).collect::<Vec<_>>(),
        "schedule": schedule.collect::<Vec<_>>(),
        "queues": queues.collect::<Vec<_>>(),
        "running": running.collect::<Vec<_>>(),
    });
    screen.write_json(&value)
}

fn job_value(job: &Job) -> Value {
    let package = match job {
        Job::Script(_) => Value::Null,
        Job::Templated(job) => json!(text_of(job.package.as_bytes())),
        Job::Parameter(_) => Value::Null,
    };
    let mut value = json!({
        "name": text_of(job.name().as_bytes()),
        "platform": job.platform().map(|platform| text_of(platform.as_bytes())),
        "package": package,
    });
    if let Job::Parameter(job) = job {
        let values = job.values.iter().map(|(name, value)| (name.to_string(), json!(value.as_str())));
        value["template"] = json!(text_of(job.template.as_bytes()));
        value["values"] = Value::Object(values.collect());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_in_time() {
        let now = Timestamp::from_milliseconds(1_000_000_000_000).unwrap();
        for (milliseconds, text) in [
            (999, "now"),
            (1_000, "in 1s"),
            (-61_000, "1m ago"),
            (3 * 3_600_000, "in 3h"),
            (86_400_000, "in 1d"),
            (-86_400_000 * 400, "400d ago"),
        ] {
            assert_eq!(until(now.plus_milliseconds(milliseconds), now), text);
        }
    }
}
