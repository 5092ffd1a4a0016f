//! What must hold for packages before anybody gets them: hardened units, and nothing that lintian calls an error.

use crate::command::{output, program, run};
use crate::component::in_path;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The units that talk to the world, and the most exposure, of 10, that systemd may find in them.
const EXPOSED: [&str; 2] = ["builder-server.service", "builder-web.service"];
const EXPOSURE_MAX: f64 = 3.0;

/// Asks systemd how exposed the units are.
pub(super) fn units(folder: &Path) -> Result<()> {
    if !in_path("systemd-analyze") {
        println!("dist: skipped: systemd-analyze is missing, the hardening of the units is not checked");
        return Ok(());
    }
    for unit in EXPOSED {
        let mut command = program("systemd-analyze", &["security", "--offline=true", "--no-pager"]);
        let report = output(command.arg(folder.join(unit)))?;
        let report = String::from_utf8_lossy(&report);
        let exposure = exposure(&report).with_context(|| format!("systemd-analyze says nothing of {unit}"))?;
        println!("{unit}: exposure {exposure}, at most {EXPOSURE_MAX} is allowed");
        if exposure > EXPOSURE_MAX {
            bail!("{unit} is too exposed: {exposure}, over {EXPOSURE_MAX}\n{report}");
        }
    }
    Ok(())
}

/// The figure in the last line of the report.
fn exposure(report: &str) -> Option<f64> {
    let (_, behind) = report.split_once("Overall exposure level for ")?;
    behind.split_whitespace().find_map(|word| word.parse().ok())
}

/// Asks lintian; warnings are shown, errors stop us.
pub(super) fn lintian(packages: &[PathBuf]) -> Result<()> {
    if !in_path("lintian") {
        println!("dist: skipped: lintian is missing, the packages are not checked");
        return Ok(());
    }
    let mut command = program("lintian", &["--allow-root", "--fail-on", "error", "--tag-display-limit", "0"]);
    run(command.args(packages)).context("lintian finds errors in the packages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_found_in_the_report() {
        let report = "✗ PrivateNetwork= Service has access 0.5\n\n→ Overall exposure level for a.service: 1.5 OK 🙂\n";
        assert_eq!(exposure(report), Some(1.5));
        assert_eq!(exposure("nothing"), None);
    }
}
