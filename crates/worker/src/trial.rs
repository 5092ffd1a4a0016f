//! Whether a host gives what a policy asks: what can be looked at, and then a job for a trial, which does nothing. Only
//! that shows what a kernel, its settings and its guards make of a sandbox in the end.

use crate::cli::Format;
use crate::error::Error;
use crate::folder::Folder;
use crate::limits;
use crate::order::{End, Heard, REPORT_BYTES_MAX, Report};
use crate::prepared::Prepared;
use crate::processes;
use crate::standby::{Standby, Supervisor};
use crate::wait;
use crate::worker::{Settings, look};
use builder_sandbox::{Finding, Host, Kind};
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a trial is called among findings.
pub(crate) const SUBJECT: &str = "a job for a trial";
/// Whether AppArmor forbids user namespaces to programs without a profile.
const APP_ARMOR_SETTING: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
/// Where our packages have a profile of AppArmor that allows them.
const APP_ARMOR_PROFILES: [&str; 2] = [
    "/usr/share/builder-worker/apparmor.d/builder-worker",
    "/usr/local/share/builder-worker/apparmor.d/builder-worker",
];
/// What the trial runs.
const SCRIPT: &[u8] = b"exit 0\n";
/// How long it may take.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(60);
/// What to do about one that fails for reasons that only it shows.
const TRIAL_HINT: &str =
    "see to what it names; if that tells nothing, take keys out of the policy, one after the other, until it runs";
/// What stands above a survey.
const SURVEY: &str = "
No sandbox is chosen, so jobs run as the worker does. What this host could give, by --sandbox or `sandbox` in the policy:

";
/// How much of what it prints is told, in bytes.
const CONSOLE_BYTES_MAX: u64 = 2048;

/// Everything that the policy of these settings asks, and whether it is there.
pub(crate) fn findings(settings: &Settings) -> Vec<Finding> {
    let (host, mut findings) = look(settings);
    findings.push(match Folder::probe(&settings.workdir) {
        Ok(()) => Finding::works("folder for jobs", settings.workdir.display().to_string()),
        Err(error) => without_hint(&error, "folder for jobs"),
    });
    // What makes a sandbox may lack what would hold a limit.
    let is_said =
        |limit: &Finding| findings.iter().any(|found| found.subject == limit.subject && !found.is_fulfilled());
    let limits: Vec<_> = limits::findings(&settings.policy).into_iter().filter(|limit| !is_said(limit)).collect();
    findings.extend(limits);
    if findings.iter().all(Finding::is_fulfilled) {
        findings.push(tried(settings, &host, SUBJECT));
    }
    findings
}

/// What became of a job for a trial.
pub(crate) fn tried(settings: &Settings, host: &Host, subject: &str) -> Finding {
    let begun = Instant::now();
    match trial(settings, host) {
        Ok(()) => Finding::works(subject, format!("ran in {} ms", begun.elapsed().as_millis())),
        // All that can be looked at is there: only the message tells more, to whom it does.
        Err(error) => {
            let found = without_hint(&error, subject);
            let mend = hint(settings.policy.kind, &found.detail).unwrap_or_else(|| TRIAL_HINT.to_owned());
            Finding::missing(subject, found.detail, mend)
        }
    }
}

/// The same for a worker that begins: without a sandbox there is nothing to try, as every host has processes.
pub(crate) fn refuse_what_fails(settings: &Settings) -> Result<(), Error> {
    if settings.policy.kind == Kind::None { Ok(()) } else { must_pass(settings) }
}

/// The same for a worker that could not begin a job: whatever the sandbox, it asks for no other one before this passes.
pub(crate) fn must_pass(settings: &Settings) -> Result<(), Error> {
    let missing: Vec<_> = findings(settings).into_iter().filter(|finding| !finding.is_fulfilled()).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Refused { findings: missing }) }
}

