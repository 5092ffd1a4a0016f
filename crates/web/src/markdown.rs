//! Readmes: Markdown of strangers as HTML that cannot run, load anything, or break the page around it.
//!
//! Three walls: what Markdown means is filtered event by event (raw HTML, links, images, depth); what comes out is
//! written by `pulldown-cmark`; and `ammonia` lets only named elements and attributes through.

mod events;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Longest readme that is shown, in bytes; of a longer one, the start is.
pub const README_BYTES_MAX: usize = 512 << 10;
/// How deep lists, quotes and emphasis may lie in each other; what is deeper is shown as if it were not.
pub const NESTING_MAX: usize = 32;
/// How many headings, from the first on, have an id and a link.
pub const HEADINGS_LINKED_MAX: usize = 1_000;

/// What begins every id in a readme, so that none is one of the page.
const ID_PREFIX: &str = "readme-";
/// Where tables begin and end, for narrow screens: a region that scrolls by itself.
const TABLE_START: &str = "<div role=\"region\" tabindex=\"0\" aria-label=\"table\">";
const TABLE_END: &str = "</div>";

/// A readme as HTML.
///
/// Headings go down by two levels, for the page has two above them; each has an id and a link to itself. Tables,
/// footnotes, strikethrough and task lists are known. Raw HTML is left out. Links lead to `http`, `https`, `mailto`
/// and headings; of any other only the text is left. An image is a link that is named as the image is described.
pub fn readme_html(markdown: &str) -> String {
    let shown = start_of(markdown);
    let mut html = String::with_capacity(shown.len() * 2);
    pulldown_cmark::html::push_html(&mut html, events::events(shown).into_iter());
    if shown.len() < markdown.len() {
        html.push_str("<p>The rest of this file is too long to be shown.</p>");
    }
    clean(&html)
}

/// As many whole lines as may be shown.
fn start_of(markdown: &str) -> &str {
    if markdown.len() <= README_BYTES_MAX {
        return markdown;
    }
    let end = (0..=README_BYTES_MAX).rev().find(|at| markdown.is_char_boundary(*at)).unwrap_or_default();
    let start = &markdown[..end];
    start.rfind('\n').map_or(start, |end| &start[..end])
}

/// What is let through; made once, as it is larger than most readmes.
static CLEANER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(cleaner);

fn clean(html: &str) -> String {
    CLEANER.clean(html).to_string()
}

fn cleaner() -> ammonia::Builder<'static> {
    let tags = [
        "a",
        "blockquote",
        "br",
        "code",
        "dd",
        "del",
        "div",
        "dl",
        "dt",
        "em",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "strong",
        "sup",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ];
    let attributes = HashMap::from([
        ("a", HashSet::from(["href", "aria-label"])),
        ("div", HashSet::from(["role", "tabindex", "aria-label", "id"])),
        ("h3", HashSet::from(["id"])),
        ("h4", HashSet::from(["id"])),
        ("h5", HashSet::from(["id"])),
        ("h6", HashSet::from(["id"])),
        ("ol", HashSet::from(["start"])),
    ]);
    let classes = HashMap::from([
        ("a", HashSet::from(["anchor"])),
        ("div", HashSet::from(["footnote-definition"])),
        ("sup", HashSet::from(["footnote-reference", "footnote-definition-label"])),
    ]);
    let mut cleaner = ammonia::Builder::default();
    cleaner
        .tags(HashSet::from(tags))
        .tag_attributes(attributes)
        .generic_attributes(HashSet::new())
        .allowed_classes(classes)
        .url_schemes(HashSet::from(events::SCHEMES))
        .url_relative(ammonia::UrlRelative::Custom(Box::new(only_fragments)))
        .link_rel(Some("nofollow noopener"));
    cleaner
}

fn only_fragments(url: &str) -> Option<Cow<'_, str>> {
    url.starts_with('#').then_some(Cow::Borrowed(url))
}

#[cfg(test)]
mod tests;
