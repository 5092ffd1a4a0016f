//! Styles and scripts that stand in the page itself, so that a first page needs no request but its own. The browser
//! runs them because their digests are in the `Content-Security-Policy`; anything else that gets into a page is dead.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// The look of every page.
pub(crate) static STYLE: Inline = Inline::new(include_str!("../../templates/style.css"));
/// The theme switch and the shortcut to the search field, on every page.
pub(crate) static SCRIPT: Inline = Inline::new(include_str!("../../templates/site.js"));

/// A style or a script, as it is in the source tree and as it stands in a page.
#[derive(Debug)]
pub(crate) struct Inline {
    source: &'static str,
    served: OnceLock<Served>,
}

#[derive(Debug)]
struct Served {
    text: String,
    hash: String,
}

impl Inline {
    /// Names a source. Comments must stand on lines of their own, `/* … */` or `// …`: such lines are left out, and
    /// so is indentation.
    pub(crate) const fn new(source: &'static str) -> Self {
        Self { source, served: OnceLock::new() }
    }

    /// The text between the tags.
    pub(crate) fn text(&self) -> &str {
        &self.served().text
    }

    /// The source expression for the policy: `'sha256-…'`.
    pub(crate) fn hash(&self) -> &str {
        &self.served().hash
    }

    fn served(&self) -> &Served {
        self.served.get_or_init(|| {
            let is_comment = |line: &&str| line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
            let lines = self.source.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line));
            let text = lines.collect::<Vec<_>>().join("\n");
            let hash = format!("'sha256-{}'", STANDARD.encode(Sha256::digest(&text)));
            Served { text, hash }
        })
    }
}

/// The policy of a page with these styles beside the style and the script that every page has.
pub(crate) fn policy(styles: &[&'static Inline]) -> String {
    let further = styles.iter().map(|style| format!(" {}", style.hash())).collect::<String>();
    format!(
        "default-src 'none'; style-src {}{further}; script-src {}; img-src 'self' data:; frame-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        STYLE.hash(),
        SCRIPT.hash()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_bytes_of_the_page() {
        let policy = policy(&[]);
        for inline in [&STYLE, &SCRIPT] {
            let digest = STANDARD.encode(Sha256::digest(inline.text()));
            assert!(policy.contains(&digest), "{policy}");
            assert!(!inline.text().contains("</"), "nothing ends the element early");
        }
        assert!(!policy.contains("unsafe"));
        let size = STYLE.text().len() + SCRIPT.text().len();
        assert!(size < 16 << 10, "{size} bytes of every page are style and script");
    }
}
