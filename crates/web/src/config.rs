//! The configuration file, `builder-web.toml` in the configuration folder: what the site says of itself, whom it tells,
//! and what it keeps. Flags of the command line win over it.

use crate::settings::{Retention, Settings, Site, Webhook};
use anyhow::{Context, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file.
pub const FILE: &str = "builder-web.toml";

/// The file, as it stands there. What is missing has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The address to listen at, as `--host`.
    pub host: Option<std::net::IpAddr>,
    /// The port, as `--port`.
    pub port: Option<u16>,
    /// As `--expired-jobs`.
    pub expired_jobs: Option<u32>,
    /// Most bytes of one upload.
    pub upload_bytes_max: Option<u64>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// How long a hook may run, in seconds.
    pub hook_seconds_max: Option<u64>,
    /// What the site says of itself.
    pub site: SiteTable,
    /// Which builds are kept.
    pub retention: RetentionTable,
    /// Who is told what happened.
    pub webhook: Vec<WebhookTable>,
}

/// `[site]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SiteTable {
    name: Option<String>,
    introduction: Option<String>,
    logo: Option<PathBuf>,
    url: Option<String>,
}

/// `[retention]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetentionTable {
    keep_last: Option<u32>,
    keep_days: Option<u32>,
}

/// `[[webhook]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebhookTable {
    url: String,
    secret: String,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    jobs: Vec<String>,
}

/// Shortest secret of a webhook, in bytes: with a shorter one, whoever sees a message can guess how to sign others.
const WEBHOOK_SECRET_BYTES_MIN: usize = 16;
/// What a webhook may be told of.
const EVENTS: [&str; 3] = ["upload", "failure", "output-changed"];

impl Config {
    /// Reads the file of a configuration folder; a folder without one has all defaults.
    pub fn read(configdir: &Path) -> anyhow::Result<Self> {
        let path = configdir.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).with_context(|| format!("in {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        for (key, value) in
            [("upload-bytes-max", config.upload_bytes_max), ("hook-seconds-max", config.hook_seconds_max)]
        {
            if value == Some(0) {
                bail!("{key} = 0 cannot be meant\nhint: leave it out for the default");
            }
        }
        if let Some(url) = &config.site.url
            && !is_address(url, With::Path)
        {
            bail!("url = {url:?} under [site] is no address\nhint: give one such as https://builds.example.org");
        }
        for webhook in &config.webhook {
            let WebhookTable { url, secret, events, .. } = webhook;
            if !is_address(url, With::Query) {
                bail!("the webhook {url:?} is no address\nhint: give one such as https://example.org/told");
            }
            if secret.len() < WEBHOOK_SECRET_BYTES_MIN {
                bail!(
                    "the secret of the webhook {url} has {} bytes; it needs {WEBHOOK_SECRET_BYTES_MIN} or more\nhint: `openssl rand -hex 32` makes one",
                    secret.len()
                );
            }
            if let Some(event) = events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
                bail!("the webhook {url} asks for {event:?}; there are {}", EVENTS.join(", "));
            }
        }
        Ok(config)
    }

    /// Puts what the file says into settings; what it does not say stays. Where to listen is no setting of a repository:
    /// that is for who opens the listeners.
    pub fn apply(&self, settings: &mut Settings) {
        settings.expired_days = self.expired_jobs.unwrap_or(settings.expired_days);
        settings.upload_bytes_max = self.upload_bytes_max.unwrap_or(settings.upload_bytes_max);
        settings.hook_limit = self.hook_seconds_max.map_or(settings.hook_limit, Duration::from_secs);
        settings.trusted_proxies.clone_from(&self.trusted_proxies);
        settings.site = self.site();
        settings.webhooks = self.webhooks();
        settings.retention = self.retention();
    }

    /// What the site says of itself.
    pub fn site(&self) -> Site {
        let (default, table) = (Site::default(), self.site.clone());
        Site {
            name: table.name.unwrap_or(default.name),
            introduction: table.introduction.unwrap_or(default.introduction),
            logo: table.logo,
            url: table.url.map(|url| url.trim_end_matches('/').to_owned()),
        }
    }

    /// Which builds are kept.
    pub fn retention(&self) -> Retention {
        Retention { keep_last: self.retention.keep_last, keep_days: self.retention.keep_days }
    }

    /// Who is told what happened.
    pub fn webhooks(&self) -> Vec<Webhook> {
        let webhook = |table: &WebhookTable| {
            let WebhookTable { url, secret, events, jobs } = table.clone();
            Webhook { url, secret, events, jobs }
        };
        self.webhook.iter().map(webhook).collect()
    }
}

/// What may follow the host in an address.
#[derive(PartialEq)]
enum With {
    /// A path, to which others are added.
    Path,
    /// A path and a query.
    Query,
}

