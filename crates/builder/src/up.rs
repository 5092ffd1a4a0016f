//! `builder up`: a farm for one machine, that remembers.

use crate::cli::Up;
use crate::farm::{Farm, Parts};
use anyhow::Context;
use builder_model::Platform;
use builder_server::Settings;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(flags: Up) -> anyhow::Result<ExitCode> {
    builder_daemon::start_logging(None, "info", builder_daemon::Colours::Auto);
    builder_daemon::raise_descriptor_limit();
    let dir = flags.dir.map_or_else(data_folder, Ok)?;
    let config_dir = flags.config_dir.unwrap_or_else(|| dir.join("builder-server.config"));
    for folder in [&dir, &config_dir] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let platform = flags.platform.unwrap_or_else(this_platform);
    let repository = match (&flags.upload, flags.no_web) {
        (None, false) => Some((repository_settings(&dir, &config_dir)?, flags.web)),
        (Some(_), _) | (None, true) => None,
    };
    let mut settings = Settings::new(dir.clone(), config_dir);
    settings.upload = flags.upload;
    let farm = Farm::start(Parts {
        settings,
        listen: &flags.listen,
        metrics: &flags.metrics,
        platform: &platform,
        workers: flags.workers,
        repository,
        workdir: &std::env::temp_dir(),
    })?;
    tracing::info!("data in {}", dir.display());
    tracing::info!("{} workers for {platform}; clients connect to {}", flags.workers, farm.address()?);
    if let Some((_, address)) = farm.repository()? {
        tracing::info!("finished builds show at http://{address}/");
    }
    farm.wait_for_signal()?;
    tracing::info!("stopping");
    farm.stop();
    Ok(ExitCode::SUCCESS)
}

/// A repository in the server's data folder, under a name that no job's folder has, with the configuration file of a
/// builder-web if there is one.
fn repository_settings(dir: &Path, config_dir: &Path) -> anyhow::Result<builder_web::Settings> {
    let config = builder_web::config::Config::read(config_dir)?;
    let mut settings = builder_web::Settings::new(dir.join("builder-server.web"), config_dir.to_owned());
    config.apply(&mut settings);
    Ok(settings)
}

/// `builder` in the user's data folder, as the XDG base directory specification has it.
fn data_folder() -> anyhow::Result<PathBuf> {
    let data = match std::env::var_os("XDG_DATA_HOME") {
        Some(data) if Path::new(&data).is_absolute() => PathBuf::from(data),
        _ => Path::new(&std::env::var_os("HOME").context("HOME is not set: name a data folder with --dir")?)
            .join(".local/share"),
    };
    Ok(data.join("builder"))
}

/// The system that this is, such as `debian-12` or `freebsd-14.1`.
pub(crate) fn this_platform() -> Platform {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_matches('"').to_owned())
    };
    let id = value("ID=").unwrap_or_else(|| std::env::consts::OS.to_owned());
    let name = value("VERSION_ID=").map_or(id.clone(), |version| format!("{id}-{version}"));
    Platform::parse(name.as_bytes()).unwrap_or_else(|_| Platform::from_history(std::env::consts::OS.as_bytes()))
}
