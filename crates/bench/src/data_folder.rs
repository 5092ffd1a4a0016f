//! A repository's data folder of any size, out of a seed: rows as uploads would have left them, in the original's
//! tables and in our own, and as many files as pages and downloads need.
//!
//! Everything of it follows from its plan: who knows the plan knows the name, the UUID and the digests of each build
//! without asking the database. Files are few on purpose: builds share their consoles and scripts, switches are shared
//! by the builds of an era, and the content of other artifacts exists as a digest only. What is a file, is a real one.

mod files;
mod random;
mod rows;
mod switch;

use builder_model::{BuildId, Outcome, Timestamp};
use builder_web::Digest;
use builder_web::accounts::token::TokenSecret;
use random::{bytes, number};
use std::path::Path;

/// The secret of the token that the folder's one user, `generator`, may upload with.
pub const TOKEN: &str = "bld_R2VuZXJhdGVkIGJ5IHRoZSBsb2FkIGdlbmVyYXRvciE";
/// Platforms, of which each job has one to three.
const PLATFORMS: [&str; 4] = ["debian-12", "debian-13", "freebsd-14", "ubuntu-24.04"];
/// What job names are made of, each with its number.
const WORDS: [&str; 8] = ["dns-primary", "retreat", "tlstunnel", "bob", "albatross", "mirror", "static-website", "nfs"];
/// Builds of a job that have one switch and one set of packages, one after the other.
const ERA_BUILDS: u64 = 50;
/// Builds of a job that have the same input, one after the other.
const INPUT_BUILDS: u64 = 4;
/// One in so many builds fails.
const FAILED_EVERY: u64 = 11;
/// Milliseconds between two builds.
const BUILD_MILLISECONDS: i64 = 600_000;

/// What a data folder holds. Two equal plans give equal folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What is random follows from this.
    pub seed: u64,
    /// How many jobs.
    pub jobs: u64,
    /// How many builds, all jobs in turn.
    pub builds: u64,
    /// How many rows of artifacts, spread over the builds; at least six for each.
    pub artifacts: u64,
    /// One in so many jobs has opam switches, environments and system packages, with files.
    pub switch_every: u64,
    /// Packages in a switch.
    pub packages: u64,
    /// Lines in the console of the last build.
    pub console_lines: u64,
    /// Size of the artifact `download.bin` of the last build, in bytes.
    pub download_bytes: u64,
    /// When the last build began.
    pub until: Timestamp,
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Rows of artifacts.
    pub artifacts: u64,
    /// The size of the database, in bytes.
    pub database_bytes: u64,
    /// The digest of the large artifact.
    pub download: Digest,
}

impl Plan {
    /// 100 builds of 10 jobs: enough for every page to have something to show.
    pub fn small(until: Timestamp) -> Self {
        Self {
            seed: 1,
            jobs: 10,
            builds: 100,
            artifacts: 1000,
            switch_every: 5,
            packages: 20,
            console_lines: 3000,
            download_bytes: 1_000_000,
            until,
        }
    }

    /// 100,000 builds of 500 jobs with 1,000,000 artifacts: the size of the goals.
    pub fn large(until: Timestamp) -> Self {
        Self {
            seed: 1,
            jobs: 500,
            builds: 100_000,
            artifacts: 1_000_000,
            switch_every: 5,
            packages: 200,
            console_lines: 1_000_000,
            download_bytes: 500_000_000,
            until,
        }
    }

    /// Writes the data folder, which must be an empty one.
    pub fn write(&self, datadir: &Path) -> anyhow::Result<Written> {
        rows::write(self, datadir)
    }

    /// The name of a job.
    pub fn job_name(&self, job: u64) -> String {
        format!("{}-{job:03}", pick(&WORDS, job))
    }

    /// The job of a build.
    pub fn job_of(&self, build: u64) -> u64 {
        build % self.jobs
    }

    /// The last build, which has the long console and the large artifact.
    pub fn last(&self) -> u64 {
        self.builds - 1
    }

    /// The UUID of a build.
    pub fn uuid(&self, build: u64) -> BuildId {
        BuildId::from_random(bytes(&[self.seed, b'u'.into(), build]))
    }