/// Whether this is an absolute address of HTTP.
fn is_address(url: &str, with: With) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    is_http
        && uri.host().is_some_and(|host| !host.is_empty())
        && !url.contains('#')
        && (with == With::Query || uri.query().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_becomes_settings_and_the_rest_stays() {
        let mut settings = Settings::new("data".into(), "config".into());
        let text = "expired-jobs = 0\nhook-seconds-max = 5\n[retention]\nkeep-days = 7";
        Config::parse(text).unwrap().apply(&mut settings);
        assert_eq!((settings.expired_days, settings.hook_limit), (0, Duration::from_secs(5)));
        assert_eq!(settings.upload_bytes_max, crate::limits::UPLOAD_BYTES_MAX);
        assert_eq!(settings.retention, Retention { keep_last: None, keep_days: Some(7) });
        Config::parse("upload-bytes-max = 1000").unwrap().apply(&mut settings);
        assert_eq!((settings.expired_days, settings.upload_bytes_max), (0, 1000));
    }

    #[test]
    fn the_sample_that_is_shipped_is_read_and_changes_nothing_until_it_is_edited() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/builder-web.toml.sample");
        let sample = std::fs::read_to_string(path).unwrap();
        assert_eq!(Config::parse(&sample).unwrap(), Config::default());
        // Comments are sentences and begin with a space; what does not is a setting.
        let settings = sample.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting,
            Some(_) | None => line,
        });
        let config = Config::parse(&settings.collect::<Vec<_>>().join("\n")).unwrap();
        assert!(config.host.is_some() && config.port.is_some() && config.expired_jobs.is_some());
        assert!(config.upload_bytes_max.is_some() && config.hook_seconds_max.is_some());
        let SiteTable { name, introduction, logo, url } = &config.site;
        assert!(name.is_some() && introduction.is_some() && logo.is_some() && url.is_some());
        assert!(config.retention.keep_last.is_some() && config.retention.keep_days.is_some());
        assert_eq!(config.webhook.len(), 1);
    }

    #[test]
    fn the_file_says_what_the_site_is() {
        let config = Config::parse(
            "port = 8080\n[site]\nname = \"our builds\"\nurl = \"https://builds.example.org/\"\n[retention]\nkeep-last = 3\n\
             [[webhook]]\nurl = \"https://example.org/told\"\nsecret = \"a long random word\"\nevents = [\"failure\"]\n",
        )
        .unwrap();
        assert_eq!(config.port, Some(8080));
        assert_eq!(config.site().name, "our builds");
        assert_eq!(config.site().url.as_deref(), Some("https://builds.example.org"));
        assert_eq!(config.site().introduction, Site::default().introduction);
        assert_eq!(config.retention(), Retention { keep_last: Some(3), keep_days: None });
        assert_eq!(config.webhooks().len(), 1);
        for bad in ["prot = 1", "[site]\ntitle = \"x\"", "upload-bytes-max = 0", "hook-seconds-max = 0"] {
            assert!(Config::parse(bad).is_err(), "{bad}");
        }
    }

    /// What is wrong with a webhook of the file.
    fn webhook(url: &str, secret: &str, events: &str) -> Result<(), String> {
        let text = format!("[[webhook]]\nurl = {url:?}\nsecret = {secret:?}\nevents = {events}\n");
        Config::parse(&text).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_webhook_has_an_address_and_a_secret_that_nobody_guesses() {
        let (url, secret) = ("http://user:password@127.0.0.1:8080/told?by=builder", "0123456789abcdef");
        assert_eq!(webhook(url, secret, "[\"failure\"]"), Ok(()));
        for bad in
            ["", "x", "example.org/told", "ftp://example.org", "http://", "http:///told", "https://a b", "http://a/#b"]
        {
            let error = webhook(bad, secret, "[]").unwrap_err();
            assert!(error.contains("is no address") && error.contains("hint:"), "{bad}: {error}");
        }
        for bad in ["", "s", "0123456789abcde"] {
            let error = webhook(url, bad, "[]").unwrap_err();
            assert!(error.contains("it needs 16 or more") && error.contains("hint:"), "{bad}: {error}");
        }
        let error = webhook(url, secret, "[\"failed\"]").unwrap_err();
        assert!(error.contains("there are upload, failure, output-changed"), "{error}");
    }

    #[test]
    fn the_site_has_an_address_that_links_can_begin_with() {
        let site = |url: &str| Config::parse(&format!("[site]\nurl = {url:?}"));
        assert_eq!(
            site("https://example.org/builds/").unwrap().site().url.as_deref(),
            Some("https://example.org/builds")
        );
        for bad in [
            "",
            "builds.example",
            "//builds.example",
            "ftp://builds.example",
            "https://",
            "https://a/?b",
            "https://a/#b",
        ] {
            let error = site(bad).unwrap_err().to_string();
            assert!(error.contains("under [site] is no address\nhint:"), "{bad}: {error}");
        }
    }
}
