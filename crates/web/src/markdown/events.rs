//! What a readme means, event by event, with what strangers may not do taken out.

use super::{HEADINGS_LINKED_MAX, ID_PREFIX, NESTING_MAX, TABLE_END, TABLE_START};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};
use std::collections::HashMap;

/// Where links may lead.
pub(super) const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

/// By how much headings go down.
const LEVELS_DOWN: usize = 2;

/// The events of a readme, ready to be written.
pub(super) fn events(markdown: &str) -> Vec<Event<'_>> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut filter = Filter::default();
    Parser::new_ext(markdown, options).for_each(|event| filter.event(event));
    filter.events
}

/// What became of an element that began.
#[derive(Clone, Copy)]
enum Opened {
    /// It was written.
    Written,
    /// Only what it contains was.
    Unwrapped,
    /// It is a table, in a region of its own.
    Table,
    /// It is a heading with its text to come; where in the events it began.
    Heading { at: usize },
    /// It is an image whose description becomes the text of a link.
    Image { is_link: bool },
    /// Nothing of it is written, nor of what it contains.
    Dropped,
}

#[derive(Default)]
struct Filter<'a> {
    events: Vec<Event<'a>>,
    open: Vec<Opened>,
    /// How many of the open elements were written.
    depth: usize,
    /// How many links are open; HTML has none in another.
    links: usize,
    /// How many of the open elements are dropped.
    dropped: usize,
    slugs: HashMap<String, usize>,
    /// How many headings have an id.
    headings_linked: usize,
}

impl<'a> Filter<'a> {
    fn event(&mut self, event: Event<'a>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            _ if self.dropped > 0 => {}
            Event::Html(_) | Event::InlineHtml(_) => {}
            Event::FootnoteReference(name) => self.events.push(Event::FootnoteReference(note_id(&name))),
            Event::Text(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule => self.events.push(event),
            // A box that is no control: it would need a label, and nobody can tick it.
            Event::TaskListMarker(is_done) => {
                self.events.push(Event::Text(CowStr::Borrowed(if is_done { "☑ " } else { "☐ " })));
            }
        }
    }

    fn start(&mut self, tag: Tag<'a>) {
        let opened = self.opened(tag);
        match opened {
            Opened::Written | Opened::Table | Opened::Heading { .. } | Opened::Image { is_link: true } => {
                self.depth += 1;
            }
            Opened::Dropped => self.dropped += 1,
            Opened::Unwrapped | Opened::Image { is_link: false } => {}
        }
        self.open.push(opened);
    }

    fn opened(&mut self, tag: Tag<'a>) -> Opened {
        match tag {
            _ if self.dropped > 0 => Opened::Dropped,
            Tag::HtmlBlock | Tag::MetadataBlock(_) => Opened::Dropped,
            // A table within what is too deep would lose its rows to the text around it, or the other way round.
            Tag::Table(_) if self.depth + 4 > NESTING_MAX => Opened::Dropped,
            Tag::Image { dest_url, .. } => {
                let is_link = self.start_link(&dest_url);
                Opened::Image { is_link }
            }
            Tag::Link { link_type, dest_url, .. } => {
                let target = match link_type {
                    LinkType::Email => format!("mailto:{dest_url}").into(),
                    LinkType::Inline
                    | LinkType::Reference
                    | LinkType::ReferenceUnknown
                    | LinkType::Collapsed
                    | LinkType::CollapsedUnknown
                    | LinkType::Shortcut
                    | LinkType::ShortcutUnknown
                    | LinkType::Autolink
                    | LinkType::WikiLink { .. } => dest_url,
                };
                if self.start_link(&target) { Opened::Written } else { Opened::Unwrapped }
            }
            _ if self.depth >= NESTING_MAX => Opened::Unwrapped,
            Tag::Table(alignments) => {
                // Alignments would be written as styles, which the pages do not have.
                let plain = vec![pulldown_cmark::Alignment::None; alignments.len()];
                self.events.push(Event::Html(CowStr::Borrowed(TABLE_START)));
                self.events.push(Event::Start(Tag::Table(plain)));
                Opened::Table
            }
            Tag::Heading { .. } => {
                let at = self.events.len();
                self.events.push(Event::Start(tag));
                Opened::Heading { at }
            }
            Tag::FootnoteDefinition(name) => self.write(Tag::FootnoteDefinition(note_id(&name))),
            Tag::CodeBlock(_) => self.write(Tag::CodeBlock(CodeBlockKind::Indented)),
            Tag::BlockQuote(_) => self.write(Tag::BlockQuote(None)),
            Tag::Paragraph
            | Tag::List(_)
            | Tag::Item
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::TableHead
            | Tag::TableRow
            | Tag::TableCell
            | Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript => self.write(tag),
        }
    }

