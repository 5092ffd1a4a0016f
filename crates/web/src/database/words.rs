//! What has all words of a search: jobs in their names, or in those of their platforms beside it; texts that are told of
//! jobs; packages in their names. The case of ASCII letters does not matter.

use crate::database::search::{Hits, hits, one_more};
use crate::database::{columns, distinct};
use crate::limits::{SEARCH_HITS_MAX, SEARCH_NAMES_LOOKED_AT_MAX, SEARCH_PAIRS_LOOKED_AT_MAX};
use rusqlite::{Connection, OptionalExtension, named_params};

/// A job whose name fits.
#[derive(Debug)]
pub(crate) struct JobHit {
    pub(crate) name: String,
    pub(crate) synopsis: String,
    /// The platform that the words which are not in the name ask for.
    pub(crate) platform: Option<String>,
}

/// A job that says the words somewhere.
#[derive(Debug)]
pub(crate) struct TextHit {
    pub(crate) name: String,
    /// Where they are said: `synopsis`, `description` or `readme`.
    pub(crate) place: &'static str,
    /// The words around one of them.
    pub(crate) excerpt: String,
}

/// The words of a search, in lower case. Control characters are between words, too: SQLite ends a text at a NUL.
#[derive(Debug)]
pub(crate) struct Words(Vec<String>);

impl Words {
    /// The words of a text.
    pub(crate) fn of(text: &str) -> Self {
        let words = text.split(|at: char| at.is_whitespace() || at.is_control()).filter(|word| !word.is_empty());
        Self(words.map(str::to_ascii_lowercase).collect())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that a name does not have.
    fn missing_in(&self, name: &str) -> Vec<&str> {
        let name = name.to_ascii_lowercase();
        self.0.iter().map(String::as_str).filter(|word| !name.contains(word)).collect()
    }
}

const JOBS: &str = "SELECT id, name FROM job";

const SYNOPSIS: &str = "SELECT value FROM job_tag WHERE tag = (SELECT id FROM tag WHERE tag = 'synopsis') AND job = ?1";

fn platforms_statement() -> String {
    format!("{} SELECT value FROM known WHERE value IS NOT NULL", distinct::known("platform", "build", "1"))
}

/// Jobs with all words in their name, or with some there and the others in the name of a platform that they were built
/// on: the one of that name first, then shorter names.
pub(crate) fn jobs(connection: &Connection, words: &Words) -> rusqlite::Result<Hits<JobHit>> {
    let mut statement = connection.prepare_cached(JOBS)?;
    let mut rows = statement.query([])?;
    let (mut named, mut partly, mut is_cut) = (Vec::new(), Vec::new(), false);
    while let Some(row) = rows.next()? {
        let (id, name): (i64, _) = (row.get(0)?, columns::text(row, 1)?);
        let missing = words.missing_in(&name);
        if missing.is_empty() {
            named.push((name, None, id));
        } else if missing.len() < words.0.len() {
            partly.push((name, missing, id));
        }
    }
    if !partly.is_empty() {
        let platforms = connection
            .prepare_cached(&platforms_statement())?
            .query_map([], |row| columns::text(row, 0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let pairs = partly.iter().flat_map(|job| platforms.iter().map(move |platform| (job, platform)));
        is_cut = partly.len().saturating_mul(platforms.len()) > SEARCH_PAIRS_LOOKED_AT_MAX;
        for ((name, missing, id), platform) in pairs.take(SEARCH_PAIRS_LOOKED_AT_MAX) {
            let has_all = missing.iter().all(|word| platform.to_ascii_lowercase().contains(word));
            if has_all && super::selected::was_built_on(connection, *id, platform)? {
                named.push((name.clone(), Some(platform.clone()), *id));
            }
        }
    }
    // A name is one word or none.
    let asked = words.0.first().filter(|_| words.0.len() == 1);
    named.sort_by_cached_key(|(name, platform, _)| {
        (asked != Some(&name.to_ascii_lowercase()), name.len(), name.clone(), platform.clone())
    });
    let mut found = Vec::new();
    for (name, platform, id) in named.into_iter().take(SEARCH_HITS_MAX + 1) {
        let synopsis = connection
            .prepare_cached(SYNOPSIS)?
            .query_row([id], |row| columns::optional_text(row, 0))
            .optional()?
            .flatten();
        found.push(JobHit { name, synopsis: synopsis.unwrap_or_default(), platform });
    }
    let mut hits = hits(found, SEARCH_HITS_MAX);
    hits.more |= is_cut;
    Ok(hits)
}

fn package_names_statement() -> String {
    let known = distinct::known("name", "repository_package", "1");
    format!("{known} SELECT value FROM known WHERE value IS NOT NULL LIMIT ?1")
}

/// Packages with all words in their name, ascending.
pub(crate) fn package_names(connection: &Connection, words: &Words) -> rusqlite::Result<Hits<String>> {
    let mut statement = connection.prepare_cached(&package_names_statement())?;
    let mut rows = statement.query([SEARCH_NAMES_LOOKED_AT_MAX])?;
    let mut found = Vec::new();
    while found.len() <= SEARCH_HITS_MAX
        && let Some(row) = rows.next()?
    {
        let name = columns::text(row, 0)?;
        if words.missing_in(&name).is_empty() {
            found.push(name);
        }
    }
    Ok(hits(found, SEARCH_HITS_MAX))
}

/// For words of less than three letters, which the index does not have.
const TEXTS_SHORT: &str = "
    SELECT j.name, t.tag, v.value
    FROM tag t CROSS JOIN job_tag v ON v.tag = t.id CROSS JOIN job j ON j.id = v.job
    WHERE t.tag IN ('synopsis', 'description', 'readme.md', 'readme') AND v.value LIKE :words ESCAPE '\\'";

const TEXTS: &str = "
    SELECT j.name, t.tag, v.value
    FROM repository_text f CROSS JOIN job_tag v ON v.id = f.rowid CROSS JOIN tag t ON t.id = v.tag
    CROSS JOIN job j ON j.id = v.job
    WHERE f.repository_text MATCH :words";

/// Jobs with all words in one of the texts that are told of them.
pub(crate) fn texts(connection: &Connection, words: &Words) -> rusqlite::Result<Hits<TextHit>> {
    let is_indexed = |word: &&String| word.chars().nth(2).is_some();
    let indexed: Vec<_> = words.0.iter().filter(is_indexed).collect();
    let (statement, pattern) = match (indexed.as_slice(), words.0.first()) {
        (_, None) => return Ok(Hits::default()),
        ([], Some(short)) => (TEXTS_SHORT, anywhere(short)),
        (words, _) => {
            let quoted = words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\"")));
            (TEXTS, quoted.collect::<Vec<_>>().join(" AND "))
        }
    };
    let most = usize::try_from(one_more()).unwrap_or(usize::MAX);
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(named_params! {":words": pattern})?;
    let mut found = Vec::new();
    while found.len() < most
        && let Some(row) = rows.next()?
    {
        let (tag, value) = (columns::text(row, 1)?, columns::text(row, 2)?);
        let lower = value.to_ascii_lowercase();
        // The statement looked for the indexed ones, or for the first short one.
        if !words.0.iter().filter(|word| !is_indexed(word)).all(|word| lower.contains(word.as_str())) {
            continue;
        }
        let place = match tag.as_str() {
            "synopsis" => "synopsis",
            "description" => "description",
            _ => "readme",
        };
        // The longest word tells most.
        let longest = words.0.iter().max_by_key(|word| word.len()).map_or("", String::as_str);
        found.push(TextHit { name: columns::text(row, 0)?, place, excerpt: excerpt(&value, &lower, longest) });
    }
    Ok(hits(found, SEARCH_HITS_MAX))
}

