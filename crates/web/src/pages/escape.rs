//! Text of strangers within a page: no markup, and nothing that turns the page around.
//!
//! Characters that embed or override a direction reach beyond the text that they are in: a name that begins with U+202E
//! is read backwards, and so is what stands behind it. They are shown by their number.

use askama::filters::{Escaper, Html};
use std::fmt::{self, Write};

/// Escapes text for a page; `askama.toml` names it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PageText;

/// Whether a character changes the direction of what stands behind it. Marks that only have one themselves are left:
/// texts in Arabic or Hebrew use them.
fn turns(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Escaper for PageText {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        // They all begin with this byte, and nearly no text has it.
        if !string.as_bytes().contains(&0xe2) {
            return Html.write_escaped_str(dest, string);
        }
        let mut rest = string;
        while let Some((place, character)) = rest.char_indices().find(|(_, character)| turns(*character)) {
            let (before, after) = rest.split_at(place);
            Html.write_escaped_str(&mut dest, before)?;
            write!(dest, "\\u{{{:x}}}", u32::from(character))?;
            rest = after.get(character.len_utf8()..).unwrap_or_default();
        }
        Html.write_escaped_str(dest, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup_or_turns_the_page() {
        let written = |text: &str| {
            let mut page = String::new();
            PageText.write_escaped_str(&mut page, text).unwrap();
            page
        };
        assert_eq!(written("a<b>&\"'ü"), "a&#60;b&#62;&#38;&#34;&#39;ü");
        assert_eq!(written("\u{202e}abc<\u{2066}\u{2069}"), "\\u{202e}abc&#60;\\u{2066}\\u{2069}");
        assert_eq!(written("שלום\u{200f}!"), "שלום\u{200f}!");
        assert_eq!(written(""), "");
    }
}
