//! Which builds go: rules over the builds of one job and platform. They know no files and no clock.

use rusqlite::{Connection, Row, params_from_iter};

/// A point in time as two columns: days since 1970-01-01, picoseconds within the day.
pub type Columns = (i64, i64);

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its row.
    pub build: i64,
    /// The row of its job.
    pub job: i64,
    /// Its platform.
    pub platform: String,
    /// When it began.
    pub start: Columns,
    /// When it ended.
    pub finish: Columns,
    /// Whether its script exited with 0.
    pub good: bool,
    /// Whether it has a main binary.
    pub main_binary: bool,
}

/// Which builds of a job and platform go. Pinned ones stay whatever a rule says: see
/// [`remove_builds`](super::remove_builds).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Those that ended at this time or before.
    OlderThan(Columns),
    /// All but the newest so many, good or not.
    ExceptLatest(u32),
    /// Those older than the newest so many good ones, so that exactly these good ones stay, and the failed ones that
    /// are newer than the oldest of them. Fewer good ones: nothing goes.
    ExceptLatestGood(u32),
    /// Those that no part of the policy keeps. The newest good build stays always, and the newest good one with a main
    /// binary, since `latest` leads to it.
    Retention {
        /// Keep the newest so many.
        keep_last: Option<u32>,
        /// Keep those that ended later than this.
        keep_since: Option<Columns>,
    },
}

impl Rule {
    /// The builds that go, of those of one job and platform with the newest first.
    pub fn choose<'a>(&self, group: &'a [Candidate]) -> Vec<&'a Candidate> {
        match *self {
            Self::OlderThan(time) => group.iter().filter(|build| build.finish <= time).collect(),
            Self::ExceptLatest(keep) => group.iter().skip(index(keep)).collect(),
            Self::ExceptLatestGood(keep) => {
                let good = |(_, build): &(usize, &Candidate)| build.good;
                let oldest_kept = group.iter().enumerate().filter(good).nth(index(keep).saturating_sub(1));
                oldest_kept.map_or_else(Vec::new, |(at, _)| group.iter().skip(at + 1).collect())
            }
            Self::Retention { keep_last: None, keep_since: None } => Vec::new(),
            Self::Retention { keep_last, keep_since } => {
                let newest_good = group.iter().position(|build| build.good);
                let latest = group.iter().position(|build| build.good && build.main_binary);
                let kept = |at: usize, build: &Candidate| {
                    keep_last.is_some_and(|count| at < index(count))
                        || keep_since.is_some_and(|time| build.finish > time)
                        || newest_good == Some(at)
                        || latest == Some(at)
                };
                group.iter().enumerate().filter(|(at, build)| !kept(*at, build)).map(|(_, build)| build).collect()
            }
        }
    }

    /// The rows that go, of all these, which are in the order of [`candidates`].
    pub fn choose_rows(&self, candidates: &[Candidate]) -> Vec<i64> {
        candidates
            .chunk_by(|left, right| left.job == right.job && left.platform == right.platform)
            .flat_map(|group| self.choose(group))
            .map(|build| build.build)
            .collect()
    }
}

