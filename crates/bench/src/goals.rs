//! The goals that the farm has set itself, and what was measured, side by side.

use crate::report::Measurement;
use crate::samples::Samples;

/// Which side of a goal is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    AtLeast,
    AtMost,
}

/// One line of the comparison.
#[derive(Debug)]
pub(crate) struct Goal {
    what: String,
    original: &'static str,
    side: Side,
    goal: f64,
    unit: &'static str,
    /// None where it was not measured, or not without errors.
    measured: Option<f64>,
}

impl Goal {
    /// How many times better than the goal it is; 1 and more is reached.
    fn ratio(&self) -> Option<f64> {
        self.measured.map(|measured| match self.side {
            Side::AtLeast => measured / self.goal,
            Side::AtMost => self.goal / measured,
        })
    }

    fn row(&self) -> [String; 6] {
        let sign = match self.side {
            Side::AtLeast => '≥',
            Side::AtMost => '≤',
        };
        let unknown = || "–".to_owned();
        let with_unit = |number: f64| format!("{} {}", shown(number), self.unit).trim_end().to_owned();
        [
            self.what.clone(),
            self.original.to_owned(),
            format!("{sign} {}", with_unit(self.goal)),
            self.measured.map_or_else(|| "not measured, or with errors".to_owned(), with_unit),
            self.ratio().map_or_else(unknown, |ratio| format!("{ratio:.2}")),
            self.ratio().map_or_else(unknown, |ratio| if ratio >= 1.0 { "yes" } else { "**no**" }.to_owned()),
        ]
    }
}

