//! `verify-cache-dir`: whether every build that should have visualizations has them.

use crate::admin::Exit;
use crate::admin::args::{Common, Format};
use crate::admin::folder::Folder;
use crate::admin::screen::{Screen, count_text};
use crate::digest::Digest;
use crate::error::Tried;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Look for visualizations that are missing or empty
///
/// Looks at the names of the folders, at the newest version of each kind and whether it is complete (`.done`), and for
/// each build with a main binary at its pages. Exit status 1 when something is wrong.
///
/// In JSON: `findings`, a list of texts.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyCacheDir {
    /// The folder of visualizations [default: DATADIR/_cache]
    #[arg(long, value_name = "DIR", env = "BUILDER_WEB_CACHEDIR")]
    cachedir: Option<PathBuf>,
}

/// What is visualized: the kind of folder, and the condition of an artifact that has a page there.
const KINDS: [(&str, &str); 2] =
    [("dependencies", "artifact.filepath = 'opam-switch'"), ("treemap", "artifact.filepath LIKE '%.debug'")];

impl VerifyCacheDir {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let folder = Folder::open(common)?;
        let cache = self.cachedir.unwrap_or_else(|| folder.depot.cache());
        let names = names(&cache)?;
        let mut findings = Vec::new();
        for name in names.iter().filter(|name| version(name).is_none()) {
            findings.push(format!("{name:?} is neither treemap_VERSION nor dependencies_VERSION"));
        }
        for (kind, condition) in KINDS {
            let wanted = folder.read(|connection| wanted(connection, condition))?;
            let newest = names.iter().filter_map(|name| version(name)).filter(|(of, _)| *of == kind).max();
            match newest {
                Some((_, version)) => verify_kind(&cache.join(format!("{kind}_{version}")), &wanted, &mut findings),
                None if wanted.is_empty() => {}
                None => findings.push(format!("there is no folder {kind}_VERSION in {}", cache.display())),
            }
        }
        match screen.format() {
            Format::Json => screen.json(&json!({ "findings": findings }))?,
            Format::Text => {
                findings.iter().try_for_each(|finding| screen.line(finding))?;
                screen.done(&count_text(findings.len() as u64, "fault"), &Value::Null)?;
            }
        }
        Ok(if findings.is_empty() { Exit::Success } else { Exit::Findings })
    }
}

/// The names in the folder, in order; a folder that is not there has none.
fn names(cache: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).tried("read", cache).map_err(anyhow::Error::from),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    let mut names = entries.map(name).collect::<io::Result<Vec<String>>>().tried("read", cache)?;
    names.sort_unstable();
    Ok(names)
}

/// The kind and the version that a folder is of.
fn version(name: &str) -> Option<(&'static str, u64)> {
    let (kind, version) = name.rsplit_once('_')?;
    let kind = KINDS.iter().find(|(known, _)| *known == kind)?.0;
    let number = version.parse::<u64>().ok()?;
    (number.to_string() == version).then_some((kind, number))
}

/// What has to have a page: one build for each content.
struct Wanted {
    digest: Digest,
    build: String,
}

fn wanted(connection: &Connection, condition: &str) -> rusqlite::Result<Vec<Wanted>> {
    connection
        .prepare(&format!(
            "SELECT artifact.sha256, max(job.name || '/' || uuid) FROM build_artifact AS artifact
             JOIN build ON build.id = artifact.build JOIN job ON job.id = build.job
             WHERE build.main_binary IS NOT NULL AND length(artifact.sha256) = 32 AND {condition}
             GROUP BY artifact.sha256 ORDER BY 2"
        ))?
        .query_map([], |row| Ok(Wanted { digest: row.get(0)?, build: row.get(1)? }))?
        .collect()
}

fn verify_kind(folder: &Path, wanted: &[Wanted], findings: &mut Vec<String>) {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !folder.join(".done").is_file() {
        findings.push(format!("{name} is not complete: it has no .done"));
    }
    for Wanted { digest, build } in wanted {
        let what = match fs::metadata(folder.join(format!("{digest}.html"))) {
            Ok(metadata) if metadata.len() > 0 => continue,
            Ok(_) => "is empty".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "is missing".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        findings.push(format!("{name}/{digest}.html of {build} {what}"));
    }
}
