//! Parameters of requests, and cursors. What cannot be read is refused with what is wrong, where, and what to do.

use crate::http::{QueryMap, Refusal};
use crate::limits::NAME_BYTES_MAX;
use builder_model::{BuildId, Timestamp};

/// How many entries are asked for.
pub(super) fn count(query: &QueryMap, usual: u32, most: u32) -> Result<u32, Refusal> {
    let Some(text) = query.value("count") else { return Ok(usual) };
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        Ok(_) | Err(_) => Err(bad("count", text, &format!("give a number from 1 to {most}"))),
    }
}

/// A text that has at most as many characters as a name has bytes; none when it is absent or empty.
pub(super) fn name<'a>(query: &'a QueryMap, key: &str) -> Result<Option<&'a str>, Refusal> {
    match query.text(key) {
        Some(text) if text.chars().count() > NAME_BYTES_MAX => {
            Err(bad(key, text, &format!("a name has at most {NAME_BYTES_MAX} characters")))
        }
        text => Ok(text),
    }
}

/// A time in RFC 3339.
pub(super) fn time(query: &QueryMap, key: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = query.value(key) else { return Ok(None) };
    let hint = "give a time such as 2024-09-05T12:34:56Z, with + as %2B";
    text.parse().map(Some).map_err(|_| bad(key, text, hint))
}

/// A UUID in an address.
pub(super) fn uuid(text: &str) -> Result<BuildId, Refusal> {
    let hint = "a UUID looks like 00112233-4455-6677-8899-aabbccddeeff";
    text.parse().map_err(|_| bad("the UUID", text, hint))
}

/// Where a list goes on, as `next` said it.
pub(super) fn cursor<T>(query: &QueryMap, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
    let Some(text) = query.value("cursor") else { return Ok(None) };
    let hint = "take it from `next` of the answer before, or leave it out to begin";
    parse(text).map(Some).ok_or_else(|| bad("cursor", text, hint))
}

/// A refusal that says what is wrong with which parameter, and what to do.
pub(super) fn bad(what: &str, text: &str, hint: &str) -> Refusal {
    let shown: String = text.chars().take(80).collect();
    Refusal::Bad(format!("{what} cannot be {shown:?}: {hint}."))
}
