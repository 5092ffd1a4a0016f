//! What is the same on every page of a site: its name, its logo, its introduction. Made once, when it opens.

use crate::limits::LOGO_BYTES_MAX;
use crate::markdown;
use crate::settings::Site;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

/// The icon of a site without a logo of its own.
const ICON: &str = "data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20viewBox='0%200%2024%2024'%3E%3Cpath%20fill='%230b566b'%20d='M2%202h9v9H2zM13%2013h9v9h-9z'/%3E%3Cpath%20fill='none'%20stroke='%230b566b'%20stroke-width='2'%20d='M14%203h7v7h-7zM3%2014h7v7H3z'/%3E%3C/svg%3E";

/// What is the same on every page.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// The name of the site.
    pub(crate) name: String,
    /// The logo as a `data:` address; none is the mark that is built in.
    pub(crate) logo: Option<String>,
    /// The icon of the browser's tab, as a `data:` address.
    pub(crate) icon: String,
    /// The introduction on the front page, as HTML that cannot run.
    pub(crate) introduction: String,
}

impl Look {
    /// Reads the logo and renders the introduction. A logo that cannot be used is reported and left out: pages without
    /// one are better than none.
    pub(crate) fn of(site: &Site) -> Self {
        let logo = site.logo.as_deref().and_then(|path| match data_address(path) {
            Ok(address) => Some(address),
            Err(reason) => {
                tracing::warn!("the logo {} is left out: {reason}", path.display());
                None
            }
        });
        Self {
            name: site.name.clone(),
            icon: logo.clone().unwrap_or_else(|| ICON.to_owned()),
            logo,
            introduction: markdown::readme_html(&site.introduction),
        }
    }
}

fn data_address(path: &Path) -> Result<String, String> {
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some(_) | None => return Err("its name must end in .svg or .png".into()),
    };
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > LOGO_BYTES_MAX {
        return Err(format!("it has {bytes} bytes, at most {LOGO_BYTES_MAX} are allowed, as every page carries it"));
    }
    let content = std::fs::read(path).map_err(|error| error.to_string())?;
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logo_is_in_the_page_and_a_bad_one_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let logo = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            std::fs::write(&path, vec![b'x'; bytes]).unwrap();
            Look::of(&Site { logo: Some(path), ..Site::default() }).logo
        };
        assert_eq!(logo("a.svg", 3).as_deref(), Some("data:image/svg+xml;base64,eHh4"));
        assert!(logo("a.png", 1000).is_some());
        assert_eq!((logo("a.gif", 3), logo("b.svg", 9000)), (None, None));
        let look = Look::of(&Site { logo: Some("/missing.svg".into()), ..Site::default() });
        assert_eq!(look.logo, None);
    }
}
