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
        for webhook in &config.webhook {
            if !["http://", "https://"].iter().any(|scheme| webhook.url.starts_with(scheme)) {
                bail!("the webhook {:?} is no address such as https://example.org/told", webhook.url);
            }
            if let Some(event) = webhook.events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
                bail!("the webhook {} asks for {event:?}; there are {}", webhook.url, EVENTS.join(", "));
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
             [[webhook]]\nurl = \"https://example.org/told\"\nsecret = \"s\"\nevents = [\"failure\"]\n",
        )
        .unwrap();
        assert_eq!(config.port, Some(8080));
        assert_eq!(config.site().name, "our builds");
        assert_eq!(config.site().url.as_deref(), Some("https://builds.example.org"));
        assert_eq!(config.site().introduction, Site::default().introduction);
        assert_eq!(config.retention(), Retention { keep_last: Some(3), keep_days: None });
        assert_eq!(config.webhooks().len(), 1);
        for bad in ["prot = 1", "[[webhook]]\nurl = \"x\"\nsecret = \"\"", "[site]\ntitle = \"x\""] {
            assert!(Config::parse(bad).is_err(), "{bad}");
        }
        let bad = "[[webhook]]\nurl = \"http://x\"\nsecret = \"s\"\nevents = [\"failed\"]";
        assert!(Config::parse(bad).unwrap_err().to_string().contains("there are upload, failure, output-changed"));
    }
}
