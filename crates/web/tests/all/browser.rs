//! The pages as somebody with a browser sees them: a real one, driven by the scripts in `tests/browser`.
//!
//! `cargo xtask test` brings the browser and the packages that drive it, or leaves these tests out.

pub(crate) mod town;

use crate::site::{PASSWORD, USER};
use builder_web::{Digest, Repository};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use town::Town;

/// A town whose pages are served.
struct Served {
    repository: Repository,
    town: Town,
    url: String,
}

impl Served {
    async fn start() -> Self {
        Self::serve(Town::build().await).await
    }

    async fn serve(town: Town) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let repository = Repository::start(town.site.app.settings().clone(), vec![listener]).await.unwrap();
        let url = format!("http://{}", repository.addresses()[0]);
        Self { repository, town, url }
    }

    /// What the scripts need to know.
    fn told(&self) -> Value {
        let Town { newest, before, failed, strange, long, .. } = &self.town;
        let encoded =
            |job: &str| percent_encoding::utf8_percent_encode(job, percent_encoding::NON_ALPHANUMERIC).to_string();
        let strange_job = format!("/job/{}", encoded(&strange.job));
        let binary = newest.files.iter().find(|(path, _)| path.starts_with("bin/")).unwrap();
        json!({
            "url": self.url,
            "pages": {
                "front": "/",
                "all jobs": "/all-builds",
                "builds": "/builds",
                "builds of a job": format!("/job/{}/builds?outcome=failed", failed.job),
                "failed builds": "/failed-builds",
                "job": format!("/job/{}", newest.job),
                "job on a platform": format!("/job/{}?platform={}", newest.job, newest.platform),
                "job with failed builds": format!("/job/{}/failed", failed.job),
                "job of a stranger": strange_job,
                "build": newest.page(),
                "build that failed": failed.page(),
                "build of a stranger": format!("{strange_job}/build/{}", strange.build),
                "job with long names": format!("/job/{}", long.job),
                "failed builds of a job with long names": format!("/job/{}/failed", long.job),
                "build with long names": long.page(),
                "comparison with long names": format!("/compare/{}/{}", newest.build, long.build),
                "hooks of a build": format!("{}?hooks=1", newest.page()),
                "console": format!("{}/log", newest.page()),
                "long console": format!("{}/log", failed.page()),
                "end of a long console": format!("{}/log?tail", failed.page()),
                "console of a stranger": format!("{strange_job}/build/{}/log", strange.build),
                "comparison": format!("/compare/{}/{}", before.build, newest.build),
                "comparison, other way round": format!("/compare/{}/{}", newest.build, before.build),
                "comparison with a stranger": format!("/compare/{}/{}", newest.build, strange.build),
                "comparison with itself": format!("/compare/{}/{}", newest.build, newest.build),
                "search": "/search",
                "search for a text": "/search?q=nameserver",
                "search for a digest": format!("/search?q={}", Digest::of(&binary.1)),
                "search for a package": "/search?q=ocaml-solo5",
                "search for a package with a long name": format!("/search?q={}", "package".repeat(30)),
                "missing page": "/nowhere/%3Cscript%3E",
            },
            "credentials": { "username": USER, "password": PASSWORD },
            "job": newest.job,
            "artifact": binary.0,
            "digest": Digest::of(&binary.1).to_string(),
            "package": "ocaml-solo5",
            "words": "authoritative nameserver",
            "before": before.build.to_string(),
            "newest": newest.build.to_string(),
            "lines": failed.console.len(),
        })
    }

    async fn run(self, script: &str) {
        let told = self.told();
        self.run_with(script, told).await;
    }

    async fn run_with(self, script: &str, told: Value) {
        let path = tests().join(script);
        let failures = tokio::task::spawn_blocking(move || node(&path, &told)).await.unwrap();
        self.repository.stop().await;
        assert_eq!(failures, "");
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Runs a script; gives what it says of failures: nothing when all is well.
fn node(script: &Path, told: &Value) -> String {
    // Where `xtask/src/component.rs` puts them.
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    let hint = "hint: `cargo xtask test` brings the browser and the packages that drive it";
    assert!(packages.join("node_modules").is_dir(), "{} is not there\n{hint}", packages.display());
    let path = std::env::var_os("PATH").unwrap();
    let browser = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.is_file());
    let browser = browser.unwrap_or_else(|| panic!("there is no chromium\n{hint}"));
    let mut command = Command::new("node");
    command.arg(script).env("BROWSER_PACKAGES", packages).env("BROWSER_PROGRAM", browser);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(told.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("ok "), "the script did nothing: {out}{err}");
    let failures: Vec<&str> = out.lines().filter(|line| !line.starts_with("ok ")).collect();
    if output.status.success() { failures.join("\n") } else { format!("{}\n{err}", failures.join("\n")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_shows_every_page_whole() {
    Served::start().await.run("pages.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_can_be_used_as_people_do() {
    Served::start().await.run("stories.mjs").await;
}

/// `cargo xtask pictures` runs it with a folder in `BUILDER_PICTURES`; else they are thrown away.
#[tokio::test(flavor = "multi_thread")]
async fn chromium_takes_pictures_that_are_small() {
    let thrown_away = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("BUILDER_PICTURES").map_or_else(|| thrown_away.path().to_owned(), PathBuf::from);
    let format = std::env::var("BUILDER_PICTURES_FORMAT").unwrap_or_else(|_| "webp".into());
    let served = Served::serve(Town::for_pictures().await).await;
    let Town { newest, before, failed, .. } = &served.town;
    let told = json!({
        "url": served.url,
        "pictures": { "folder": folder, "format": format },
        "pages": {
            "front": "/",
            "job": format!("/job/{}", newest.job),
            "build": newest.page(),
            "compare": format!("/compare/{}/{}", before.build, newest.build),
            "console": format!("{}/log?tail#L{}", failed.page(), failed.console.len()),
            "search": "/search?q=ocaml-solo5",
        },
    });
    served.run_with("pictures.mjs", told).await;
}
