//! `cargo xtask pictures`: the pictures of the documentation, taken of the pages as they are now. What they show is the
//! business of the browser tests.

use crate::command::{cargo, root, succeeds};
use crate::component;
use anyhow::{Result, bail};

/// Takes them anew; to be looked at before they are committed.
pub(crate) fn pictures() -> Result<bool> {
    let missing = component::missing()?;
    if let Some(component) = missing.iter().find(|component| component.tests.contains(&"chromium")) {
        bail!("{} is missing, which takes the pictures", component.name);
    }
    let mut test = cargo(&["test", "--locked", "--package", "builder-web", "--test", "all", "--"]);
    test.args(["--exact", "browser::chromium_takes_pictures_that_are_small"]);
    succeeds(test.env("BUILDER_PICTURES", root().join("docs/pictures")))
}
