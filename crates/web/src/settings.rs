//! What a repository is told when it starts. The command line and the configuration file are `cli`'s business.

use crate::limits::UPLOAD_BYTES_MAX;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Days after which the front page no longer shows a platform of a job, unless told otherwise.
pub const EXPIRED_DAYS: u32 = 30;

/// Everything that a repository needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder.
    pub datadir: PathBuf,
    /// The configuration folder, where the hooks lie.
    pub configdir: PathBuf,
    /// The front page hides a platform of a job whose newest good build ended longer ago; zero days are for ever.
    pub expired_days: u32,
    /// Most bytes of one upload.
    pub upload_bytes_max: u64,
    /// What the site is called, and what it says of itself.
    pub site: Site,
    /// Where others are told what happened.
    pub webhooks: Vec<Webhook>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long a hook may run.
    pub hook_limit: Duration,
    /// Which builds `builder-db gc` keeps.
    pub retention: Retention,
}

/// What the site is called, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name, in the title of every page.
    pub name: String,
    /// What the front page says, as Markdown.
    pub introduction: String,
    /// An SVG or PNG file, shown beside the name.
    pub logo: Option<PathBuf>,
    /// The address that others reach it by, such as `https://builds.example.org`: for feeds and webhooks.
    pub url: Option<String>,
}

/// An address that is told what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is sent to.
    pub url: String,
    /// The key of the signature.
    pub secret: String,
    /// What it is told of; all of it when empty.
    pub events: Vec<String>,
    /// The jobs that it is told of; all of them when empty.
    pub jobs: Vec<String>,
}

/// Which builds are kept. A build goes when no rule keeps it, and never when it is the newest good one of its job and
/// platform, or pinned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// The newest builds of each job and platform; none is all.
    pub keep_last: Option<u32>,
    /// The builds of the last days; none is no matter how old.
    pub keep_days: Option<u32>,
}

impl Settings {
    /// The defaults, on these folders.
    pub fn new(datadir: PathBuf, configdir: PathBuf) -> Self {
        Self {
            datadir,
            configdir,
            expired_days: EXPIRED_DAYS,
            upload_bytes_max: UPLOAD_BYTES_MAX,
            site: Site::default(),
            webhooks: Vec::new(),
            trusted_proxies: Vec::new(),
            hook_limit: Duration::from_secs(600),
            retention: Retention::default(),
        }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self {
            name: "builds".into(),
            introduction: "Each job here runs again and again in a clean place. What came out can be compared, \
                           checked by its SHA-256, and downloaded."
                .into(),
            logo: None,
            url: None,
        }
    }
}
