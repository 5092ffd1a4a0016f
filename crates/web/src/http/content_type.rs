//! What kind of content an artifact is, by its path, and whether a browser may show it.

/// Types of the original that the common table has under other names, or not at all.
const OWN: [(&str, &str); 9] = [
    ("deb", "application/x-debian-package"),
    ("md", "text/x-markdown"),
    ("xz", "application/x-xz"),
    // The common table has a player of music for it.
    ("rpm", "application/x-rpm"),
    ("pkg", OCTETS),
    ("bin", OCTETS),
    ("so", OCTETS),
    ("debug", OCTETS),
    ("build-hashes", "text/plain"),
];
const OCTETS: &str = "application/octet-stream";
/// What a browser may show: nothing of it can run.
const SHOWN: [&str; 6] = ["text/plain", "text/x-markdown", "image/png", "image/jpeg", "image/gif", "application/json"];
/// What is text, and has no character set here.
const MORE_TEXTS: [&str; 3] = ["application/json", "application/xml", "image/svg+xml"];
/// What has a character set besides `text/…`.
const TEXTS: [&str; 3] = ["application/javascript", "application/rss+xml", "application/atom+xml"];

/// The value of `Content-Type` for an artifact at this path.
pub(crate) fn of_artifact(path: &str) -> String {
    let kind = kind(path);
    let is_text = kind.starts_with("text/") || TEXTS.contains(&kind.as_str());
    if is_text { format!("{kind}; charset=utf-8") } else { kind }
}

/// Whether a browser may show it in place; all else is offered to be saved.
pub(crate) fn is_shown(path: &str) -> bool {
    SHOWN.contains(&kind(path).as_str())
}

/// Whether a value of `Content-Type` names a text, which gets shorter in gzip.
pub(crate) fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim_end();
    kind.starts_with("text/") || TEXTS.contains(&kind) || MORE_TEXTS.contains(&kind)
}

fn kind(path: &str) -> String {
    if ["build-environment", "opam-switch", "system-packages"].contains(&path) {
        return "text/plain".into();
    }
    if path.starts_with("bin/") {
        return OCTETS.into();
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    if let Some((_, kind)) = OWN.iter().find(|(known, _)| *known == extension) {
        return (*kind).into();
    }
    mime_guess::from_ext(&extension).first_raw().unwrap_or(OCTETS).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_the_original() {
        for (path, kind) in [
            ("opam-switch", "text/plain; charset=utf-8"),
            ("build-environment", "text/plain; charset=utf-8"),
            ("x.build-hashes", "text/plain; charset=utf-8"),
            ("bin/page.html", OCTETS),
            ("a/page.HTML", "text/html; charset=utf-8"),
            ("log.txt", "text/plain; charset=utf-8"),
            ("p.svg", "image/svg+xml"),
            ("x.deb", "application/x-debian-package"),
            ("x.rpm", "application/x-rpm"),
            ("x.debug", OCTETS),
            ("x.tar.xz", "application/x-xz"),
            ("none", OCTETS),
            ("x.unknown-to-all", OCTETS),
        ] {
            assert_eq!(of_artifact(path), kind, "{path}");
        }
        assert!(is_shown("opam-switch") && is_shown("a.png"));
        for kept in ["a.html", "a.svg", "a.xhtml", "a.js", "bin/x", "a.pdf"] {
            assert!(!is_shown(kept), "{kept}");
        }
    }
}