/// A number as people write it: thousands apart, and no more decimals than it needs.
fn shown(number: f64) -> String {
    if number < 100.0 {
        let text = format!("{number:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{number:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}

/// The results of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Results<'a>(&'a [Measurement]);

impl<'a> Results<'a> {
    pub(crate) fn new(all: &'a [Measurement]) -> Self {
        Self(all)
    }

    /// The median of a number over the measurements of a case in which other numbers have these values; none when one
    /// of them had errors.
    pub(crate) fn median(self, case: &str, wanted: &[(&str, f64)], name: &str) -> Option<f64> {
        let is_wanted =
            |measurement: &Measurement| wanted.iter().all(|(name, value)| measurement.number(name) == Some(*value));
        self.median_where(case, is_wanted, name)
    }

    /// The same over the measurements of a case that are wanted.
    pub(crate) fn median_where(self, case: &str, is_wanted: impl Fn(&Measurement) -> bool, name: &str) -> Option<f64> {
        let matching: Vec<&Measurement> =
            self.0.iter().filter(|measurement| measurement.is_of(case) && is_wanted(measurement)).collect();
        let clean = matching.iter().all(|measurement| measurement.number("errors").unwrap_or(0.0) == 0.0);
        let numbers: Samples = matching.iter().filter_map(|measurement| measurement.number(name)).collect();
        if clean { numbers.percentile(50) } else { None }
    }

    /// The largest value of a number in a case.
    pub(crate) fn largest(self, case: &str, name: &str) -> f64 {
        let all = self.0.iter().filter(|measurement| measurement.is_of(case));
        all.filter_map(|measurement| measurement.number(name)).fold(0.0, f64::max)
    }
}

/// Compares what was measured with the goals.
pub(crate) fn compare(all: &[Measurement]) -> Vec<Goal> {
    let results = Results::new(all);
    let mut goals = jobs(results);
    goals.extend(builds(results));
    goals.extend(crowds(results));
    goals
}

pub(crate) fn at_least(
    what: String,
    original: &'static str,
    goal: f64,
    unit: &'static str,
    measured: Option<f64>,
) -> Goal {
    Goal { what, original, side: Side::AtLeast, goal, unit, measured }
}

pub(crate) fn at_most(
    what: String,
    original: &'static str,
    goal: f64,
    unit: &'static str,
    measured: Option<f64>,
) -> Goal {
    Goal { what, original, side: Side::AtMost, goal, unit, measured }
}

fn jobs(results: Results<'_>) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (workers, original, goal) in [(1.0, "16", 500.0), (8.0, "66", 3000.0), (64.0, "56", 5000.0)] {
        let measured = results.median("throughput", &[("workers", workers)], "jobs_per_s");
        goals.push(at_least(format!("trivial jobs, {workers} at once"), original, goal, "jobs/s", measured));
    }
    let (few, many) = ("entries_smallest", "entries_largest");
    let sizes = [many, few].map(|name| shown(results.largest("growth-ratio", name)));
    let slower = results.median("growth-ratio", &[], "slower");
    let what = format!("the same with {} schedule entries against {}", sizes[0], sizes[1]);
    goals.push(at_most(what, "21 at 10,000", 1.2, "× slower", slower));
    for (word, name, original, goal) in [("p50", "dispatch_p50_ms", "43", 1.0), ("p99", "dispatch_p99_ms", "51", 3.0)] {
        let what = format!("`execute` → `jobSchedule` at a waiting worker, {word}");
        goals.push(at_most(what, original, goal, "ms", results.median("dispatch", &[], name)));
    }
    let noop = results.median("noop", &[], "record_p50_ms");
    goals.push(at_most("a no-op job on a real worker, submit → record on disk, p50".into(), "–", 10.0, "ms", noop));
    let costs = results.median("noop", &[], "bubblewrap_costs_ms");
    goals.push(at_most("the same in bubblewrap: that much longer, p50".into(), "–", 30.0, "ms", costs));
    goals
}

fn builds(results: Results<'_>) -> Vec<Goal> {
    let mut goals = Vec::new();
    let most_observers = results.largest("console", "observers");
    let observed = [("observers", most_observers)];
    let lines = results.largest("console", "lines");
    let peak = results.median("console", &[("lines", lines), ("observers", 0.0)], "server_peak_kb");
    let alone = results.median("console", &[("observers", 0.0), ("lines", 1e6)], "lines_per_s");
    let watched = results.median("console", &observed, "lines_per_s_slowest_observer");
    goals.push(at_least("console of 80-byte lines, no observer".into(), "172,000", 500_000.0, "lines/s", alone));
    let what = format!("the same, {most_observers} observers, until the slowest has every line");
    goals.push(at_least(what, "observers lose nearly all", 200_000.0, "lines/s", watched));
    let what = format!("{} lines in one build: memory of the server", shown(lines));
    goals.push(at_most(what, "dies at 300,000", 64.0, "MiB", peak.map(|kb| kb / 1024.0)));
    let megabytes = results.largest("ingest", "megabytes");
    let large = [("megabytes", megabytes), ("files", 1.0)];
    let server = results.median("ingest", &large, "server_peak_kb");
    let worker = results.median("ingest-worker", &[], "worker_peak_kb");
    let of_floor = results.median("ingest", &large, "of_floor");
    let artifact = format!("an artifact of {} MB", shown(megabytes));
    let what = format!("{artifact}: memory of the server");
    goals.push(at_most(what, "7 × its size", 64.0, "MiB", server.map(|kb| kb / 1024.0)));
    let what = format!("{artifact}: memory of a real worker");
    goals.push(at_most(what, "–", 64.0, "MiB", worker.map(|kb| kb / 1024.0)));
    let what = format!("{artifact}: rate, of that of a plain copy with a sync");
    goals.push(at_least(what, "–", 60.0, "%", of_floor.map(|ratio| ratio * 100.0)));
    goals
}

fn crowds(results: Results<'_>) -> Vec<Goal> {
    let mut goals = Vec::new();
    let most = results.largest("idle", "workers");
    let at = |workers: f64, name: &str| results.median("idle", &[("workers", workers)], name);
    let many = shown(most);
    goals.push(at_least("idle workers".into(), "1,000 tried", 9000.0, "", (most > 0.0).then_some(most)));
    goals.push(at_most(
        format!("{many} idle workers: memory of the server"),
        "3",
        8.0,
        "kB each",
        at(most, "kb_per_worker"),
    ));
    let wake = at(most, "slower_than_reference");
    goals.push(at_most(format!("waking one of {many}, against one of 10"), "wakes all", 1.2, "×", wake));
    let builds = shown(results.largest("start", "builds"));
    let first = results.median("start", &[], "first_job_s");
    goals.push(at_most(
        format!("start with {builds} finished builds, until the first accepted job"),
        "–",
        1.0,
        "s",
        first,
    ));
    let troubled = [("peers_closed_by_server", results.largest("robust", "peers_closed_by_server"))];
    for (what, name) in [
        ("`info` beside slow and silent peers and a large artifact, p50", "info_p50_ms"),
        ("the same, p99", "info_p99_ms"),
        ("`execute` → `jobSchedule` beside them, p50", "dispatch_p50_ms"),
        ("the same, p99", "dispatch_p99_ms"),
    ] {
        let measured = results.median("robust", &troubled, name);
        goals.push(at_most(what.into(), "dies or blocks", 10.0, "ms", measured));
    }
    goals
}

/// The comparison as a table in Markdown.
pub(crate) fn markdown(goals: &[Goal]) -> String {
    let mut text = String::from("| what | original | goal | measured | ratio | reached |\n|---|---|---|---|---|---|\n");
    for goal in goals {
        text.push_str(&format!("| {} |\n", goal.row().join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Errors;

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        assert_eq!([0.3, 1.0, 99.5, 100.0, 1234.5, 1e7].map(shown), ["0.3", "1", "99.5", "100", "1,234", "10,000,000"]);
    }

    #[test]
    fn goals_compare_in_their_direction_and_not_with_errors() {
        let throughput = |workers: u64, rate: f64| {
            Measurement::new("throughput").with("workers", workers).figure("jobs_per_s", rate)
        };
        let mut errors = Errors::default();
        errors.add(1, "lost");
        let all = [
            throughput(1, 1000.0),
            throughput(8, 1500.0),
            throughput(64, 9000.0).errors(&errors),
            Measurement::new("dispatch").figure("dispatch_p50_ms", 0.5).figure("dispatch_p99_ms", 6.0),
        ];
        let text = markdown(&compare(&all));
        for row in [
            "| trivial jobs, 1 at once | 16 | ≥ 500 jobs/s | 1,000 jobs/s | 2.00 | yes |",
            "| trivial jobs, 8 at once | 66 | ≥ 3,000 jobs/s | 1,500 jobs/s | 0.50 | **no** |",
            "| trivial jobs, 64 at once | 56 | ≥ 5,000 jobs/s | not measured, or with errors | – | – |",
            "waiting worker, p50 | 43 | ≤ 1 ms | 0.5 ms | 2.00 | yes |",
            "waiting worker, p99 | 51 | ≤ 3 ms | 6 ms | 0.50 | **no** |",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }
}
