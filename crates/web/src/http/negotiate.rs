//! What a request asks for: HTML or JSON, and the parameters of its query.

use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// For people.
    Html,
    /// For programs.
    Json,
}

impl Form {
    /// What the `Accept` header asks for: JSON when it names `application/json` with at least the quality of
    /// `text/html`; as in the original, `*/*` does not count.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut html, mut json) = (0.0_f32, 0.0_f32);
        for range in accepted.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if kind.eq_ignore_ascii_case("application/json") {
                json = json.max(quality);
            } else if kind.eq_ignore_ascii_case("text/html") {
                html = html.max(quality);
            }
        }
        if json > 0.0 && json >= html { Self::Json } else { Self::Html }
    }
}

/// The parameters of a query: the first of a name counts, `+` is a space, and a key without `=` is absent.
#[derive(Debug, Default)]
pub(crate) struct QueryMap(Vec<(String, String)>);

impl QueryMap {
    /// Takes a query apart; what is no UTF-8 is shown as replacement characters.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(key, value)| (decoded(key), decoded(value))).collect())
    }

    /// The value of a parameter, also an empty one.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that is there and not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.value(key).filter(|value| !value.is_empty())
    }
}

impl<S: Sync> axum::extract::FromRequestParts<S> for QueryMap {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(parts.uri.query()))
    }
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Form {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        let form = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Form::of(&headers)
        };
        for json in ["application/json", "application/json;q=0.9, */*", "text/html;q=0.5, application/json"] {
            assert_eq!(form(json), Form::Json, "{json}");
        }
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for html in ["", "*/*", browser, "application/json;q=0", "text/html, application/json;q=0.9", "text/json"] {
            assert_eq!(form(html), Form::Html, "{html}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), Form::Html);
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        let query = QueryMap::parse(Some("a=1&a=2&b&c=&d=x+y%2Bz&%C3%BC=%FF"));
        assert_eq!(query.value("a"), Some("1"));
        assert_eq!(query.value("b"), None);
        assert_eq!((query.value("c"), query.text("c")), (Some(""), None));
        assert_eq!(query.value("d"), Some("x y+z"));
        assert_eq!(query.value("ü"), Some("\u{fffd}"));
    }
}
