//! `extract-build`: the record of a build in a file.

use crate::admin::Exit;
use crate::admin::args::Common;
use crate::admin::screen::{Screen, bytes_text};
use crate::app::App;
use crate::database::build;
use crate::record::Record;
use crate::settings::Settings;
use anyhow::Context;
use builder_model::BuildId;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// Write a build as the record that was uploaded
///
/// Byte for byte, where this repository received it; builds that the original received are put together from rows and
/// files. The file can be uploaded elsewhere, and read with builder-inspect.
///
/// In JSON: `uuid`, `file` and `bytes`; on standard output the record is alone.
#[derive(Debug, clap::Args)]
pub(crate) struct ExtractBuild {
    /// The build
    uuid: BuildId,
    /// Where to write it; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "full")]
    dest: PathBuf,
}

impl ExtractBuild {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let app = App::open(Settings::new(common.datadir.clone(), common.configdir.clone()))?;
        // Nothing of it is removed while it is read.
        let _sharing = app.depot().lock_sharing()?;
        let build = app
            .read(|connection| build::by_uuid(connection, &self.uuid))?
            .with_context(|| format!("there is no build {}", self.uuid))?;
        let record = Record::of(&app, &build)?;
        if self.dest == Path::new("-") {
            record.write(&mut screen.raw())?;
            return Ok(Exit::Success);
        }
        let bytes = write(&record, &self.dest)?;
        screen.done(
            &format!("wrote {}, {}", self.dest.display(), bytes_text(bytes)),
            &json!({ "uuid": self.uuid.to_string(), "file": self.dest, "bytes": bytes }),
        )?;
        Ok(Exit::Success)
    }
}

/// Writes a record beside its place first, so that half of one is never taken for a whole.
fn write(record: &Record, dest: &Path) -> anyhow::Result<u64> {
    let mut part = dest.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = File::create(&part).and_then(|file| {
        let mut to = BufWriter::new(file);
        record.write(&mut to)?;
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&part, dest)?;
        Ok(file.metadata()?.len())
    });
    if written.is_err()
        && let Err(error) = fs::remove_file(&part)
        && error.kind() != io::ErrorKind::NotFound
    {
        anyhow::bail!("cannot remove {}: {error}", part.display());
    }
    written.with_context(|| format!("cannot write {}", dest.display()))
}
