//! The original's repository: a data folder of its version, its users, its hook, taken over in place and given back.

use super::server::Record;
use super::{Machine, Package, expect, install, seen, step};
use crate::command::{cargo, output};
use anyhow::{Context, Result, ensure};
use std::path::Path;

pub(super) const PACKAGE: Package = Package {
    name: "builder-web",
    version: "0.2.0",
    unit: "[Unit]\nDescription=stands for the original\n[Service]\nType=notify\nNotifyAccess=all\nUser=builder\n\
           ExecStart=/usr/libexec/builder-web\n[Install]\nWantedBy=multi-user.target\n",
    data: "/var/lib/builder-web",
    programs: &[
        ("usr/libexec/builder-web", SERVES),
        ("usr/sbin/builder-db", "#!/bin/sh\nexit 1\n"),
        ("usr/sbin/builder-migrations", "#!/bin/sh\nexit 1\n"),
        ("etc/builder-web/upload-hooks/visualizations.sh", HOOK),
    ],
    conffiles: &["etc/builder-web/upload-hooks/visualizations.sh"],
};
/// Starts with the database that the original starts with, and with no other.
const SERVES: &str = "#!/bin/sh\nset -e\ncd /var/lib/builder-web\n\
                      versions=$(sqlite3 builder.sqlite3 'PRAGMA application_id; PRAGMA user_version' | tr '\\n' ' ')\n\
                      [ \"$versions\" = '1234839235 18 ' ] || exit 2\nsystemd-notify --ready\nexec sleep infinity\n";
/// Reads the database and writes where visualizations are, as the original's does.
const HOOK: &str = "#!/bin/sh\nset -e\nfor argument; do case $argument in --uuid=*) uuid=${argument#*=} ;; esac; done\n\
                    cd /var/lib/builder-web\nmkdir -p _cache\n\
                    sqlite3 builder.sqlite3 \"SELECT uuid, platform FROM build WHERE uuid = '$uuid'\" >> _cache/told\n";

/// The users of the folder that is made, with their passwords.
const UPLOADER: &str = "robur:robur: pass word";
const RESTRICTED: &str = "limited:limited";
const SITE: &str = "http://127.0.0.1:3000";
const DATABASE: &str = "/var/lib/builder-web/builder.sqlite3";
/// What the original stores while it is back: a build as it writes them.
const MEANWHILE: &str = "00000000-1111-4222-8333-444444444444";
const MEANWHILE_SHA256: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

/// Makes the data folder in a system that does not run yet; returns the addresses of its pages.
pub(super) fn lay_out(system: &Path) -> Result<Vec<String>> {
    PACKAGE.lay_out(system)?;
    let mut maker = cargo(&["run", "--quiet", "--locked", "--package", "builder-web", "--example", "original", "--"]);
    let pages = output(maker.arg(system.join("var/lib/builder-web")))?;
    let pages = String::from_utf8(pages).context("read the addresses of pages")?;
    Ok(pages.lines().map(str::to_owned).collect())
}

/// The rows of the original's tables that were there from the first.
pub(super) fn rows(machine: &Machine) -> Result<String> {
    machine.run(&format!(
        "sqlite3 -readonly -batch {DATABASE} '.mode quote' 'PRAGMA application_id' 'PRAGMA user_version' \
            'SELECT * FROM job WHERE id <= 5 ORDER BY id' 'SELECT * FROM build WHERE id <= 100 ORDER BY id' \
            'SELECT * FROM build_artifact WHERE build <= 100 ORDER BY id' 'SELECT * FROM user ORDER BY id' \
            'SELECT * FROM access_list ORDER BY id' 'SELECT * FROM tag WHERE id <= 2 ORDER BY id' \
            'SELECT * FROM job_tag WHERE job <= 5 ORDER BY id'"
    ))
}

pub(super) fn is_taken_over(machine: &Machine, pages: &[String]) -> Result<()> {
    step("the repository goes on in the original's folder: every page and its JSON answer");
    machine.wait("it is healthy", &format!("curl -sf {SITE}/healthz"))?;
    seen(&machine.run("systemctl is-enabled builder-web; systemctl is-active builder-web")?);
    let user = "stat --format %U /proc/$(systemctl show --property MainPID --value builder-web)/status";
    let user = machine.run(&format!("id builder; {user}"))?;
    seen(&user);
    ensure!(user.ends_with("\nbuilder\n"), "it runs as somebody else");
    let strangers = machine.run("find /var/lib/builder-web ! -user builder -o ! -group builder")?;
    ensure!(strangers.is_empty(), "these belong to somebody else: {strangers}");
    machine.run("! ls /usr/libexec/builder-web /usr/sbin/builder-db /usr/sbin/builder-migrations 2>/dev/null")?;
    std::fs::write(machine.root.join("root/pages"), pages.join("\n") + "\n").context("write a list of pages")?;
    let answers = machine.run(&format!(
        "for type in text/html application/json; do while read -r page; do
            curl -s -o /dev/null -H \"Accept: $type\" -w \"%{{http_code}} %{{content_type}} $page\\n\" \"{SITE}$page\"
        done </root/pages; done"
    ))?;
    let good = |answer: &&str| answer.starts_with("200 text/html") || answer.starts_with("200 application/json");
    let bad: Vec<&str> = answers.lines().filter(|answer| !good(answer)).collect();
    ensure!(bad.is_empty(), "these do not answer: {bad:?}");
    let json = answers.lines().filter(|answer| answer.starts_with("200 application/json")).count();
    ensure!(json == pages.len() && pages.len() > 100, "{json} of {} addresses answer in JSON", pages.len());
    seen(&format!("{} pages, each as HTML and as JSON: 200", pages.len()));
    seen(&machine.run("runuser -u builder -- builder-db check 2>&1")?);
    seen(&machine.run("runuser -u builder -- builder-db user-list --long")?);
    Ok(())
}

