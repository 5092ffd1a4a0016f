//! `verify-input-id`: inputs that led to different outputs.

use crate::admin::Exit;
use crate::admin::args::{Common, Format};
use crate::admin::folder::Folder;
use crate::admin::screen::{Screen, count_text};
use crate::digest::Digest;
use rusqlite::{Connection, Row};
use serde_json::{Value, json};

/// Look for builds with the same input and different main binaries
///
/// The input is the SHA-256 over opam-switch, build-environment and system-packages. Builds of all jobs and platforms
/// are compared. Exit status 1 when there are such builds.
///
/// In JSON: `inputs`, a list of `input_id` and `builds`, each with `sha256`, `job`, `platform` and `uuid`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyInputId {}

struct Build {
    input: Vec<u8>,
    output: Vec<u8>,
    job: String,
    platform: String,
    uuid: String,
}

impl VerifyInputId {
    pub(crate) fn run(self, common: &Common, screen: &mut Screen) -> anyhow::Result<Exit> {
        let builds = Folder::open(common)?.read(read)?;
        let inputs: Vec<&[Build]> = builds.chunk_by(|left, right| left.input == right.input).collect();
        match screen.format() {
            Format::Json => {
                screen.json(&json!({ "inputs": inputs.iter().map(|builds| json_of(builds)).collect::<Vec<_>>() }))?
            }
            Format::Text => {
                let row = |build: &Build| {
                    let (job, platform, uuid) = (build.job.clone(), build.platform.clone(), build.uuid.clone());
                    vec![hex(&build.input), hex(&build.output), job, platform, uuid]
                };
                let rows: Vec<Vec<String>> = builds.iter().map(row).collect();
                if !rows.is_empty() {
                    screen.table(&["INPUT", "OUTPUT", "JOB", "PLATFORM", "BUILD"], &rows)?;
                }
                let found = format!("{} with different outputs", count_text(inputs.len() as u64, "input"));
                screen.done(&found, &Value::Null)?;
            }
        }
        Ok(if inputs.is_empty() { Exit::Success } else { Exit::Findings })
    }
}

fn json_of(builds: &[Build]) -> Value {
    let build = |build: &Build| json!({ "sha256": hex(&build.output), "job": build.job, "platform": build.platform, "uuid": build.uuid });
    let input = builds.first().map(|build| hex(&build.input));
    json!({ "input_id": input, "builds": builds.iter().map(build).collect::<Vec<_>>() })
}

fn hex(bytes: &[u8]) -> String {
    Digest::from_column(bytes).map_or_else(|| "?".to_owned(), |digest| digest.to_string())
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<Build>> {
    let build = |row: &Row<'_>| {
        Ok(Build {
            input: row.get(0)?,
            output: row.get(1)?,
            job: row.get(2)?,
            platform: row.get(3)?,
            uuid: row.get(4)?,
        })
    };
    connection
        .prepare(
            "SELECT input_id, main.sha256, job.name, platform, uuid
             FROM build JOIN build_artifact AS main ON main.id = main_binary JOIN job ON job.id = build.job
             WHERE input_id IN (
                 SELECT input_id FROM build JOIN build_artifact AS main ON main.id = main_binary
                 WHERE input_id IS NOT NULL GROUP BY input_id HAVING count(DISTINCT main.sha256) > 1)
             ORDER BY input_id, main.sha256, start_d, start_ps",
        )?
        .query_map([], build)?
        .collect()
}