/// A pattern for `LIKE … ESCAPE '\'` that finds the text anywhere.
fn anywhere(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// The words around the first place of a word, in a text that is there in lower case, too.
fn excerpt(value: &str, lower: &str, word: &str) -> String {
    const AROUND: usize = 60;
    let at = lower.find(word).unwrap_or(0);
    let is_boundary = |index: &usize| value.is_char_boundary(*index);
    let from = (0..=at.saturating_sub(AROUND)).rev().find(is_boundary).unwrap_or(0);
    let to = (at + word.len() + AROUND..value.len()).find(is_boundary).unwrap_or(value.len());
    // Words that are cut are left out.
    let before = value.get(from..at).filter(|_| from > 0).and_then(|text| text.find(char::is_whitespace));
    let after =
        value.get(at + word.len()..to).filter(|_| to < value.len()).and_then(|text| text.rfind(char::is_whitespace));
    let (from, to) = (from + before.unwrap_or(0), after.map_or(to, |after| at + word.len() + after));
    let words = value.get(from..to).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{}{words}{}", if from > 0 { "… " } else { "" }, if to < value.len() { " …" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::jobs::tests::plan;

    #[test]
    fn names_are_read_in_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let database = crate::Database::create(folder.path()).unwrap();
        for statement in [&platforms_statement(), &package_names_statement(), SYNOPSIS] {
            let plan = database.read(|connection| Ok(plan(connection, statement))).unwrap();
            for scanned in ["SCAN build", "SCAN repository_", "SCAN job_tag", "TEMP B-TREE"] {
                assert!(!plan.contains(scanned), "{scanned} in\n{plan}");
            }
        }
    }

    #[test]
    fn words_are_parted_by_space_and_by_what_cannot_be_searched_for() {
        let words = |text: &str| Words::of(text).0;
        assert_eq!(words(" Hello\n freebsd-14\0x "), ["hello", "freebsd-14", "x"]);
        assert!(Words::of("\0 \u{1}").is_empty());
        assert_eq!(Words::of("dns b").missing_in("My-DNS"), ["b"]);
    }

    #[test]
    fn excerpts_show_the_words_around() {
        let long = format!("{} a Needle\n here {}", "ü".repeat(100), "ß".repeat(100));
        let excerpt = excerpt(&long, &long.to_ascii_lowercase(), "needle");
        assert!(excerpt.starts_with("… ") && excerpt.ends_with(" …") && excerpt.contains("a Needle here"), "{excerpt}");
        let sentence = "a word ".repeat(30);
        let excerpt = super::excerpt(&sentence, &sentence, "a word a");
        assert!(
            excerpt.starts_with("a word a") && (excerpt.ends_with(" a …") || excerpt.ends_with(" word …")),
            "{excerpt}"
        );
        let middle = format!("{} needle {}", "before".repeat(30), "behind them ".repeat(10));
        assert_eq!(super::excerpt(&middle, &middle, "needle").split(' ').nth(1), Some("needle"));
        assert_eq!(anywhere("50%_\\"), "%50\\%\\_\\\\%");
    }
}
