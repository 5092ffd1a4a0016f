//! The instance that is copied: its lists as JSON, its records as octets. One request at a time, each with a limit on
//! its time and size.
//!
//! Ours lists every build under `/api/v1`, and the artifacts of each. The original lists under a job one build for each
//! output, and the failed ones; that is all that it tells of its builds. Whether an artifact is one of its own it says
//! under `/hash`.

use crate::digest::Digest;
use crate::hooks::address_without_user;
use crate::limits::{
    MIRROR_ANSWER_WAIT, MIRROR_CONNECT_WAIT, MIRROR_LIST_BYTES_MAX, MIRROR_LIST_DURATION_MAX, MIRROR_PARTS_MAX,
    MIRROR_RECORD_DURATION_MAX,
};
use crate::pages::link;
use builder_model::BuildId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashSet};
use std::io::Read;
use std::time::Duration;
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// What goes wrong with the other side.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Its address is none.
    #[error("{0:?} is not the address of a repository\nhint: give one such as https://builds.robur.coop")]
    Url(String),
    /// It cannot be asked.
    #[error("cannot fetch {address}: {source}")]
    Fetch {
        /// What was asked for.
        address: String,
        /// Why not.
        source: Box<ureq::Error>,
    },
    /// It says no.
    #[error("cannot fetch {address}: it answers {status}")]
    Status {
        /// What was asked for.
        address: String,
        /// What it answers.
        status: StatusCode,
    },
    /// What it answers is not what a repository would.
    #[error("cannot read what {address} answers: {reason}\nhint: is this the address of a repository?")]
    Answer {
        /// What was asked for.
        address: String,
        /// Why not.
        reason: String,
    },
}

impl SourceError {
    /// Whether the other side says that there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == StatusCode::NOT_FOUND,
            Self::Url(_) | Self::Fetch { .. } | Self::Answer { .. } => false,
        }
    }
}

/// A build that the other side lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) uuid: BuildId,
    /// What it says its main binary is.
    pub(super) main_binary: Option<Digest>,
}

/// The other side.
#[derive(Debug)]
pub(super) struct Source {
    base: String,
    /// The same without user and password: logs are read by others.
    shown: String,
    agent: Agent,
}

/// Jobs, as both list them.
#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<JobEntry>,
    /// Of ours: the cursor of the next part.
    next: Option<String>,
}

/// The original of before 2026 listed plain names.
#[derive(Deserialize)]
#[serde(untagged)]
enum JobEntry {
    Name(String),
    Object { name: String },
}

/// Builds, as all lists of both have them.
#[derive(Deserialize)]
struct Builds {
    builds: Vec<BuildEntry>,
    /// Of ours: the cursor of the next part, or under pages its address.
    next: Option<String>,
}

#[derive(Deserialize)]
struct BuildEntry {
    uuid: String,
    main_binary: Option<BinaryEntry>,
}

#[derive(Deserialize)]
struct BinaryEntry {
    sha256: String,
}

/// Artifacts of a build, as ours lists them.
#[derive(Deserialize)]
struct Artifacts {
    artifacts: Vec<ArtifactEntry>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct ArtifactEntry {
    sha256: String,
}

/// What to do with an answer that leads elsewhere.
#[derive(PartialEq)]
enum Redirect {
    Follow,
    Stay,
}

impl Source {
    /// The instance at an address. Nothing is asked yet.
    pub(super) fn new(url: &str) -> Result<Self, SourceError> {
        let bad = || SourceError::Url(address_without_user(url).chars().take(200).collect());
        let base = url.trim_end_matches('/');
        let uri: Uri = base.parse().map_err(|_| bad())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(bad());
        }
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .timeout_connect(Some(MIRROR_CONNECT_WAIT))
            .timeout_resolve(Some(MIRROR_CONNECT_WAIT))
            .timeout_recv_response(Some(MIRROR_ANSWER_WAIT))
            .http_status_as_error(false)
            .tls_config(tls)
            .user_agent(concat!("builder-web/", env!("CARGO_PKG_VERSION"), " mirror"))
            .build();
        Ok(Self { base: base.to_owned(), shown: address_without_user(base), agent: config.into() })
    }

    /// The names of all jobs. The original tells nothing of jobs that never had a good build.
    pub(super) fn jobs(&self) -> Result<Vec<String>, SourceError> {
        match self.jobs_from("/api/v1/jobs?count=1000") {
            // It is no instance of ours, or an older one.
            Err(SourceError::Status { status: StatusCode::NOT_FOUND, .. } | SourceError::Answer { .. }) => {
                self.jobs_from("/all-builds")
            }
            jobs => jobs,
        }
    }