fn index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The builds of these jobs, or of all where none is named, by job and platform, the newest first.
pub fn candidates(connection: &Connection, jobs: &[i64], platform: Option<&str>) -> rusqlite::Result<Vec<Candidate>> {
    const SELECT: &str = "SELECT id, job, platform, start_d, start_ps, finish_d, finish_ps, result_code = 0,
         main_binary IS NOT NULL FROM build";
    const ORDER: &str = "ORDER BY job, platform, start_d DESC, start_ps DESC, id DESC";
    let read = |row: &Row<'_>| {
        Ok(Candidate {
            build: row.get(0)?,
            job: row.get(1)?,
            platform: row.get(2)?,
            start: (row.get(3)?, row.get(4)?),
            finish: (row.get(5)?, row.get(6)?),
            good: row.get(7)?,
            main_binary: row.get(8)?,
        })
    };
    let mut found = Vec::new();
    if jobs.is_empty() {
        let text = format!("{SELECT} WHERE ?1 IS NULL OR platform = ?1 {ORDER}");
        found = connection.prepare(&text)?.query_map([platform], read)?.collect::<rusqlite::Result<_>>()?;
    }
    for job in jobs {
        let text = format!("{SELECT} WHERE job = ?2 AND (?1 IS NULL OR platform = ?1) {ORDER}");
        let parameters: [&dyn rusqlite::ToSql; 2] = [&platform, job];
        for candidate in connection.prepare_cached(&text)?.query_map(params_from_iter(parameters), read)? {
            found.push(candidate?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds of one job and platform, the newest first: `B` good with a main binary, `g` good without, `f` failed.
    /// The last one ended on day 1, the one before on day 2, and so on.
    fn group(picture: &str) -> Vec<Candidate> {
        let build = |(index, character): (usize, char)| {
            let day = i64::try_from(picture.len() - index).unwrap();
            let (good, main_binary) = (character != 'f', character == 'B');
            let platform = "debian-12".to_owned();
            Candidate { build: day, job: 1, platform, start: (day, 0), finish: (day, 9), good, main_binary }
        };
        picture.chars().enumerate().map(build).collect()
    }

    /// What is left, with a dot for each that goes.
    fn left(picture: &str, rule: Rule) -> String {
        let group = group(picture);
        let gone = rule.choose_rows(&group);
        let shown = |(build, character): (&Candidate, char)| if gone.contains(&build.build) { '.' } else { character };
        group.iter().zip(picture.chars()).map(shown).collect()
    }

    #[test]
    fn older_than_goes_by_the_end() {
        for (time, expected) in [((0, 0), "BfgB"), ((2, 8), "Bfg."), ((2, 9), "Bf.."), ((9, 0), "....")] {
            assert_eq!(left("BfgB", Rule::OlderThan(time)), expected, "{time:?}");
        }
    }

    #[test]
    fn exactly_so_many_stay() {
        for (keep, expected) in [(1, "f......"), (2, "fB....."), (6, "fBfgBf."), (7, "fBfgBfB"), (99, "fBfgBfB")] {
            assert_eq!(left("fBfgBfB", Rule::ExceptLatest(keep)), expected, "{keep}");
        }
        for (keep, expected) in
            [(1, "fB....."), (2, "fBfg..."), (3, "fBfgB.."), (4, "fBfgBfB"), (5, "fBfgBfB"), (u32::MAX, "fBfgBfB")]
        {
            assert_eq!(left("fBfgBfB", Rule::ExceptLatestGood(keep)), expected, "{keep}");
        }
        assert_eq!(left("fff", Rule::ExceptLatestGood(1)), "fff");
    }

    #[test]
    fn the_policy_keeps_the_newest_good_build() {
        let rule = |keep_last, day: Option<i64>| Rule::Retention { keep_last, keep_since: day.map(|day| (day, 0)) };
        for (picture, rule, expected) in [
            ("fBfgB", rule(None, None), "fBfgB"),
            ("fBfgB", rule(Some(1), None), "fB..."),
            ("fBfgB", rule(Some(3), None), "fBf.."),
            ("fBfgB", rule(Some(0), None), ".B..."),
            ("fgfBB", rule(Some(1), None), "fg.B."),
            ("ffff", rule(Some(1), None), "f..."),
            ("fBfgB", rule(None, Some(9)), ".B..."),
            ("fBfgB", rule(None, Some(3)), "fBf.."),
            ("fBfgB", rule(Some(4), Some(5)), "fBfg."),
        ] {
            assert_eq!(left(picture, rule), expected, "{picture} {rule:?}");
        }
    }

    #[test]
    fn each_job_and_platform_counts_for_itself() {
        let mut builds = group("BB");
        builds.extend(group("B").into_iter().map(|build| Candidate {
            build: 10,
            platform: "freebsd-14".to_owned(),
            ..build
        }));
        builds.extend(group("B").into_iter().map(|build| Candidate { build: 20, job: 2, ..build }));
        assert_eq!(Rule::ExceptLatest(1).choose_rows(&builds), [1]);
        assert_eq!(Rule::OlderThan((1, 9)).choose_rows(&builds), [1, 10, 20]);
    }
}
