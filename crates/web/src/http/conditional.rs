//! Conditional and partial requests, as RFC 9110 has them (sections 13 and 14), over what never changes.

use http::{HeaderMap, header};

/// `Cache-Control` of what has its content in its address, or never changes: a year.
pub(crate) const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// What of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The peer has it already.
    Nothing,
    /// All of it.
    Whole,
    /// A part: from this byte, so many.
    Part {
        /// The first byte.
        from: u64,
        /// How many.
        bytes: u64,
    },
    /// A part that it does not have.
    Beyond,
}

/// What a request wants of a file with this entity tag, which stands there with its quotes.
pub(crate) fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    if is_known(headers, etag) {
        return Wanted::Nothing;
    }
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    // A date is no tag of ours: what it holds for is not known, so the whole is sent. A weak tag is that of several
    // octets, such as those in gzip, and a part of one is none of the other.
    if text(header::IF_RANGE).is_some_and(|tag| tag != etag || tag.starts_with("W/")) {
        return Wanted::Whole;
    }
    text(header::RANGE).map_or(Wanted::Whole, |range| part(range, size))
}

/// Whether `If-None-Match` names this tag: alone, in a list, as a weak one, as `*`, or without quotes, as the clients
/// of the original send it back.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let own = bare(etag);
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || bare(tag) == own)
}

/// A single range; several, and what is none, get the whole.
fn part(range: &str, size: u64) -> Wanted {
    let Some(spec) = range.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else { return Wanted::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first.trim()), number(last.trim())) {
        (Some(from), last_byte) if last_byte.is_some() || last.trim().is_empty() => {
            let to = last_byte.unwrap_or(u64::MAX).min(size.saturating_sub(1));
            if last_byte.is_some_and(|last| last < from) {
                Wanted::Whole
            } else if from >= size {
                Wanted::Beyond
            } else {
                Wanted::Part { from, bytes: to - from + 1 }
            }
        }
        (None, Some(count)) if first.trim().is_empty() => match (count, size) {
            (0, _) | (_, 0) => Wanted::Beyond,
            (count, size) => Wanted::Part { from: size.saturating_sub(count), bytes: count.min(size) },
        },
        (Some(_) | None, _) => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(pairs: &[(&'static str, &str)]) -> Wanted {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        wanted(&headers, "\"tag\"", 100)
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        for known in ["\"tag\"", "W/\"tag\"", "tag", "*", "\"other\", \"tag\""] {
            assert_eq!(ask(&[("if-none-match", known)]), Wanted::Nothing, "{known}");
        }
        assert_eq!(ask(&[("if-none-match", "\"other\"")]), Wanted::Whole);
        assert_eq!(ask(&[("if-none-match", "\"tag\""), ("range", "bytes=0-1")]), Wanted::Nothing);
    }

    #[test]
    fn a_part_is_what_was_asked_for() {
        let part = |range| ask(&[("range", range)]);
        assert_eq!(part("bytes=0-9"), Wanted::Part { from: 0, bytes: 10 });
        assert_eq!(part("bytes=90-"), Wanted::Part { from: 90, bytes: 10 });
        assert_eq!(part("bytes=90-1000"), Wanted::Part { from: 90, bytes: 10 });
        assert_eq!(part("bytes=-10"), Wanted::Part { from: 90, bytes: 10 });
        assert_eq!(part("bytes=-1000"), Wanted::Part { from: 0, bytes: 100 });
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(part(beyond), Wanted::Beyond, "{beyond}");
        }
        for whole in ["bytes=0-1,4-5", "bytes=5-2", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2"] {
            assert_eq!(part(whole), Wanted::Whole, "{whole}");
        }
        assert_eq!(ask(&[("range", "bytes=0-9"), ("if-range", "\"tag\"")]), Wanted::Part { from: 0, bytes: 10 });
        assert_eq!(ask(&[("range", "bytes=0-9"), ("if-range", "\"old\"")]), Wanted::Whole);
        let mut headers = HeaderMap::new();
        headers.insert("range", "bytes=0-9".parse().unwrap());
        headers.insert("if-range", "W/\"tag\"".parse().unwrap());
        assert_eq!(wanted(&headers, "W/\"tag\"", 100), Wanted::Whole, "a weak one is never strong enough");
        let mut headers = HeaderMap::new();
        headers.insert("range", "bytes=0-".parse().unwrap());
        assert_eq!(wanted(&headers, "\"tag\"", 0), Wanted::Beyond);
    }
}
