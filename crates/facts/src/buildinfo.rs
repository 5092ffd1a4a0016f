//! Debian `.buildinfo` files (deb-buildinfo(5)): what a package was built from, as far as it should decide what comes
//! out. Checksums, dates and paths are left aside: they say what came out, when and where.

use crate::key_values::KeyValues;
use crate::text::text as text_of;

/// Longest `.buildinfo` that is read, in bytes. One with 5,000 build dependencies has a quarter of it.
pub const BUILDINFO_BYTES_MAX: usize = 1 << 20;

const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";

/// What a package was built from, in canonical form: two files that differ in order or spacing only are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buildinfo {
    values: [Vec<String>; FIELDS.len()],
}

/// Why bytes are not taken as a `.buildinfo`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildinfoError {
    /// More bytes than [`BUILDINFO_BYTES_MAX`].
    #[error("the .buildinfo has {0} bytes, at most {BUILDINFO_BYTES_MAX} are read")]
    Long(usize),
    /// A line that is neither a field nor goes on with one.
    #[error("line {line} of the .buildinfo {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A field that every such file has.
    #[error("the .buildinfo has no field {0}")]
    Missing(&'static str),
    /// A field that is there twice.
    #[error("the .buildinfo has two fields {0}")]
    Twice(&'static str),
}

/// How the values of a field are told apart.
#[derive(Clone, Copy)]
enum Separator {
    None,
    Space,
    Comma,
    Line,
}

struct Field {
    name: &'static str,
    separator: Separator,
    required: bool,
}

const fn required(name: &'static str, separator: Separator) -> Field {
    Field { name, separator, required: true }
}

/// The fields that count, in the order of [`Buildinfo::fields`].
const FIELDS: [Field; 6] = [
    required("Source", Separator::None),
    required("Version", Separator::None),
    required("Architecture", Separator::Space),
    required("Build-Architecture", Separator::None),
    required("Installed-Build-Depends", Separator::Comma),
    Field { name: "Environment", separator: Separator::Line, required: false },
];

impl Buildinfo {
    /// Reads a file, signed or not. A signature is not checked. Bytes that are not UTF-8 are marked, so that different
    /// ones stay different.
    pub fn parse(bytes: &[u8]) -> Result<Self, BuildinfoError> {
        if bytes.len() > BUILDINFO_BYTES_MAX {
            return Err(BuildinfoError::Long(bytes.len()));
        }
        let texts = field_texts(&text_of(bytes))?;
        let mut values = [const { Vec::new() }; FIELDS.len()];
        for ((field, text), values) in FIELDS.iter().zip(texts).zip(&mut values) {
            match text {
                Some(text) => *values = canonical(field.separator, &text),
                None if field.required => return Err(BuildinfoError::Missing(field.name)),
                None => {}
            }
        }
        Ok(Self { values })
    }

    /// Each field that counts with its values: Source, Version, Architecture, Build-Architecture,
    /// Installed-Build-Depends, Environment, always in this order. Values of lists are sorted, each once.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        FIELDS.iter().zip(&self.values).map(|(field, values)| (field.name, values.as_slice()))
    }

    /// The packages of the system that were there, with their versions.
    pub fn system_packages(&self) -> KeyValues {
        KeyValues::of(self.values_of("Installed-Build-Depends").iter().map(|value| package(value)))
    }

    /// The variables of the environment that are told of.
    pub fn environment(&self) -> KeyValues {
        KeyValues::of(self.values_of("Environment").iter().map(|value| variable(value)))
    }

    fn values_of(&self, name: &str) -> &[String] {
        self.fields().find(|(field, _)| *field == name).map_or(&[], |(_, values)| values)
    }
}

/// `gcc-12 (= 12.2.0-14)` as name and version; whatever else it may be, as a name.
fn package(value: &str) -> (String, String) {
    let (name, relation) = value.split_once('(').unwrap_or((value, ""));
    let version = relation.trim_end().trim_end_matches(')').trim_start_matches('=');
    (name.trim().to_owned(), version.trim().to_owned())
}

/// `NAME="value"` as name and value, without the quotes and with `\"` as `"`; a line without `=` as a name.
fn variable(line: &str) -> (String, String) {
    let (name, value) = line.split_once('=').unwrap_or((line, ""));
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(quoted) => (name.to_owned(), quoted.replace("\\\"", "\"")),
        None => (name.to_owned(), value.to_owned()),
    }
}

/// The text of each field that counts, with the lines that go on with it.
fn field_texts(text: &str) -> Result<[Option<String>; FIELDS.len()], BuildinfoError> {
    let mut texts = [const { None::<String> }; FIELDS.len()];
    // The field that a line may go on with: none yet, one that does not count, one that does.
    let mut current: Option<Option<usize>> = None;
    for (line, content) in paragraph(text) {
        let refuse = |why| Err(BuildinfoError::Line { line, why });
        if content.starts_with([' ', '\t']) {
            match current {
                None => return refuse("goes on with a field, but none began"),
                Some(None) => {}
                Some(Some(index)) => {
                    let text = texts[index].get_or_insert_default();
                    text.push('\n');
                    text.push_str(content);
                }
            }
            continue;
        }
        let Some((name, value)) = content.split_once(':') else { return refuse("is no field") };
        let index = FIELDS.iter().position(|field| field.name.eq_ignore_ascii_case(name));
        if let Some(index) = index
            && texts[index].replace(value.to_owned()).is_some()
        {
            return Err(BuildinfoError::Twice(FIELDS[index].name));
        }
        current = Some(index);
    }
    Ok(texts)
}