    fn write(&mut self, tag: Tag<'a>) -> Opened {
        self.events.push(Event::Start(tag));
        Opened::Written
    }

    /// Begins a link if it may lead there; says whether it did.
    fn start_link(&mut self, target: &str) -> bool {
        let Some(target) = allowed_target(target).filter(|_| self.links == 0 && self.depth < NESTING_MAX) else {
            return false;
        };
        self.links += 1;
        self.events.push(Event::Start(Tag::Link {
            link_type: LinkType::Inline,
            dest_url: target.into(),
            title: CowStr::Borrowed(""),
            id: CowStr::Borrowed(""),
        }));
        true
    }

    fn end(&mut self, end: TagEnd) {
        // Starts and ends come in pairs; if they ever did not, there would be nothing to end.
        let Some(opened) = self.open.pop() else { return };
        match opened {
            Opened::Unwrapped | Opened::Image { is_link: false } => return,
            Opened::Dropped => {
                self.dropped -= 1;
                return;
            }
            Opened::Image { is_link: true } => {
                self.links -= 1;
                self.events.push(Event::End(TagEnd::Link));
            }
            Opened::Heading { at } => self.end_heading(at),
            Opened::Table => {
                self.events.push(Event::End(end));
                self.events.push(Event::Html(CowStr::Borrowed(TABLE_END)));
            }
            Opened::Written => {
                if end == TagEnd::Link {
                    self.links -= 1;
                }
                let end = if let TagEnd::BlockQuote(_) = end { TagEnd::BlockQuote(None) } else { end };
                self.events.push(Event::End(end));
            }
        }
        self.depth -= 1;
    }

    /// The text of a heading is known only at its end, so its start is written again.
    fn end_heading(&mut self, at: usize) {
        let Some(Event::Start(Tag::Heading { level, .. })) = self.events.get(at) else { return };
        let level = HeadingLevel::try_from((*level as usize + LEVELS_DOWN).min(6)).unwrap_or(HeadingLevel::H6);
        if self.headings_linked == HEADINGS_LINKED_MAX {
            self.events[at] = Event::Start(Tag::Heading { level, id: None, classes: vec![], attrs: vec![] });
            self.events.push(Event::End(TagEnd::Heading(level)));
            return;
        }
        self.headings_linked += 1;
        let text = plain_text(&self.events[at..]);
        let id = self.unique_id(&text);
        let label = escaped(text.trim());
        let anchor = format!(" <a class=\"anchor\" href=\"#{id}\" aria-label=\"link to {label}\">#</a>");
        self.events[at] = Event::Start(Tag::Heading { level, id: Some(id.into()), classes: vec![], attrs: vec![] });
        self.events.push(Event::Html(anchor.into()));
        self.events.push(Event::End(TagEnd::Heading(level)));
    }

    fn unique_id(&mut self, text: &str) -> String {
        let slug = slug(text);
        // `a`, `a` and `a-1` are three headings: a number is taken only if nobody has it.
        loop {
            let count = self.slugs.entry(slug.clone()).or_default();
            *count += 1;
            let candidate = if *count == 1 { slug.clone() } else { format!("{slug}-{}", *count - 1) };
            if candidate == slug || !self.slugs.contains_key(&candidate) {
                if candidate != slug {
                    self.slugs.insert(candidate.clone(), 1);
                }
                return format!("{ID_PREFIX}{candidate}");
            }
        }
    }
}

/// The target of a link if it may be one. A fragment leads to a heading, under the id that it has here.
fn allowed_target(target: &str) -> Option<String> {
    if let Some(fragment) = target.strip_prefix('#') {
        return Some(format!("#{ID_PREFIX}{}", slug(fragment)));
    }
    let (scheme, _) = target.split_once(':')?;
    SCHEMES.iter().any(|allowed| scheme.eq_ignore_ascii_case(allowed)).then(|| target.to_owned())
}

fn note_id(name: &str) -> CowStr<'static> {
    format!("{ID_PREFIX}note-{}", slug(name)).into()
}

/// As GitHub has them: letters and digits in lower case, dashes for spaces, nothing else.
fn slug(text: &str) -> String {
    let lower = text.trim().chars().flat_map(char::to_lowercase);
    let kept = lower.filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ => character.is_alphanumeric().then_some(character),
    });
    let slug: String = kept.collect();
    if slug.is_empty() { "section".to_owned() } else { slug }
}

fn plain_text(events: &[Event<'_>]) -> String {
    let mut text = String::new();
    for event in events {
        if let Event::Text(part) | Event::Code(part) = event {
            text.push_str(part);
        } else if let Event::SoftBreak | Event::HardBreak = event {
            text.push(' ');
        }
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