    /// The platform of a build.
    pub fn platform(&self, build: u64) -> &'static str {
        pick(&PLATFORMS, self.platform_place(build))
    }

    fn platform_place(&self, build: u64) -> u64 {
        let job = self.job_of(build);
        (job + self.turn(build) % (job % 3 + 1)) % PLATFORMS.len() as u64
    }

    /// How a build ended.
    pub fn outcome(&self, build: u64) -> Outcome {
        let dice = number(&[self.seed, b'o'.into(), build]);
        if build == self.last() || !dice.is_multiple_of(FAILED_EVERY) {
            return Outcome::Exited(0);
        }
        match dice / FAILED_EVERY % 3 {
            0 => Outcome::Exited(1),
            1 => Outcome::Aborted(b"timeout"[..].into()),
            _ => Outcome::Signalled(9),
        }
    }

    /// Where its opam switch lies among those of its job: builds of one era share theirs. None when it has none.
    pub fn era(&self, build: u64) -> Option<u64> {
        let has_switch = self.job_of(build).is_multiple_of(self.switch_every);
        has_switch.then(|| self.turn(build) / ERA_BUILDS)
    }

    /// The digest of the main binary of a good build.
    pub fn main_binary(&self, build: u64) -> Digest {
        let group = self.turn(build) / INPUT_BUILDS;
        // In every eighth group the same input gave two outputs.
        let half = if group % 8 == 7 { self.turn(build) % INPUT_BUILDS / (INPUT_BUILDS / 2) } else { 0 };
        Digest(bytes(&[self.seed, b'm'.into(), self.job_of(build), self.platform_place(build), group, half]))
    }

    /// What identifies the input of a build.
    fn input(&self, build: u64) -> Digest {
        let group = self.turn(build) / INPUT_BUILDS;
        Digest(bytes(&[self.seed, b'i'.into(), self.job_of(build), self.platform_place(build), group]))
    }

    /// When a build began.
    fn started(&self, build: u64) -> Timestamp {
        let before = i64::try_from(self.last() - build).unwrap_or(i64::MAX);
        self.until.plus_milliseconds(before.saturating_mul(-BUILD_MILLISECONDS))
    }

    /// How long a build took, in milliseconds.
    fn duration(&self, build: u64) -> i64 {
        let usual = 30_000 + number(&[self.seed, b't'.into(), self.job_of(build)]) % 400_000;
        i64::try_from(usual + number(&[self.seed, b'd'.into(), build]) % 20_000).unwrap_or(0)
    }

    /// How many builds of its job came before it.
    fn turn(&self, build: u64) -> u64 {
        build / self.jobs
    }

    /// How many rows of artifacts a build has.
    fn artifact_count(&self, build: u64) -> u64 {
        (build + 1) * self.artifacts / self.builds - build * self.artifacts / self.builds
    }
}

/// The digest of [`TOKEN`], as its row keeps it.
fn token_digest() -> anyhow::Result<Digest> {
    let secret = TokenSecret::parse(TOKEN).ok_or_else(|| anyhow::anyhow!("the token of the folder is none"))?;
    Ok(secret.digest())
}

fn pick<T: Copy>(from: &[T], number: u64) -> T {
    from[(number % from.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder_web::Database;

    #[test]
    fn one_plan_gives_one_folder_and_another_seed_another() {
        let until: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let dump = |plan: &Plan| {
            let folder = tempfile::tempdir().unwrap();
            let written = plan.write(folder.path()).unwrap();
            assert_eq!(written.artifacts, 1000);
            let database = Database::open(folder.path()).unwrap();
            let texts = [
                "SELECT group_concat(uuid || platform || result_code || main_binary) FROM build",
                "SELECT group_concat(filepath || hex(sha256) || size || build) FROM build_artifact",
                "SELECT group_concat(name || version) FROM repository_package",
                "SELECT group_concat(hex(input) || hex(output)) FROM repository_build",
                "SELECT group_concat(value) FROM job_tag",
            ];
            let read = |text: &str| {
                database.read(|connection| connection.query_row(text, [], |row| row.get::<_, String>(0))).unwrap()
            };
            texts.map(read)
        };
        let plan = Plan::small(until);
        let first = dump(&plan);
        assert!(first == dump(&plan), "the seed repeats it");
        let other = dump(&Plan { seed: 2, ..plan });
        assert!(first[0] != other[0] && first[1] != other[1] && first[3] != other[3]);
    }

    #[test]
    fn the_rows_are_those_of_a_sound_folder() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::small("2026-01-02T03:04:05Z".parse().unwrap());
        plan.write(folder.path()).unwrap();
        let database = Database::open(folder.path()).unwrap();
        let count = |text: &str| {
            database.read(|connection| connection.query_row(text, [], |row| row.get::<_, i64>(0))).unwrap()
        };
        assert_eq!(count("SELECT count(*) FROM build"), 100);
        assert_eq!(count("SELECT count(*) FROM repository_build"), 100, "nothing is left to be derived");
        assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
        let good = "SELECT count(*) FROM build b LEFT JOIN build_artifact a ON a.id = b.main_binary AND a.build = b.id
            WHERE (b.result_code = 0) <> (a.id IS NOT NULL)";
        assert_eq!(count(good), 0, "good builds have a main binary, others none");
        assert!(count("SELECT count(*) FROM build WHERE result_code <> 0") > 3);
        let twice = "SELECT count(*) FROM (SELECT input FROM repository_build WHERE output IS NOT NULL
            GROUP BY input HAVING count(*) > 1 AND count(DISTINCT output) = 1)";
        assert!(count(twice) > 5, "some are reproduced");
    }
}
