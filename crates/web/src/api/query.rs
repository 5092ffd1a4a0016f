//! Parameters of requests, and cursors. What cannot be read is refused with what is wrong, where, and what to do.

use crate::http::{QueryMap, Refusal};
use crate::limits::{CURSOR_BYTES_MAX, NAME_BYTES_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use builder_model::{BuildId, Timestamp};

/// How many entries are asked for.
pub(super) fn count(query: &QueryMap, usual: u32, most: u32) -> Result<u32, Refusal> {
    let Some(text) = query.value("count") else { return Ok(usual) };
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        Ok(_) | Err(_) => Err(bad("count", text, &format!("give a number from 1 to {most}"))),
    }
}

/// A text that is at most as long as a name; none when it is absent or empty.
pub(super) fn name<'a>(query: &'a QueryMap, key: &str) -> Result<Option<&'a str>, Refusal> {
    match query.text(key) {
        Some(text) if text.len() > NAME_BYTES_MAX => {
            Err(bad(key, text, &format!("a name has at most {NAME_BYTES_MAX} bytes")))
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

/// Where a list goes on: text that only we read.
pub(super) fn cursor(query: &QueryMap) -> Result<Option<String>, Refusal> {
    let Some(text) = query.value("cursor") else { return Ok(None) };
    let decoded = Some(text).filter(|text| text.len() <= CURSOR_BYTES_MAX).and_then(|text| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        String::from_utf8(bytes).ok()
    });
    decoded.map(Some).ok_or_else(|| bad_cursor(text))
}

/// A cursor that is none.
pub(super) fn bad_cursor(text: &str) -> Refusal {
    bad("cursor", text, "take it from `next` of the answer before, or leave it out to begin")
}

/// The cursor for a text.
pub(super) fn to_cursor(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A refusal that says what is wrong with which parameter, and what to do.
pub(super) fn bad(what: &str, text: &str, hint: &str) -> Refusal {
    let shown: String = text.chars().take(80).collect();
    Refusal::Bad(format!("{what} cannot be {shown:?}: {hint}."))
}
