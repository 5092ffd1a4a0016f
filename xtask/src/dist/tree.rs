//! What every format has in it, whatever the system: programs, man pages, completions, documents, hooks,
//! templates.
//!
//! Where a format puts it, and what belongs to one system only, such as units and scripts, is the format's.

use super::files::{copy, write};
use super::programs::PROGRAMS;
use crate::command::{output, program, root, run};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// What writes completions and man pages, and what else it is told for that.
const COMPLETED: [(&str, &[&str]); 7] = [
    ("builder", &[]),
    ("builder-client", &["--program", "builder-client"]),
    ("builder-client", &["--program", "builder-inspect"]),
    ("builder-server", &[]),
    ("builder-worker", &[]),
    ("builder-web", &[]),
    ("builder-db", &[]),
];
/// What goes into `share/doc/builder/`, with the links between the pages intact.
const DOCS: [&str; 6] = ["LICENSE", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs"];

/// Lays all of it out in a folder, as it lies below the prefix where it is installed. The programs come from the folder
/// `binaries`; those in `runnable`, the same ones or the same built for this machine, write man pages and completions.
pub(super) fn gather(binaries: &Path, runnable: &Path, stage: &Path) -> Result<()> {
    for program in PROGRAMS {
        copy(&binaries.join(program), &stage.join("bin").join(program))?;
    }
    let man = stage.join("share/man/man1");
    std::fs::create_dir_all(&man).with_context(|| format!("make {}", man.display()))?;
    for (documented, arguments) in COMPLETED {
        let path = runnable.join(documented);
        let path = path.to_str().context("the path of the target folder is not UTF-8")?;
        for (shell, place) in completion_places(arguments.last().unwrap_or(&documented)) {
            let text = output(program(path, &["completions", shell]).args(arguments))?;
            if text.is_empty() {
                bail!("`{documented} completions {shell}` printed nothing");
            }
            write(&stage.join(place), &text)?;
        }
        if arguments.is_empty() || arguments.last() == Some(&documented) {
            run(program(path, &["man"]).arg(&man))?;
        }
    }
    for document in DOCS {
        copy(&root().join(document), &stage.join("share/doc/builder").join(document))?;
    }
    copy(&root().join("packaging/hooks"), &stage.join("share/builder-web/hooks"))?;
    copy(&root().join("packaging/templates"), &stage.join("share/builder/templates"))?;
    let sample = "builder-web.toml.sample";
    copy(&root().join("packaging").join(sample), &stage.join("share/builder-web").join(sample))
}

/// For each shell, where it looks for the completions of a program.
fn completion_places(program: &str) -> [(&'static str, String); 3] {
    [
        ("bash", format!("share/bash-completion/completions/{program}")),
        ("zsh", format!("share/zsh/site-functions/_{program}")),
        ("fish", format!("share/fish/vendor_completions.d/{program}.fish")),
    ]
}
