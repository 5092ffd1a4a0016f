//! The opam file of one installed package, as a section of an export.

use super::ast::{Field, Item, Section, Value};
use super::printer::print_items;

/// The opam file of one installed package: what opam calls an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    items: Vec<Item>,
}

impl Overlay {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self { items }
    }

    /// Fields and sections of the file.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The file in our normalized layout: the same for equal files, good to read and to compare line by line.
    pub fn to_text(&self) -> String {
        print_items(&self.items)
    }

    /// The value of a field, the last one if there are several.
    pub fn field(&self, name: &str) -> Option<&Value> {
        field(&self.items, name)
    }

    /// The first section of a kind, such as `url`.
    pub fn section(&self, kind: &str) -> Option<&Section> {
        self.items.iter().find_map(|item| match item {
            Item::Section(section) if section.kind == kind => Some(section),
            Item::Section(_) | Item::Field(_) => None,
        })
    }

    /// One line about the package, without blanks around it; absent if there is none or it is empty.
    pub fn synopsis(&self) -> Option<&str> {
        self.prose("synopsis")
    }

    /// What the package is, without blanks around it; absent if there is none or it is empty.
    pub fn description(&self) -> Option<&str> {
        self.prose("description")
    }

    /// Where the sources came from: `src` of the section `url`, or a word that older opam files have in its place.
    pub fn source_url(&self) -> Option<&str> {
        let section = self.section("url")?;
        ["src", "archive", "http", "git", "darcs", "hg", "local"]
            .iter()
            .find_map(|name| field(&section.items, name)?.as_string())
    }

    /// The checksums of the sources, as they are written (`sha256=…`), the strongest usually last.
    pub fn source_checksums(&self) -> Vec<&str> {
        let checksum = self.section("url").and_then(|section| field(&section.items, "checksum"));
        checksum.map(|value| value.elements().iter().filter_map(Value::as_string).collect()).unwrap_or_default()
    }

    /// Where the package is developed.
    pub fn dev_repo(&self) -> Option<&str> {
        self.field("dev-repo")?.as_string()
    }

    fn prose(&self, name: &str) -> Option<&str> {
        let text = self.field(name)?.as_string()?.trim();
        (!text.is_empty()).then_some(text)
    }
}

/// The value of a field among items, the last one if there are several.
pub(super) fn field<'a>(items: &'a [Item], name: &str) -> Option<&'a Value> {
    fields(items).rfind(|field| field.name == name).map(|field| &field.value)
}

fn fields(items: &[Item]) -> impl DoubleEndedIterator<Item = &Field> {
    items.iter().filter_map(|item| match item {
        Item::Field(field) => Some(field),
        Item::Section(_) => None,
    })
}
