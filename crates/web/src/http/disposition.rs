//! Under which name a file is saved: `Content-Disposition` as RFC 6266 has it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but `attr-char` of RFC 8187, section 3.2.1.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Saves under this name. Programs that know only the plain `filename` get one too; where it cannot say the name, it has
/// underscores, and `filename*` has the name.
pub(crate) fn attachment(name: &str) -> String {
    let plain: String = name.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ATTRIBUTE))
}

/// Whether browsers agree on this character within quotes: they do not on escapes and on percent signs.
fn is_plain(character: char) -> bool {
    character == ' ' || character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '%' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_said_to_old_and_new_programs() {
        assert_eq!(attachment("hello_1.0-1_amd64.deb"), "attachment; filename=\"hello_1.0-1_amd64.deb\"");
        assert_eq!(attachment("a b'(c).txt"), "attachment; filename=\"a b'(c).txt\"");
        assert_eq!(
            attachment("grün 50%.a-b+c"),
            "attachment; filename=\"gr_n 50_.a-b+c\"; filename*=UTF-8''gr%C3%BCn%2050%25.a-b+c"
        );
        let attack = "x\"; filename=\"evil.exe\r\n\\";
        assert_eq!(
            attachment(attack),
            "attachment; filename=\"x_; filename=_evil.exe___\"; filename*=UTF-8''x%22%3B%20filename%3D%22evil.exe%0D%0A%5C"
        );
    }
}
