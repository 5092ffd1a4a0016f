//! What a search finds: builds by UUID, artifacts by digest, builds by the packages that went into them. Every kind is
//! bounded, and says when there is more than it shows. What has the words of a search is `words`' business.

use crate::database::artifact::is_sound;
use crate::database::columns;
use crate::database::listed::{COLUMN_COUNT, COLUMNS, Listed, TABLES};
use crate::digest::Digest;
use crate::limits::{
    SEARCH_BUILDS_MAX, SEARCH_DIGITS_MIN, SEARCH_HITS_MAX, SEARCH_INVENTORIES_MAX, SEARCH_INVENTORY_BUILDS_MAX,
    SEARCH_PACKAGES_MAX,
};
use rusqlite::{Connection, named_params};
use std::collections::HashMap;

/// Hits of one kind.
#[derive(Debug)]
pub(crate) struct Hits<T> {
    pub(crate) found: Vec<T>,
    /// Whether there may be more.
    pub(crate) more: bool,
}

impl<T> Default for Hits<T> {
    fn default() -> Self {
        Self { found: Vec::new(), more: false }
    }
}

impl<T> Hits<T> {
    /// Leaves out what is behind so many.
    pub(crate) fn cut(&mut self, most: usize) {
        self.more |= self.found.len() > most;
        self.found.truncate(most);
    }

    /// How many there are, in words: `3`, or `the first 50`.
    pub(crate) fn count_text(&self) -> String {
        let count = self.found.len();
        if self.more { format!("the first {count}") } else { count.to_string() }
    }
}

/// An artifact with its build.
#[derive(Debug)]
pub(crate) struct ArtifactHit {
    pub(crate) filepath: String,
    pub(crate) sha256: Digest,
    pub(crate) size: u64,
    pub(crate) build: Listed,
}

/// Builds of one job on one platform that one version of a package went into.
#[derive(Debug)]
pub(crate) struct PackageHit {
    pub(crate) package: String,
    pub(crate) version: String,
    /// `opam` or `system`.
    pub(crate) kind: String,
    /// The newest of them.
    pub(crate) newest: Listed,
    /// How many of those that were looked at.
    pub(crate) builds: u64,
}

/// A prefix of a digest, as the range of digests that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DigestPrefix {
    low: Digest,
    high: Digest,
}

impl DigestPrefix {
    /// Reads 8 to 64 hexadecimal digits, also behind `sha256:`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_label = |label: &str| label.eq_ignore_ascii_case("sha256");
        let digits = text.split_once(':').filter(|(label, _)| is_label(label)).map_or(text, |(_, digits)| digits);
        if !(SEARCH_DIGITS_MIN..=64).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self { low: format!("{digits:0<64}").parse().ok()?, high: format!("{digits:f<64}").parse().ok()? })
    }
}

pub(super) fn hits<T>(found: Vec<T>, most: usize) -> Hits<T> {
    let mut hits = Hits { found, more: false };
    hits.cut(most);
    hits
}

pub(super) fn one_more() -> i64 {
    i64::try_from(SEARCH_HITS_MAX).unwrap_or(i64::MAX) + 1
}

fn artifacts_statement() -> String {
    format!(
        "SELECT {COLUMNS}, f.filepath, f.sha256, f.size FROM
             (SELECT build, filepath, sha256, size FROM build_artifact WHERE sha256 BETWEEN :low AND :high AND {}
              ORDER BY sha256 DESC, id DESC LIMIT :limit) AS f
         CROSS JOIN build b ON b.id = f.build {TABLES} ORDER BY b.start_d DESC, b.start_ps DESC",
        is_sound!("sha256")
    )
}