    fn jobs_from(&self, first: &str) -> Result<Vec<String>, SourceError> {
        let mut found = Vec::new();
        self.each_part(first, |_, part: Jobs| {
            found.extend(part.jobs.into_iter().map(|entry| match entry {
                JobEntry::Name(name) | JobEntry::Object { name } => name,
            }));
            Ok(part.next.map(|cursor| behind(first, &cursor)))
        })?;
        Ok(found)
    }

    /// The builds of a job, the oldest first: what comes later then describes the job.
    pub(super) fn builds(&self, job: &str, platform: Option<&str>) -> Result<Vec<Listed>, SourceError> {
        let mut found = match self.all_builds(job, platform) {
            // It is no instance of ours, or an older one.
            Err(SourceError::Status { status: StatusCode::NOT_FOUND, .. } | SourceError::Answer { .. }) => {
                self.builds_of_pages(job, platform)?
            }
            found => found?,
        };
        let mut seen = HashSet::new();
        found.retain(|build| seen.insert(build.uuid));
        found.reverse();
        Ok(found)
    }

    fn all_builds(&self, job: &str, platform: Option<&str>) -> Result<Vec<Listed>, SourceError> {
        let platform = platform.map(|platform| format!("&platform={}", link::segment(platform))).unwrap_or_default();
        let first = format!("/api/v1/builds?count=1000&job={}{platform}", link::segment(job));
        self.parts(&first, |cursor| behind(&first, cursor))
    }

    fn builds_of_pages(&self, job: &str, platform: Option<&str>) -> Result<Vec<Listed>, SourceError> {
        // The failed ones are merged in by the time of their start; but only here are they listed at all.
        let mut found = self.parts(&link::job_failed(job, platform), str::to_owned)?;
        found.extend(self.parts(&link::job(job, platform), str::to_owned)?);
        Ok(found)
    }

    /// All parts of a list, from the address of the first on.
    fn parts(&self, first: &str, address: impl Fn(&str) -> String) -> Result<Vec<Listed>, SourceError> {
        let mut found = Vec::new();
        self.each_part(first, |path, part: Builds| {
            for entry in part.builds {
                found.push(self.listed(path, &entry)?);
            }
            Ok(part.next.map(|next| address(&next)))
        })?;
        Ok(found)
    }

    /// Gives each part of a list, with its path, to `take`, which gives the path of the next one.
    fn each_part<T: DeserializeOwned>(
        &self,
        first: &str,
        mut take: impl FnMut(&str, T) -> Result<Option<String>, SourceError>,
    ) -> Result<(), SourceError> {
        let mut path = first.to_owned();
        for _ in 0..MIRROR_PARTS_MAX {
            let part = self.json(&path)?;
            let Some(next) = take(&path, part)? else { return Ok(()) };
            if !next.starts_with('/') {
                return Err(self.strange(first, format!("its next part is at {next:?}")));
            }
            path = next;
        }
        Err(self.strange(first, format!("the list has more than {MIRROR_PARTS_MAX} parts")))
    }

    fn listed(&self, path: &str, entry: &BuildEntry) -> Result<Listed, SourceError> {
        let uuid = entry.uuid.parse().map_err(|_| self.strange(path, format!("{:?} is no UUID", entry.uuid)))?;
        let digest = |binary: &BinaryEntry| binary.sha256.parse::<Digest>();
        let main_binary = entry.main_binary.as_ref().map(digest).transpose();
        Ok(Listed { uuid, main_binary: main_binary.map_err(|error| self.strange(path, error.to_string()))? })
    }

