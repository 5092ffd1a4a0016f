//! Readmes as HTML, kept by what they say: pages are made anew after every commit, readmes change seldom, and to render
//! one costs more than the rest of its page.

use crate::limits::READMES_BYTES_MAX;
use crate::markdown::readme_html;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The readmes that were rendered last.
#[derive(Debug, Default)]
pub(crate) struct Readmes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// HTML by the Markdown that it came of.
    rendered: HashMap<String, Arc<str>>,
    bytes: usize,
}

impl Readmes {
    /// The HTML of a readme, which cannot run.
    pub(crate) fn html(&self, markdown: &str) -> Arc<str> {
        if let Some(html) = self.lock().rendered.get(markdown) {
            return html.clone();
        }
        let html: Arc<str> = readme_html(markdown).into();
        let bytes = markdown.len() + html.len();
        let mut kept = self.lock();
        if kept.bytes + bytes > READMES_BYTES_MAX {
            *kept = Kept::default();
        }
        if bytes <= READMES_BYTES_MAX && kept.rendered.insert(markdown.to_owned(), html.clone()).is_none() {
            kept.bytes += bytes;
        }
        html
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readme_is_rendered_once_and_room_is_bounded() {
        let readmes = Readmes::default();
        let first = readmes.html("# one\n");
        assert!(first.contains("one") && Arc::ptr_eq(&first, &readmes.html("# one\n")));
        let long = "words ".repeat(20_000);
        for number in 0..READMES_BYTES_MAX / long.len() {
            readmes.html(&format!("{number} {long}"));
            assert!(readmes.lock().bytes <= READMES_BYTES_MAX);
        }
        assert!(!Arc::ptr_eq(&first, &readmes.html("# one\n")), "it had to leave");
    }
}
