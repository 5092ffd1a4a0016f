//! What pkg(8) wants to know of a package: the manifest as JSON, which is UCL as well, short and with all files, and the
//! scripts that it runs.

use super::read;
use crate::command::{output, program};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The systems that the packages are for: FreeBSD 14 on the processors that its 64-bit PCs have.
pub(super) const ABI: &str = "FreeBSD:14:amd64";
const ARCHITECTURE: &str = "freebsd:14:x86:64";
/// Who answers for a package; `BUILDER_MAINTAINER` says it otherwise.
const MAINTAINER: &str = "builder@packages.invalid";
/// When pkg runs a script; the names are those of our files as well.
pub(super) const SCRIPTS: [&str; 5] = ["pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade"];
/// Samples become settings where there are none yet, and go with the package where nobody changed them.
const SAMPLES_INSTALLED: &str = include_str!("samples-installed.sh");
const SAMPLES_REMOVED: &str = include_str!("samples-removed.sh");

/// One package, as `packages.json` describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    comment: String,
    description: String,
    /// Others of ours that it needs, in the same version.
    needs: Vec<String>,
    /// What is shown after it was installed.
    message: String,
}

/// What is found when it is packed.
pub(super) struct Facts<'a> {
    pub(super) version: &'a str,
    pub(super) epoch: &'a str,
    pub(super) stage: &'a Path,
    pub(super) files: &'a [PathBuf],
}

/// Reads `packages.json`.
pub(super) fn packages(text: &str) -> Result<Vec<Package>> {
    let value: Value = serde_json::from_str(text).context("read packages.json")?;
    let all = value.as_object().context("packages.json is no object")?;
    let package = |(name, value): (&String, &Value)| -> Result<Package> {
        let text = |key: &str| {
            let lines = value[key].as_array().map(|lines| lines.iter().filter_map(Value::as_str).collect::<Vec<_>>());
            let said = value[key].as_str().map(str::to_owned).or_else(|| Some(lines?.join("\n")));
            said.with_context(|| format!("packages.json: {name} has no {key}"))
        };
        let needs =
            value["needs"].as_array().with_context(|| format!("packages.json: {name} does not say its needs"))?;
        Ok(Package {
            name: name.clone(),
            comment: text("comment")?,
            description: text("description")?,
            needs: needs.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            message: text("message")?,
        })
    };
    all.iter().map(package).collect()
}

/// The scripts of a package: those of `packaging/freebsd`, and what samples need.
pub(super) fn scripts(folder: &Path, name: &str, files: &[PathBuf]) -> Result<Map<String, Value>> {
    let samples: String = files
        .iter()
        .filter(|file| file.starts_with("usr/local/etc") && file.extension().is_some_and(|ending| ending == "sample"))
        .map(|file| format!(" /{}", file.display()))
        .collect();
    let mut scripts = Map::new();
    for kind in SCRIPTS {
        let path = folder.join(format!("{name}.{kind}"));
        let own = if path.exists() { read(&path)? } else { String::new() };
        let more = match kind {
            "post-install" => SAMPLES_INSTALLED,
            "pre-deinstall" => SAMPLES_REMOVED,
            _ => "",
        };
        let more = if samples.is_empty() { String::new() } else { more.replace(" @SAMPLES@", &samples) };
        // Samples are settled first: what is ours may set owners and modes of the settings.
        let text = if kind == "post-install" { more + &own } else { own + &more };
        if !text.is_empty() {
            scripts.insert(kind.to_owned(), encoded(&text).into());
        }
    }
    Ok(scripts)
}

/// The short manifest, for whoever wants to know what it is, and the whole one.
pub(super) fn texts(package: &Package, facts: &Facts<'_>, scripts: &Map<String, Value>) -> Result<(String, String)> {
    let sums = sums(facts)?;
    let mut size = 0;
    for file in facts.files {
        let path = facts.stage.join(file);
        size += std::fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?.len();
    }
    let maintainer = std::env::var("BUILDER_MAINTAINER").unwrap_or_else(|_| MAINTAINER.to_owned());
    let needs = package.needs.iter();
    let needs: Map<String, Value> =
        needs.map(|name| (name.clone(), json!({"origin": origin(name), "version": facts.version}))).collect();
    let mut manifest = json!({
        "name": package.name,
        "origin": origin(&package.name),
        "version": facts.version,
        "comment": package.comment,
        "maintainer": maintainer,
        "www": "UNKNOWN",
        "abi": ABI,
        "arch": ARCHITECTURE,
        "prefix": "/usr/local",
        "flatsize": size,
        "timestamp": facts.epoch.parse::<u64>().context("the time of the files is no number")?,
        "licenselogic": "single",
        "licenses": ["ISCL"],
        "desc": encoded(&package.description),
        "deps": needs,
        "categories": ["devel"],
        "messages": [{"message": encoded(&package.message), "type": "install"}],
    });
    let compact = serde_json::to_string(&manifest)?;
    manifest["files"] = Value::Object(sums);
    manifest["scripts"] = Value::Object(scripts.clone());
    Ok((compact, serde_json::to_string(&manifest)?))
}

fn origin(name: &str) -> String {
    format!("local/{name}")
}

/// As pkg writes texts and names: a percent sign, and all that is no ASCII, as two digits behind a percent sign.
fn encoded(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte == b'%' || !byte.is_ascii() {
            result.push_str(&format!("%{byte:02x}"));
        } else {
            result.push(char::from(byte));
        }
    }
    result
}

/// The SHA-256 of every file, as pkg writes it: with the number of the kind of sum in front.
fn sums(facts: &Facts<'_>) -> Result<Map<String, Value>> {
    let listed = output(program("sha256sum", &["--zero", "--"]).args(facts.files).current_dir(facts.stage))?;
    let mut sums = Map::new();
    for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let line = std::str::from_utf8(line).context("a path of a package is not UTF-8")?;
        let (sum, path) = line.split_once("  ").context("sha256sum says something else")?;
        sums.insert(encoded(&format!("/{path}")), format!("1${sum}").into());
    }
    if sums.len() != facts.files.len() {
        bail!("{} sums of {} files", sums.len(), facts.files.len());
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_pkg_reads_them() {
        assert_eq!(encoded("${a%.sample} \u{e9}\n"), "${a%25.sample} %c3%a9\n");
    }
}