    /// The first of these artifacts of a build that the other side does not have, by what its rows say: the file that it
    /// sent is another one then.
    pub(super) fn first_unknown(
        &self,
        job: &str,
        uuid: &BuildId,
        digests: &BTreeSet<Digest>,
    ) -> Result<Option<Digest>, SourceError> {
        if digests.is_empty() {
            return Ok(None);
        }
        match self.artifacts(uuid) {
            Ok(listed) => Ok(digests.iter().find(|digest| !listed.contains(digest)).copied()),
            // It is no instance of ours, or the build went just now.
            Err(SourceError::Status { status: StatusCode::NOT_FOUND, .. } | SourceError::Answer { .. }) => {
                for digest in digests {
                    if !self.has(digest)? {
                        return if self.is_gone(job, uuid) { Err(self.gone(job, uuid)) } else { Ok(Some(*digest)) };
                    }
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn artifacts(&self, uuid: &BuildId) -> Result<BTreeSet<Digest>, SourceError> {
        let first = format!("/api/v1/builds/{uuid}/artifacts?count=10000");
        let mut found = BTreeSet::new();
        self.each_part(&first, |path, part: Artifacts| {
            for ArtifactEntry { sha256 } in part.artifacts {
                found.insert(sha256.parse::<Digest>().map_err(|error| self.strange(path, error.to_string()))?);
            }
            Ok(part.next.map(|cursor| behind(&first, &cursor)))
        })?;
        Ok(found)
    }

    /// Whether an artifact of this content is in some build there: the answer leads to the newest such.
    fn has(&self, digest: &Digest) -> Result<bool, SourceError> {
        let path = format!("/hash?sha256={digest}");
        let response = self.ask(&path, "text/html", MIRROR_LIST_DURATION_MAX, Redirect::Stay)?;
        match response.status() {
            status if status.is_redirection() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(SourceError::Status { address: format!("{}{path}", self.shown), status }),
        }
    }

    /// Whether the other side answers at all, whatever it lacks.
    pub(super) fn is_alive(&self) -> bool {
        let answer = self.ask("/robots.txt", "*/*", MIRROR_LIST_DURATION_MAX, Redirect::Follow);
        answer.is_ok_and(|response| !response.status().is_server_error())
    }

    /// Whether the other side knows a build no more that it listed.
    pub(super) fn is_gone(&self, job: &str, uuid: &BuildId) -> bool {
        let fetched = self.fetch(&link::build(job, uuid), "application/json", MIRROR_LIST_DURATION_MAX);
        fetched.is_err_and(|error| error.is_not_found())
    }

    fn gone(&self, job: &str, uuid: &BuildId) -> SourceError {
        SourceError::Status {
            address: format!("{}{}", self.shown, link::build(job, uuid)),
            status: StatusCode::NOT_FOUND,
        }
    }

    /// The record of a build, as it comes.
    pub(super) fn record(&self, job: &str, uuid: &BuildId) -> Result<impl Read + use<>, SourceError> {
        let path = format!("{}/exec", link::build(job, uuid));
        let response = self.fetch(&path, "application/octet-stream", MIRROR_RECORD_DURATION_MAX)?;
        Ok(response.into_body().into_with_config().limit(u64::MAX).reader())
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, SourceError> {
        let response = self.fetch(path, "application/json", MIRROR_LIST_DURATION_MAX)?;
        let reader = response.into_body().into_with_config().limit(MIRROR_LIST_BYTES_MAX).reader();
        serde_json::from_reader(std::io::BufReader::new(reader)).map_err(|error| self.strange(path, error.to_string()))
    }

    fn fetch(&self, path: &str, accept: &str, duration: Duration) -> Result<Response<Body>, SourceError> {
        let response = self.ask(path, accept, duration, Redirect::Follow)?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(SourceError::Status { address: format!("{}{path}", self.shown), status }),
        }
    }

    fn ask(
        &self,
        path: &str,
        accept: &str,
        duration: Duration,
        redirect: Redirect,
    ) -> Result<Response<Body>, SourceError> {
        let address = format!("{}{path}", self.shown);
        let mut request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("accept", accept)
            .config()
            .timeout_recv_body(Some(duration));
        if redirect == Redirect::Stay {
            request = request.max_redirects(0);
        }
        request.build().call().map_err(|source| SourceError::Fetch { address, source: source.into() })
    }

    fn strange(&self, path: &str, reason: String) -> SourceError {
        SourceError::Answer { address: format!("{}{path}", self.shown), reason }
    }
}

/// The path of the part of a list that a cursor leads to.
fn behind(first: &str, cursor: &str) -> String {
    format!("{first}&cursor={}", link::segment(cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_http() {
        for good in ["http://localhost:3000", "https://builds.example.org/", "https://example.org/builds"] {
            assert!(!Source::new(good).unwrap().base.ends_with('/'), "{good}");
        }
        assert_eq!(Source::new("https://user:secret@example.org/").unwrap().shown, "https://example.org");
        let error = Source::new("ftp://user:secret@example.org/").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        for bad in ["", "builds.example.org", "ftp://a/", "http://", "https://a/?b=c", "file:///etc"] {
            assert!(matches!(Source::new(bad), Err(SourceError::Url(_))), "{bad}");
        }
    }
}