/// What to do about a trial that failed, where its kind or its complaint tells more than it says itself.
fn hint(kind: Kind, complaint: &str) -> Option<String> {
    let known = match kind {
        Kind::Bubblewrap => {
            let setting = std::fs::read_to_string(APP_ARMOR_SETTING).ok()?;
            let profile = APP_ARMOR_PROFILES.into_iter().find(|path| Path::new(path).exists());
            return app_armor_hint(&setting, profile);
        }
        Kind::Container if complaint.contains("bind source path does not exist") => Some(
            "docker does not see the worker's /tmp, which its unit gives it for itself: name another folder by --workdir DIR, or by TMPDIR in its unit",
        ),
        Kind::Container if complaint.contains("apparmor_parser") => Some("apt-get install apparmor"),
        Kind::Container if complaint.contains("creating /etc/mtab symlink: permission denied") => Some(
            "podman without rights of root cannot use a root file system of another user: tar -C ROOT -cf - . | podman import - NAME, and `image = \"NAME\"` for `root`",
        ),
        Kind::None | Kind::Container | Kind::Nspawn | Kind::Jail => None,
    };
    known.map(str::to_owned)
}

/// What to do where AppArmor forbids user namespaces to programs that it has no profile for, as Ubuntu has it.
fn app_armor_hint(setting: &str, profile: Option<&str>) -> Option<String> {
    let loaded = profile.map_or_else(
        || {
            "give builder-worker a profile of AppArmor that allows userns, as packaging/apparmor.d of builder has one"
                .to_owned()
        },
        |path| format!("cp {path} /etc/apparmor.d/ && apparmor_parser -r /etc/apparmor.d/builder-worker"),
    );
    (setting.trim() == "1").then(|| format!("{loaded}; or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"))
}

fn without_hint(error: &Error, subject: &str) -> Finding {
    let text = error.to_string();
    let (detail, hint) = text.split_once("\nhint: ").unwrap_or((&text, "see what it says"));
    Finding::missing(subject, detail, hint)
}

fn trial(settings: &Settings, host: &Host) -> Result<(), Error> {
    let prepared = Prepared::of(settings, host, SCRIPT)?;
    let (mut supervisor, pipe) = Standby::start(settings)?.ready(settings)?;
    let report = supervisor.give(&prepared.order).map(|()| report(&mut supervisor));
    // Whatever it said or did not say, it does not outlive the trial; dead, it can no longer print.
    let killed = supervisor.child.kill().and_then(|()| supervisor.child.wait());
    if let Some(orphans) = &settings.orphans {
        orphans.forget(processes::id_of(&supervisor.child));
        orphans.kill();
    }
    let failed = |source| Error::Supervisor { act: "talk to", program: supervisor.program.clone(), source };
    killed.map_err(failed)?;
    let why = match report?.map_err(failed)? {
        Some(Report { refusal: Some(why), .. } | Report { lost: Some(why), .. }) => why,
        Some(Report { end: Some(End::Exited(0)), failure: None, .. }) => return Ok(()),
        Some(report) => report.failure.unwrap_or_else(|| format!("the script ended otherwise: {:?}", report.end)),
        None => format!("it did not end within {TRIAL_TIME_MAX:?}"),
    };
    let said = console(pipe).map_err(failed)?;
    Err(Error::Sandbox { why: if said.is_empty() { why } else { format!("{why}: {said}") } })
}

/// What the supervisor says in the end; nothing if it takes too long or says nothing.
fn report(supervisor: &mut Supervisor) -> io::Result<Option<Report>> {
    let until = Instant::now() + TRIAL_TIME_MAX;
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while said.len() <= REPORT_BYTES_MAX
        && wait::poll_until(&mut [wait::to_read(supervisor.control.as_fd())], Some(until))?
    {
        match supervisor.control.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Heard::of(&said).report)
}

