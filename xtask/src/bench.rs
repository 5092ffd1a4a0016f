//! `cargo xtask bench`: release builds of server, worker and load generator, then every case of the generator, on a
//! folder below the target folder. What is measured, and how it compares with the goals, is the generator's business.

use crate::command::{cargo, output, program, run, succeeds};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What is built.
const PACKAGES: [&str; 3] = ["builder-server", "builder-worker", "builder-bench"];

/// Builds, measures, draws; further arguments go to `builder-bench suite`.
pub(crate) fn bench(arguments: &[&str]) -> Result<bool> {
    let target = target_folder()?;
    let mut build = cargo(&["build", "--release", "--bins"]);
    PACKAGES.iter().for_each(|package| {
        build.args(["--package", package]);
    });
    run(&mut build)?;
    let (programs, folder) = (target.join("release"), target.join("bench"));
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let (results, picture) = (folder.join("results.jsonl"), folder.join("performance.svg"));
    if results.exists() {
        std::fs::remove_file(&results).with_context(|| format!("remove {}", results.display()))?;
    }
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

fn target_folder() -> Result<PathBuf> {
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).context("read the output of cargo metadata")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(folder.into())
}

fn shown(path: &Path) -> String {
    path.strip_prefix(crate::command::root()).unwrap_or(path).display().to_string()
}
