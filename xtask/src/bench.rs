//! `cargo xtask bench`: release builds of server, worker and load generator, then every case of the generator, on a
//! folder below the target folder; or, for `bench web`, of the repository and the load generator. What is measured, and how it compares with the goals, is the generator's business.

use crate::command::{cargo, output, program, run, succeeds};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Builds, measures, draws; further arguments go to `builder-bench suite` or `builder-bench web`.
pub(crate) fn bench(arguments: &[&str]) -> Result<bool> {
    match arguments {
        ["web", rest @ ..] => repository(rest),
        all => farm(all),
    }
}

fn repository(arguments: &[&str]) -> Result<bool> {
    let (programs, folder) = build(&["builder-web", "builder-bench"])?;
    let results = fresh(folder.join("web.jsonl"))?;
    let generator = programs.join("builder-bench");
    let generator = generator.to_str().context("the path of the target folder is not UTF-8")?;
    let mut web = program(generator, &["web", "--format", "text", "--web-program"]);
    web.arg(programs.join("builder-web")).arg("--dir").arg(&folder).arg("--out").arg(&results).args(arguments);
    let measured = succeeds(&mut web)?;
    println!("\nresults: {}", shown(&results));
    Ok(measured)
}

fn farm(arguments: &[&str]) -> Result<bool> {
    let (programs, folder) = build(&["builder-server", "builder-worker", "builder-bench"])?;
    let (results, picture) = (fresh(folder.join("results.jsonl"))?, folder.join("performance.svg"));
    let generator = programs.join("builder-bench");
    let generator = generator.to_str().context("the path of the target folder is not UTF-8")?;
    let mut suite = program(generator, &["suite", "--format", "text", "--server-program"]);
    suite.arg(programs.join("builder-server")).arg("--worker-program").arg(programs.join("builder-worker"));
    suite.arg("--dir").arg(&folder).arg("--out").arg(&results).args(arguments);
    let measured = succeeds(&mut suite)?;
    run(program(generator, &["plot"]).arg(&results).arg(&picture))?;
    println!("\nresults: {}\npicture: {}", shown(&results), shown(&picture));
    Ok(measured)
}

/// Release builds of these packages; gives the folder of the programs, and the one to measure in.
fn build(packages: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let target = target_folder()?;
    let mut build = cargo(&["build", "--release", "--bins"]);
    packages.iter().for_each(|package| {
        build.args(["--package", package]);
    });
    run(&mut build)?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok((target.join("release"), folder))
}

/// A file of results that holds nothing yet.
fn fresh(results: PathBuf) -> Result<PathBuf> {
    if results.exists() {
        std::fs::remove_file(&results).with_context(|| format!("remove {}", results.display()))?;
    }
    Ok(results)
}

fn target_folder() -> Result<PathBuf> {
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).context("read the output of cargo metadata")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(folder.into())
}

fn shown(path: &Path) -> String {
    path.strip_prefix(crate::command::root()).unwrap_or(path).display().to_string()
}
