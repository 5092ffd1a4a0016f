//! The goals of the repository, and what was measured.

use crate::goals::{Goal, Results, at_least, at_most};
use crate::report::Measurement;

/// Compares what was measured with the goals.
pub(crate) fn compare(all: &[Measurement]) -> Vec<Goal> {
    let results = Results::new(all);
    let mut goals = pages(results);
    goals.extend(files(results));
    goals
}

fn pages(results: Results<'_>) -> Vec<Goal> {
    let mut goals = Vec::new();
    let kinds = [
        ("front", "again", "front page, again"),
        ("job", "once", "job page, each for the first time"),
        ("job", "again", "job page, again"),
        ("build", "once", "build page, each for the first time"),
        ("build", "again", "build page, again"),
        ("hash", "once", "`/hash`, each for the first time"),
        ("search", "once", "search page for a digest, each for the first time"),
    ];
    let figure = |page: &str, asked: &str, name: &str| {
        let is_it = |measurement: &Measurement| measurement.has("page", page) && measurement.has("asked", asked);
        results.median_where("web-pages", is_it, name)
    };
    for (page, asked, words) in kinds {
        for (percent, goal) in [("p50", 5.0), ("p99", 25.0)] {
            let measured = figure(page, asked, &format!("answer_{percent}_ms"));
            goals.push(at_most(format!("{words}, 50 at once, {percent}"), "–", goal, "ms", measured));
        }
    }
    for (asked, words) in [("once", "each for the first time"), ("again", "again")] {
        let measured = figure("build", asked, "requests_per_s");
        goals.push(at_least(format!("build pages, {words}"), "–", 2000.0, "/s", measured));
    }
    for (name, words, goal) in [("first_p50_ms", "first", 30.0), ("again_p50_ms", "again", 5.0)] {
        let measured = results.median("web-compare", &[], name);
        goals.push(at_most(format!("comparison of two opam switches, {words}"), "–", goal, "ms", measured));
    }
    for name in ["p50_slower", "p99_slower"] {
        let what = format!("build pages beside 8 slow uploads, {}", name.trim_end_matches("_slower"));
        goals.push(at_most(what, "–", 1.1, "× slower", results.median("web-slow-uploads", &[], name)));
    }
    let paint = results.median("web-console", &[], "first_paint_p50_ms");
    goals.push(at_most("console of a million lines, first screen in Chromium".into(), "–", 100.0, "ms", paint));
    let answer = results.median("web-console", &[], "answer_p50_ms");
    goals.push(at_most("the same, until the answer is there".into(), "–", 100.0, "ms", answer));
    for page in ["front", "job", "build", "search", "package search", "compare"] {
        let is_it = |measurement: &Measurement| measurement.has("page", page);
        for (field, how) in [("bytes", "not packed"), ("packed_bytes", "as a browser gets it")] {
            let bytes = results.median_where("web-weight", is_it, field).map(|bytes| bytes / 1000.0);
            goals.push(at_most(format!("weight of a {page} page, {how}"), "–", 50.0, "kB", bytes));
        }
    }
    goals
}

fn files(results: Results<'_>) -> Vec<Goal> {
    let mut goals = Vec::new();
    let many = results.largest("web-upload", "files");
    for (files, words) in [(1.0, "upload in one artifact".to_owned()), (many, format!("upload in {many} artifacts"))] {
        let wanted = [("files", files)];
        let rate = results.median("web-upload", &wanted, "of_plain").map(|ratio| ratio * 100.0);
        goals.push(at_least(format!("{words}: rate, of that of a plain program"), "–", 60.0, "%", rate));
        let memory = results.median("web-upload", &wanted, "server_peak_kb").map(|kb| kb / 1024.0);
        goals.push(at_most(format!("{words}: memory of the server"), "–", 64.0, "MiB", memory));
    }
    let download = results.median("web-download", &[], "of_nginx").map(|ratio| ratio * 100.0);
    goals.push(at_least("download of a large artifact: rate, of that of nginx".into(), "–", 80.0, "%", download));
    let start = results.median("web-start", &[], "front_page_s");
    let builds = results.largest("web-start", "builds");
    goals.push(at_most(format!("start on {builds} builds, until the front page is there"), "–", 1.0, "s", start));
    goals
}
