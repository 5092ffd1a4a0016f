//! `/search`.

use crate::http::Refusal;
use crate::http::page::Page;
use crate::json::BuildJson;
use crate::pages::search::Found;
use serde::Serialize;

#[derive(Serialize)]
struct SearchJson<'a> {
    query: &'a str,
    builds: Vec<BuildJson<'a>>,
    artifacts: Vec<ArtifactJson<'a>>,
    jobs: Vec<JobJson<'a>>,
    packages: Vec<PackageJson<'a>>,
    /// Packages with the words in their name.
    package_names: &'a [String],
    texts: Vec<TextJson<'a>>,
    /// Whether there may be more than is listed.
    more: bool,
}

#[derive(Serialize)]
struct ArtifactJson<'a> {
    filepath: &'a str,
    sha256: String,
    size: u64,
    build: BuildJson<'a>,
}

#[derive(Serialize)]
struct JobJson<'a> {
    name: &'a str,
    synopsis: &'a str,
    /// The platform that was asked for beside the name; absent when none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
}

#[derive(Serialize)]
struct PackageJson<'a> {
    package: &'a str,
    version: &'a str,
    kind: &'a str,
    builds: u64,
    newest: BuildJson<'a>,
}

#[derive(Serialize)]
struct TextJson<'a> {
    job: &'a str,
    place: &'a str,
    excerpt: &'a str,
}

/// All that was found.
pub(crate) fn page(query: &str, found: &Found) -> Result<Page, Refusal> {
    let artifacts = found.artifacts.found.iter().map(|hit| ArtifactJson {
        filepath: &hit.filepath,
        sha256: hit.sha256.to_string(),
        size: hit.size,
        build: BuildJson::of(&hit.build),
    });
    let packages = found.packages.found.iter().map(|hit| PackageJson {
        package: &hit.package,
        version: &hit.version,
        kind: &hit.kind,
        builds: hit.builds,
        newest: BuildJson::of(&hit.newest),
    });
    let jobs = found.jobs.found.iter().map(|hit| JobJson {
        name: &hit.name,
        synopsis: &hit.synopsis,
        platform: hit.platform.as_deref(),
    });
    let texts = found.texts.found.iter();
    Page::json(&SearchJson {
        query,
        builds: found.builds.found.iter().map(BuildJson::of).collect(),
        artifacts: artifacts.collect(),
        jobs: jobs.collect(),
        packages: packages.collect(),
        package_names: &found.package_names.found,
        texts: texts.map(|hit| TextJson { job: &hit.name, place: hit.place, excerpt: &hit.excerpt }).collect(),
        more: found.has_more(),
    })
}
