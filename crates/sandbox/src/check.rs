//! Judges whether a host gives what a policy asks.

use crate::host::Host;
use crate::kinds;
use crate::policy::Policy;
use serde::Serialize;

/// One thing that a policy asks of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub subject: String,
    /// Whether the host gives it.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What to do about it, a command where there is one.
    pub mend: Option<String>,
}

/// Whether a host gives something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It does.
    Works,
    /// It does not; no job is run as long as that is so.
    Missing,
}

impl State {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Missing => "missing",
        }
    }
}

impl Finding {
    /// The host gives it.
    pub fn works(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { subject: subject.into(), state: State::Works, detail: detail.into(), mend: None }
    }

    /// The host does not give it.
    pub fn missing(subject: impl Into<String>, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        let (subject, detail, mend) = (subject.into(), detail.into(), Some(mend.into()));
        Self { subject, state: State::Missing, detail, mend }
    }

    /// Whether the host gives it.
    pub fn is_fulfilled(&self) -> bool {
        match self.state {
            State::Works => true,
            State::Missing => false,
        }
    }
}

/// Holds a policy against a host. A job may be run when all findings are fulfilled.
pub fn check(policy: &Policy, host: &Host) -> Vec<Finding> {
    let mut findings = vec![Finding::works("sandbox", policy.kind.name())];
    if let Some(root) = &host.root {
        findings.push(match root {
            Ok(root) if !root.has_shell => {
                let detail = format!("there is no /bin/sh in {}, which runs scripts", root.path.display());
                Finding::missing(
                    "root file system",
                    detail,
                    "name a folder that has a whole system in it, as `builder rootfs create` makes one",
                )
            }
            Ok(root) => {
                let digest = root.digest.as_ref().map_or("no digest is recorded", |digest| digest.as_str());
                Finding::works("root file system", format!("{} ({digest})", root.name.display()))
            }
            Err(error) => {
                let text = error.to_string();
                let (detail, mend) = text.split_once("\nhint: ").unwrap_or((&text, "see to that file"));
                Finding::missing("root file system", detail, mend)
            }
        });
    }
    let needs = kinds::needs(policy, host);
    for path in policy.read_only.iter().chain(&policy.writable) {
        let subject = format!("{}", path.display());
        if needs.iter().any(|needed| needed.subject == subject) {
            continue;
        }
        findings.push(if host.present.contains(path) {
            Finding::works(subject, "is there")
        } else {
            Finding::missing(subject, "is not there", "make it, or take it out of the policy")
        });
    }
    if let Some(Err(error)) = &host.host_user {
        findings.push(Finding::missing(
            "host-user",
            error.as_str(),
            "name a user of this host without rights, or leave it out",
        ));
    }
    findings.extend(needs);
    findings
}
