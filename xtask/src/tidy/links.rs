//! Relative links of Markdown files lead to files that exist.

use super::Finding;
use std::path::{Component, Path, PathBuf};

pub(super) fn check(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(line) {
            let found = normal(&folder.join(target)).is_some_and(|target| exists(&target));
            if !found {
                let what = format!("the link to {target} leads nowhere; mend the link or add the file");
                findings.push(Finding::new(path, index + 1, what));
            }
        }
    }
    findings
}

/// The files that a line links to, without their anchors: `[text](target)` outside of `code`.
fn targets(line: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for prose in line.split('`').step_by(2) {
        // A link whose text is code has its target at the start of the next stretch of prose.
        for rest in prose.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                targets.push(file);
            }
        }
    }
    targets
}

/// Resolves `.` and `..`; none for what leaves the workspace.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_that_lead_nowhere_are_found() {
        let text = "\
[a](state.md) and [b](../README.md#here), [web](https://example.com/x.md), [here](#there)
[gone](gone.md) [`code`](lost.md \"title\") and `[not](a-link.md)`
```
[fenced](nothing.md)
```
[out](../../etc/passwd)
";
        let exists = |path: &Path| ["docs/state.md", "README.md"].map(Path::new).contains(&path);
        let found: Vec<String> =
            check("docs/x.md", text, exists).iter().map(|f| f.to_string().chars().take(34).collect()).collect();
        assert_eq!(
            found,
            [
                "docs/x.md:2: the link to gone.md l",
                "docs/x.md:2: the link to lost.md l",
                "docs/x.md:6: the link to ../../etc",
            ]
        );
    }
}