/// The lines of the first paragraph with their numbers, out of the armour of a signature if there is one.
fn paragraph(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let signed = text.lines().next().is_some_and(|line| line.trim_end() == SIGNED);
    let lines = (1..).zip(text.lines().map(str::trim_end));
    // Behind the headers of the armour comes an empty line; more of them may come before a paragraph.
    let body = lines.skip_while(move |(_, line)| signed && !line.is_empty()).skip_while(|(_, line)| line.is_empty());
    body.take_while(|(_, line)| !line.is_empty() && *line != SIGNATURE)
        .map(move |(number, line)| (number, if signed { line.strip_prefix("- ").unwrap_or(line) } else { line }))
}

fn canonical(separator: Separator, text: &str) -> Vec<String> {
    let parts: Vec<&str> = match separator {
        Separator::None => vec![text],
        Separator::Space => text.split_ascii_whitespace().collect(),
        Separator::Comma => text.split(',').collect(),
        Separator::Line => text.split('\n').collect(),
    };
    let mut values: Vec<String> =
        parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "\
Format: 1.0
Source: hello
Binary: hello hello-dbgsym
Architecture: amd64 all
Version: 1.0-1
Checksums-Sha256:
 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 1234 hello_1.0-1_amd64.deb
Build-Origin: Debian
Build-Architecture: amd64
Build-Date: Thu, 05 Sep 2024 12:34:56 +0000
Build-Path: /build/hello-1.0
Installed-Build-Depends:
 gcc-12 (= 12.2.0-14),
 autoconf (= 2.71-3)
Environment:
 LANG=\"C.UTF-8\"
 DEB_BUILD_OPTIONS=\"parallel=2\"
";

    fn told(text: &str) -> String {
        match Buildinfo::parse(text.as_bytes()) {
            Ok(info) => info.fields().map(|(name, values)| format!("{name}={}\n", values.join("|"))).collect(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_fields_that_count_are_canonical() {
        insta::assert_snapshot!(told(FILE), @r#"
        Source=hello
        Version=1.0-1
        Architecture=all|amd64
        Build-Architecture=amd64
        Installed-Build-Depends=autoconf (= 2.71-3)|gcc-12 (= 12.2.0-14)
        Environment=DEB_BUILD_OPTIONS="parallel=2"|LANG="C.UTF-8"
        "#);
    }

    #[test]
    fn order_spacing_dates_and_signatures_do_not_count() {
        let plain = told(FILE);
        let moved =
            FILE.replace(" gcc-12 (= 12.2.0-14),\n autoconf (= 2.71-3)", " autoconf (= 2.71-3) , gcc-12 (= 12.2.0-14)");
        assert_eq!(told(&moved), plain);
        assert_eq!(told(&FILE.replace("2024", "2025").replace("9f86", "0000").replace('\n', "\r\n")), plain);
        let signed = format!("{SIGNED}\nHash: SHA512\n\n{FILE}\n{SIGNATURE}\n\nabc=\n-----END PGP SIGNATURE-----\n");
        assert_eq!(told(&signed), plain);
    }

    #[test]
    fn packages_and_variables_are_told_apart() {
        let file = FILE.replace(" gcc-12 (= 12.2.0-14),", " gcc-12:amd64 (= 12.2.0-14),\n odd,\n cut (= 1,");
        let file = file.replace("LANG=\"C.UTF-8\"", "CFLAGS=\"-DNAME=\\\"a b\\\" -O2\"\n odd\n PLAIN=x");
        let info = Buildinfo::parse(file.as_bytes()).unwrap();
        let shown = |list: &KeyValues| list.iter().map(|(name, value)| format!("{name}|{value}")).collect::<Vec<_>>();
        assert_eq!(shown(&info.system_packages()), ["autoconf|2.71-3", "cut|1", "gcc-12:amd64|12.2.0-14", "odd|"]);
        assert_eq!(
            shown(&info.environment()),
            ["CFLAGS|-DNAME=\"a b\" -O2", "DEB_BUILD_OPTIONS|parallel=2", "PLAIN|x", "odd|"]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(told(""), "the .buildinfo has no field Source");
        assert_eq!(told(&FILE.replace("Build-Architecture", "X")), "the .buildinfo has no field Build-Architecture");
        assert_eq!(told(&format!("{FILE}source: other\n")), "the .buildinfo has two fields Source");
        assert_eq!(told(" a"), "line 1 of the .buildinfo goes on with a field, but none began");
        assert_eq!(told("Source: a\nb"), "line 2 of the .buildinfo is no field");
        assert_eq!(
            told(&"x".repeat(BUILDINFO_BYTES_MAX + 1)),
            "the .buildinfo has 1048577 bytes, at most 1048576 are read"
        );
        assert_eq!(Buildinfo::parse(b"\xff").unwrap_err().to_string(), "line 1 of the .buildinfo is no field");
        let bytes = [FILE.as_bytes(), b" BAD=\"\xff\"\n"].concat();
        assert_eq!(Buildinfo::parse(&bytes).unwrap().environment().value("BAD"), Some("\u{fffd}ff"));
        assert!(told(&FILE.replace("Environment", "X")).ends_with("Environment=\n"), "old files have none");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(?s)[-A-Za-z: \n\t,=]{0,200}", cut in 0..FILE.len()) {
            prop_assert!(!told(&text).is_empty());
            prop_assert!(!told(&FILE[..cut]).is_empty());
        }
    }
}