/// Artifacts whose digest begins so, the newest first.
pub(crate) fn artifacts(connection: &Connection, prefix: DigestPrefix) -> rusqlite::Result<Hits<ArtifactHit>> {
    let parameters = named_params! {":low": prefix.low, ":high": prefix.high, ":limit": one_more()};
    let found = connection
        .prepare_cached(&artifacts_statement())?
        .query_map(parameters, |row| {
            Ok(ArtifactHit {
                filepath: columns::text(row, COLUMN_COUNT)?,
                sha256: row.get(COLUMN_COUNT + 1)?,
                size: u64::try_from(row.get::<_, i64>(COLUMN_COUNT + 2)?).unwrap_or(0),
                build: Listed::of(row)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(hits(found, SEARCH_HITS_MAX))
}

/// Whether this may be the beginning of a UUID.
pub(crate) fn is_uuid_prefix(text: &str) -> bool {
    (SEARCH_DIGITS_MIN..=36).contains(&text.len())
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn builds_statement() -> String {
    // `g` is the first letter after the hexadecimal ones.
    format!(
        "SELECT {COLUMNS} FROM
             (SELECT id FROM build WHERE uuid >= :uuid AND uuid < :uuid || 'g' ORDER BY uuid LIMIT :limit) AS f
         CROSS JOIN build b ON b.id = f.id {TABLES}"
    )
}

/// Builds whose UUID begins so.
pub(crate) fn builds(connection: &Connection, uuid: &str) -> rusqlite::Result<Hits<Listed>> {
    let parameters = named_params! {":uuid": uuid.to_ascii_lowercase(), ":limit": one_more()};
    let found = connection
        .prepare_cached(&builds_statement())?
        .query_map(parameters, Listed::of)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(hits(found, SEARCH_HITS_MAX))
}

/// What a text may mean as a package: its name, and the version if one is said. The most literal reading first.
pub(crate) fn package_readings(text: &str) -> Vec<PackageReading<'_>> {
    let spaced = text.split_once([' ', '=', '@']).map(|(name, version)| (name, version.trim_start_matches([' ', '='])));
    let dotted = text.split_once('.');
    let dashed = text.rsplit_once('-').filter(|(_, version)| version.starts_with(|first: char| first.is_ascii_digit()));
    let said = [spaced, dotted, dashed].into_iter().flatten().map(|(name, version)| (name.trim(), version.trim()));
    let said = said.filter(|(name, version)| !name.is_empty() && !version.is_empty());
    let whole = PackageReading { name: text, version: None };
    std::iter::once(whole).chain(said.map(|(name, version)| PackageReading { name, version: Some(version) })).collect()
}

/// One meaning of a text as a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackageReading<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: Option<&'a str>,
}

impl PackageReading<'_> {
    /// Whether this version is meant: `1.1` means also `1.1.0`, `1.1-2` and `1.1~beta`, but not `1.10`.
    fn means(self, version: &str) -> bool {
        let Some(wanted) = self.version else { return true };
        let rest = version.strip_prefix(wanted);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
    }
}

fn packages_statement() -> String {
    format!(
        "SELECT {COLUMNS}, p.version, i.kind FROM
             (SELECT inventory, version FROM repository_package
              WHERE name = :name AND version >= :low AND version < :high
              ORDER BY inventory DESC LIMIT :inventories) AS p
         CROSS JOIN repository_inventory i ON i.id = p.inventory
         CROSS JOIN build_artifact f ON f.id IN
             (SELECT id FROM build_artifact WHERE sha256 = i.sha256 ORDER BY id DESC LIMIT :each)
         CROSS JOIN build b ON b.id = f.build {TABLES}
         WHERE b.result_code = 0 LIMIT :builds"
    )
}

/// Good builds that a package went into, by job, platform and version, the newest first.
pub(crate) fn packages(connection: &Connection, reading: PackageReading<'_>) -> rusqlite::Result<Hits<PackageHit>> {
    let low = reading.version.unwrap_or_default();
    let mut statement = connection.prepare_cached(&packages_statement())?;
    let mut rows = statement.query(named_params! {
        ":name": reading.name,
        ":low": low,
        ":high": format!("{low}{}", char::MAX),
        ":inventories": SEARCH_INVENTORIES_MAX,
        ":each": SEARCH_INVENTORY_BUILDS_MAX,
        ":builds": SEARCH_BUILDS_MAX,
    })?;
    let mut groups: HashMap<(String, String, String, String), PackageHit> = HashMap::new();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let (version, kind): (String, String) = (row.get(COLUMN_COUNT)?, row.get(COLUMN_COUNT + 1)?);
        if !reading.means(&version) {
            continue;
        }
        let build = Listed::of(row)?;
        let key = (build.job.clone(), build.platform.clone(), kind.clone(), version.clone());
        let package = reading.name.to_owned();
        let fresh = PackageHit { package, version, kind, newest: build.clone(), builds: 0 };
        let hit = groups.entry(key).or_insert(fresh);
        hit.builds += 1;
        if build.start > hit.newest.start {
            hit.newest = build;
        }
    }
    let mut found: Vec<_> = groups.into_values().collect();
    found.sort_by(|one, other| {
        let key = |hit: &PackageHit| (hit.newest.start, hit.newest.uuid.clone(), hit.version.clone());
        key(other).cmp(&key(one))
    });
    let mut hits = hits(found, SEARCH_PACKAGES_MAX);
    hits.more |= looked_at == SEARCH_BUILDS_MAX;
    Ok(hits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::jobs::tests::plan;

    #[test]
    fn searches_for_digests_uuids_and_packages_look_into_indices_only() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        for statement in [artifacts_statement(), builds_statement(), packages_statement()] {
            let plan = database.read(|connection| Ok(plan(connection, &statement))).unwrap();
            for scanned in ["SCAN build", "SCAN repository_", "SCAN b\n", "SCAN a\n", "SCAN i\n"] {
                assert!(!plan.contains(scanned), "{scanned} in\n{plan}");
            }
        }
    }

    #[test]
    fn texts_are_read_as_digests_uuids_and_packages() {
        let digest = |text: &str| DigestPrefix::parse(text).map(|prefix| prefix.low.to_string());
        assert_eq!(digest("SHA256:2d7116421").unwrap(), format!("{:0<64}", "2d7116421"));
        assert_eq!([digest("2d71164"), digest(&"a".repeat(65)), digest("2d71164g")], [None, None, None]);
        assert!(is_uuid_prefix("8d1e6c50-2a1b-4") && !is_uuid_prefix("8d1e6c502a1b") && !is_uuid_prefix("8d1e6c5"));
        let said = |text| package_readings(text).into_iter().map(|r| (r.name, r.version)).collect::<Vec<_>>();
        assert_eq!(said("dune"), [("dune", None)]);
        assert_eq!(said("mirage-crypto.1.1")[1], ("mirage-crypto", Some("1.1")));
        assert_eq!(said("py39-setuptools-1.2").last(), Some(&("py39-setuptools", Some("1.2"))));
        assert_eq!(said("mirage-crypto = 1.1")[1], ("mirage-crypto", Some("1.1")));
        let reading = PackageReading { name: "x", version: Some("1.1") };
        assert_eq!(
            ["1.1", "1.1.0", "1.1-2", "1.10", "1.2"].map(|v| reading.means(v)),
            [true, true, true, false, false]
        );
    }
}