/// What was printed, on one line.
fn console(pipe: PipeReader) -> io::Result<String> {
    let mut said = Vec::new();
    pipe.take(CONSOLE_BYTES_MAX).read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).trim().replace('\n', "; "))
}

/// Findings as they are shown, and behind them a survey, where there is one.
pub(crate) fn text(findings: &[Finding], survey: Option<&[Finding]>, kind: Kind, format: Format) -> String {
    match format {
        Format::Json => {
            let works = findings.iter().all(Finding::is_fulfilled);
            let mut json = serde_json::json!({ "sandbox": kind.name(), "works": works, "findings": findings });
            if let Some(survey) = survey {
                json["survey"] = serde_json::json!(survey);
            }
            format!("{json:#}\n")
        }
        Format::Text => {
            let all = findings.iter().chain(survey.unwrap_or_default());
            let width = all.map(|finding| finding.subject.chars().count()).max().unwrap_or(0);
            let lines = |findings: &[Finding]| findings.iter().map(|finding| line(finding, width)).collect::<String>();
            let survey = survey.map_or_else(String::new, |survey| format!("{SURVEY}{}", lines(survey)));
            lines(findings) + &survey
        }
    }
}

fn line(finding: &Finding, width: usize) -> String {
    let Finding { subject, state, detail, mend } = finding;
    let mend = mend.iter().map(|mend| format!("{:width$}  {:7}  do: {mend}\n", "", ""));
    format!("{subject:width$}  {:7}  {detail}\n", state.name()) + &mend.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_a_table() {
        let findings = [
            Finding::works("bwrap", "/usr/bin/bwrap"),
            Finding::missing("root file system", "is not there", "make it"),
        ];
        assert_eq!(
            text(&findings, None, Kind::Bubblewrap, Format::Text),
            "bwrap             works    /usr/bin/bwrap\n\
             root file system  missing  is not there\n                           do: make it\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&text(&findings, None, Kind::Bubblewrap, Format::Json)).unwrap();
        assert_eq!((&json["works"], &json["findings"][1]["state"]), (&false.into(), &"missing".into()));
        assert!(json.get("survey").is_none());
        assert_eq!(
            text(&findings[..1], Some(&findings[1..]), Kind::None, Format::Text),
            format!(
                "bwrap             works    /usr/bin/bwrap\n{SURVEY}\
                 root file system  missing  is not there\n                           do: make it\n"
            )
        );
    }

    #[test]
    fn complaints_of_engines_that_do_not_tell_what_to_do_get_a_hint() {
        let complaint = "docker: Error response from daemon: invalid mount config for type \"bind\": bind source path \
            does not exist: /tmp/builder-b1f264";
        assert!(hint(Kind::Container, complaint).is_some_and(|hint| hint.contains("--workdir")));
        let complaint = "docker: Error response from daemon: AppArmor enabled on system but the docker-default profile \
            could not be loaded: running `apparmor_parser apparmor_parser --version` failed";
        assert_eq!(hint(Kind::Container, complaint).as_deref(), Some("apt-get install apparmor"));
        let complaint = "Error: creating /etc/mtab symlink: permission denied";
        assert!(hint(Kind::Container, complaint).is_some_and(|hint| hint.contains("podman import")));
        assert_eq!(hint(Kind::Container, "docker: Error response from daemon"), None);
    }

    #[test]
    fn who_is_kept_from_user_namespaces_by_app_armor_is_told_the_command() {
        assert_eq!(app_armor_hint("0\n", Some(APP_ARMOR_PROFILES[0])), None);
        let packaged = "cp /usr/share/builder-worker/apparmor.d/builder-worker /etc/apparmor.d/ && apparmor_parser -r \
            /etc/apparmor.d/builder-worker; or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
        assert_eq!(app_armor_hint("1\n", Some(APP_ARMOR_PROFILES[0])).as_deref(), Some(packaged));
        assert!(app_armor_hint("1\n", None).unwrap().starts_with("give builder-worker a profile of AppArmor"));
    }
}
