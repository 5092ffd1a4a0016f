//! All tests of the workspace, and what else has to pass before a change goes in.

use crate::command::{cargo, succeeds, watch, works};
use crate::component::{self, Component};
use crate::count::Counts;
use crate::dist;
use crate::freebsd;
use crate::tidy;
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::Instant;

/// Everything: formatting, tidy, clippy, types for FreeBSD, tests. A step that fails does not hide what later steps find.
pub(crate) fn ci() -> Result<bool> {
    let start = Instant::now();
    let missing = component::missing()?;
    let mut left_out = Vec::new();
    let mut failed = Vec::new();
    let steps = [("fmt", &["--all", "--check"][..]), ("clippy", &["--workspace", "--all-targets", "--locked"])];
    for (tool, arguments) in steps {
        let mut command = cargo(&[tool]);
        command.args(arguments);
        if tool == "clippy" {
            command.args(["--", "--deny", "warnings"]);
        }
        if !works(cargo(&[tool, "--version"])) {
            left_out.push(format!("cargo {tool}: not installed; `rustup component add rustfmt clippy` brings it"));
        } else if !succeeds(&mut command)? {
            failed.push(format!("cargo {tool}"));
        }
    }
    let lacks_freebsd = missing.iter().any(|component| component.tests.contains(&freebsd::CHECK));
    if !lacks_freebsd && !freebsd::check(&dist::target_folder()?)? {
        failed.push("types for FreeBSD".into());
    }
    finish(start, &[], &missing, failed, left_out)
}

/// The tests. With arguments, those go to the runner, and the doc tests, which do not take them, are left out.
pub(crate) fn test(arguments: &[&str]) -> Result<bool> {
    finish(Instant::now(), arguments, &component::missing()?, Vec::new(), Vec::new())
}

/// Checks the tree, runs the tests, and says how everything ended: last of all, the counts.
fn finish(
    start: Instant,
    arguments: &[&str],
    missing: &[&Component],
    mut failed: Vec<String>,
    mut left_out: Vec<String>,
) -> Result<bool> {
    println!("\n$ cargo xtask tidy");
    if !tidy::tidy()? {
        failed.push("cargo xtask tidy".into());
    }
    for component in missing {
        let what = format!("{}: missing, tests with {:?} in their name", component.name, component.tests);
        if component.is_owed() { failed.push(what) } else { left_out.push(what) }
    }
    let mut counts = Counts::default();
    if !run_tests(arguments, missing, &mut counts)? || counts.has_failures() {
        failed.push("tests".into());
    }
    if arguments.is_empty() {
        // A thousand runs of the engine alone, and a short one of the real programs that were built above.
        let farms = [("builder-simulator", &[][..]), ("builder-faults", &["--", "--rounds", "20", "--seed", "1"])];
        for (package, theirs) in farms {
            if !succeeds(cargo(&["run", "--quiet", "--locked", "--package", package]).args(theirs))? {
                failed.push(package.into());
            }
        }
    }
    println!();
    left_out.iter().for_each(|what| println!("xtask: skipped: {what}"));
    failed.iter().for_each(|what| println!("xtask: failed: {what}"));
    let word = if failed.is_empty() { "all is well" } else { "FAILED" };
    println!("xtask: {word}");
    println!("     Summary [{:8.3}s] {counts}", start.elapsed().as_secs_f64());
    Ok(failed.is_empty())
}

fn run_tests(arguments: &[&str], missing: &[&Component], counts: &mut Counts) -> Result<bool> {
    // Tests spawn the programs, also those of other packages, which a test run alone would not build.
    if !succeeds(&mut cargo(&["build", "--workspace", "--bins", "--locked"]))? {
        return Ok(false);
    }
    let nextest = works(cargo(&["nextest", "--version"]));
    let skips: BTreeSet<&str> = missing.iter().flat_map(|component| component.tests).copied().collect();
    let skips: Vec<&str> = skips.into_iter().collect();
    let mut runner = cargo(if nextest { &["nextest", "run"] } else { &["test"] });
    let mut passed = watch(runner.args(runner_arguments(arguments, &skips)), |line| counts.add(line))?;
    if arguments.is_empty() {
        let mut doc_tests = cargo(&["test", "--workspace", "--doc", "--locked", "--no-fail-fast"]);
        passed &= watch(&mut doc_tests, |line| counts.add(line))?;
    }
    Ok(passed)
}

/// The arguments of either runner: whole workspace unless packages were named, and no test whose name has a skip in it.
fn runner_arguments<'a>(given: &[&'a str], skips: &[&'a str]) -> Vec<&'a str> {
    let behind = given.iter().position(|argument| *argument == "--").unwrap_or(given.len());
    let (ours, theirs) = given.split_at(behind);
    let names_package = |argument: &&str| argument.starts_with("-p") || argument.starts_with("--package");
    let mut arguments = vec!["--locked", "--all-targets"];
    if !ours.iter().any(names_package) {
        arguments.push("--workspace");
    }
    if !ours.contains(&"--no-fail-fast") {
        arguments.push("--no-fail-fast");
    }
    arguments.extend(ours);
    if !skips.is_empty() || !theirs.is_empty() {
        arguments.push("--");
    }
    arguments.extend(theirs.iter().skip(1));
    skips.iter().for_each(|skip| arguments.extend(["--skip", skip]));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_runner_and_skips_come_last() {
        let whole = ["--locked", "--all-targets", "--workspace", "--no-fail-fast"];
        assert_eq!(runner_arguments(&[], &[]), whole);
        assert_eq!(runner_arguments(&[], &["demo"]), [&whole[..], &["--", "--skip", "demo"]].concat());
        assert_eq!(
            runner_arguments(&["-p", "builder-wire", "--", "cuts"], &["demo"]).join(" "),
            "--locked --all-targets --no-fail-fast -p builder-wire -- cuts --skip demo"
        );
    }
}
