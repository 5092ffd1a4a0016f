//! Where things lie on FreeBSD, in texts that were written on Linux: pages and completions, which name defaults, and
//! samples of settings.

use anyhow::{Context, Result};
use std::path::Path;

/// What is elsewhere, with what it is there. The places that have the right name already come first, and stay.
const PLACES: [(&str, &str); 4] = [
    ("/usr/local/etc/builder", "/usr/local/etc/builder"),
    ("/var/lib/builder", "/var/db/builder"),
    ("/etc/builder", "/usr/local/etc/builder"),
    ("/etc/default/builder", "/etc/rc.conf.d/builder"),
];
/// The texts that name them for whoever reads them there. Documents speak of both systems.
const TEXTS: [&str; 5] = ["share/man/", "bash-completion/", "site-functions/", "vendor_completions.d/", ".sample"];

/// Puts the places in a file right, if it is one of these texts.
pub(super) fn put_right(path: &Path) -> Result<()> {
    let shown = path.to_string_lossy();
    if !TEXTS.iter().any(|part| shown.contains(part)) {
        return Ok(());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    std::fs::write(path, translated(&text)).with_context(|| format!("write {}", path.display()))
}

/// Each place is looked for once, from the left, so that none is put right twice.
fn translated(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if let Some((from, to)) = PLACES.iter().find(|(from, _)| rest.starts_with(from)) {
            result.push_str(to);
            rest = &rest[from.len()..];
        } else {
            let end = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
            result.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_freebsd_and_put_right_once() {
        let text = "é /var/lib/builder\\-web /etc/builder/x /usr/local/etc/builder-web \"/etc/builder-web\" /etc/other";
        let expected = "é /var/db/builder\\-web /usr/local/etc/builder/x /usr/local/etc/builder-web \
                        \"/usr/local/etc/builder-web\" /etc/other";
        assert_eq!(translated(text), expected);
        assert_eq!(translated(expected), expected);
    }
}