/// What a request with a file as its body is answered with.
fn post(machine: &Machine, user: &str, file: &str, target: &str) -> Result<String> {
    let curl = format!("curl -s -o /root/said -w '%{{http_code}}' -u '{user}' --data-binary @{file} '{SITE}{target}'");
    machine.run(&curl)
}

pub(super) fn is_used(machine: &Machine, record: &Record) -> Result<()> {
    step("users of the original upload, as far as they may, and its hook is told");
    let file = format!("/var/lib/builder/{}", record.path);
    let by_hand = "/job/hello/platform/debian-12/upload?binary_name=by-hand";
    for (user, file, target, status) in [
        ("robur:wrong", file.as_str(), "/upload", "401"),
        ("nologin:", &file, "/upload", "401"),
        (RESTRICTED, &file, "/upload", "403"),
        (UPLOADER, &file, "/upload", "201"),
        (RESTRICTED, "/etc/debian_version", by_hand, "201"),
        (UPLOADER, "/etc/debian_version", by_hand, "201"),
    ] {
        let answer = post(machine, user, file, target)?;
        seen(&format!("POST {target} of {file} by {}: {answer}", user.split(':').next().unwrap_or_default()));
        ensure!(answer == status, "{answer}, not {status}: {}", machine.ask("cat /root/said")?);
    }
    let told = machine.wait(
        "the hook is told",
        "test $(wc -l </var/lib/builder-web/_cache/told) = 2 && cat /var/lib/builder-web/_cache/told",
    )?;
    seen(&format!("visualizations.sh: {}", told.replace('\n', " ")));
    expect(&told, "|debian-12")?;
    seen(&machine.run("runuser -u builder -- builder-db hooks")?);
    let fetched = machine.run(&format!("curl -sfL {SITE}/job/hello/build/latest/main-binary"))?;
    ensure!(fetched == machine.run("cat /etc/debian_version")?, "another file came back: {fetched}");
    Ok(())
}

pub(super) fn compare(machine: &Machine, before: &str) -> Result<()> {
    let now = rows(machine)?;
    let changed: Vec<&str> = now.lines().filter(|row| !before.lines().any(|known| known == *row)).take(3).collect();
    ensure!(now == before, "rows of the original were changed, such as {changed:?}");
    let whole =
        machine.run(&format!("sqlite3 -readonly {DATABASE} 'PRAGMA integrity_check; PRAGMA foreign_key_check'"))?;
    expect(&whole, "ok")?;
    seen(&format!("sqlite3: {} rows of the original's tables are as they were", now.lines().count()));
    // All that rows say is there, where the original looks for it.
    let lost = machine.run(&format!(
        "cd /var/lib/builder-web
        sqlite3 -readonly {DATABASE} 'SELECT console FROM build UNION SELECT script FROM build UNION
            SELECT printf(\"_artifacts/%.2s/%s\", lower(hex(sha256)), lower(hex(sha256))) FROM build_artifact' |
            while read -r path; do [ -f \"$path\" ] || echo \"$path\"; done"
    ))?;
    ensure!(lost.is_empty(), "these files are missing: {lost}");
    Ok(())
}

/// The original, which is back, stores a build; then ours comes again.
pub(super) fn comes_forward(machine: &Machine) -> Result<()> {
    step("the original stores a build, ours is installed again, and shows it");
    machine.run(&format!(
        "cat >/root/store <<'END'
set -e
cd /var/lib/builder-web
mkdir -p hello/{MEANWHILE} _artifacts/2d
printf x >_artifacts/2d/{MEANWHILE_SHA256}
printf '0.000s:meanwhile\\n' >hello/{MEANWHILE}/console.txt
: >hello/{MEANWHILE}/script.txt
sqlite3 builder.sqlite3 \"BEGIN;
INSERT INTO build VALUES (NULL, '{MEANWHILE}', 30000, 0, 30000, 0, 0, NULL, 'hello/{MEANWHILE}/console.txt',
    'hello/{MEANWHILE}/script.txt', 'debian-12', NULL, 2, 1, NULL);
INSERT INTO build_artifact SELECT NULL, 'bin/x', x'{MEANWHILE_SHA256}', 1, id FROM build WHERE uuid = '{MEANWHILE}';
UPDATE build SET main_binary = last_insert_rowid() WHERE uuid = '{MEANWHILE}';
COMMIT\"
END
        runuser -u builder -- sh </root/store"
    ))?;
    install(machine, "packages")?;
    machine.wait("it is healthy", &format!("curl -sf {SITE}/healthz"))?;
    let latest = machine.run(&format!("curl -sfL -H 'Accept: application/json' {SITE}/job/hello/build/latest"))?;
    expect(&latest, MEANWHILE)?;
    let found = machine.wait(
        "its digest is found",
        &format!("curl -sf -o /dev/null -w '%{{redirect_url}}' '{SITE}/hash?sha256={MEANWHILE_SHA256}'"),
    )?;
    seen(&found);
    seen(&machine.run("runuser -u builder -- builder-db check 2>&1")?);
    Ok(())
}
