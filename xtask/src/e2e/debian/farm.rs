//! A farm out of packages: installed, a job built and shown, rebooted and upgraded in the middle of builds, purged.

use super::super::machine::Machine;
use super::{Ground, expect, install, seen, step};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;

/// A job that ends only when it is told to: the file says so, and what happens before it is in the middle of a build.
const SLOW: &str = "echo in the middle; until [ -e /srv/go ]; do sleep 0.2; done; mkdir bin; echo slow > bin/slow.txt";
const HELLO: &str = "echo hello from $(cat /etc/debian_version); mkdir bin; echo made by a job > bin/hello.txt";
/// Paths that installing anything at all leaves behind, and what no package is asked to mind.
const NOT_OURS: [&str; 10] = [
    "/var/lib/dpkg/",
    "/var/lib/apt/",
    "/var/cache/",
    "/var/backups/",
    "/var/log/",
    "/var/lib/systemd/",
    "/var/tmp/systemd-private-",
    "/root/",
    "/srv/go",
    "/etc/.pwd.lock",
];
/// What has to stay: what was built, and when.
const DATA: [&str; 2] = ["/var/lib/builder/", "/var/lib/builder-web/"];

pub(super) fn story(ground: &Ground) -> Result<()> {
    step(&format!("{} is booted with systemd, in a container without a network", ground.distribution.name));
    let system = ground.system("farm")?;
    ground.tell(&system, "farm", |machine| {
        seen(&machine.run("cat /etc/debian_version; systemctl is-system-running --wait || true")?);
        let before = paths(machine)?;
        install_farm(machine)?;
        first_build(machine)?;
        reboot(machine)?;
        upgrade(machine)?;
        again(machine)?;
        check_repository(machine)?;
        backup(machine)?;
        purge(machine, &before)
    })
}

fn install_farm(machine: &Machine) -> Result<()> {
    step("the packages are installed: apt-get install ./*.deb");
    install(machine, "packages")?;
    let units = "builder-server.socket builder-server.service builder-web.service";
    seen(&machine.wait("the units are active", &format!("systemctl is-active {units}"))?);
    seen(&format!("127.0.0.1:3000/healthz: {}", machine.wait("it is healthy", "curl -sf 127.0.0.1:3000/healthz")?));
    let security = machine.ask("systemd-analyze security --no-pager builder-server builder-web 2>&1 || true")?;
    security.lines().filter(|line| line.contains("Overall")).for_each(seen);
    // What a program says last is an error for the journal, too.
    let broken = "systemd-run --quiet --wait --collect --unit=broken builder-web --configdir /nowhere || true; journalctl --sync";
    seen(&machine.run(&format!("{broken}; journalctl -u broken --priority err -o cat | grep 'does not exist'"))?);
    seen(&machine.run("stat -c '%U:%G %a %n' /var/lib/builder /var/lib/builder-web /etc/builder/builder-server.toml")?);

    step("a user of the repository, a token for the server, a worker for the platform debian-12");
    machine.run("echo a-long-password | runuser -u builder -- builder-db user-add farm --unrestricted")?;
    let token = machine.run("runuser -u builder -- builder-db token-add farm server")?;
    let token = token.split_whitespace().max_by_key(|word| word.len()).context("token-add printed no token")?;
    let settings = "/etc/builder/builder-server.toml";
    machine.run(&format!(
        "printf 'upload = \"http://farm:%s@127.0.0.1:3000/upload\"\\nmetrics = [\"127.0.0.1:9123\"]\\n' '{token}' \
         >> {settings}; systemctl restart builder-server; systemctl enable --now builder-worker@debian-12 2>&1"
    ))?;
    seen(&machine.wait("the worker waits", "builder-client info | grep -i debian-12")?);
    seen(&machine.wait("the server is healthy", "curl -sf 127.0.0.1:9123/healthz")?);
    Ok(())
}

/// Puts a job on the schedule.
fn schedule(machine: &Machine, name: &str, script: &str) -> Result<()> {
    std::fs::write(machine.root.join("root").join(name), script).context("write a script")?;
    machine.run(&format!("builder-client schedule {name} debian-12 /root/{name} --period daily")).map(drop)
}

fn first_build(machine: &Machine) -> Result<()> {
    step("a job is scheduled; its build is shown by the repository");
    schedule(machine, "hello", HELLO)?;
    machine.wait("the build is in the repository", "curl -sfL 127.0.0.1:3000/job/hello/build/latest/ >/root/page")?;
    seen(&machine.run("builder-client builds --job hello; builder-client uploads")?);
    let page = machine.run("cat /root/page")?;
    expect(&page, "hello.txt")?;
    let title = page.split("<title>").nth(1).and_then(|behind| behind.split("</title>").next());
    seen(&format!("curl 127.0.0.1:3000/job/hello/build/latest/: {}", title.context("the page has no title")?));
    let artifact = machine.run("curl -sfL 127.0.0.1:3000/job/hello/build/latest/f/bin/hello.txt")?;
    seen(&format!("bin/hello.txt: {artifact}"));
    expect(&artifact, "made by a job")
}

/// The UUID of the build of the job `slow` that runs, once its script does, for the `attempt`th time.
fn running(machine: &Machine, attempt: u32) -> Result<String> {
    let script = format!(
        "uuid=$(builder-client info --format json | grep -o '\"uuid\":\"[^\"]*' | cut -d'\"' -f4); test -n \"$uuid\"; \
         console=/var/lib/builder/builder-server.console/$uuid.log; \
         test $(grep -ao 'in the middle' $console | wc -l) = {attempt}; echo $uuid"
    );
    Ok(machine.wait("the build runs", &script)?.trim().to_owned())
}

/// Lets the build of the job `slow` end, and shows how it did.
fn let_it_end(machine: &Machine, uuid: &str) -> Result<()> {
    machine.run("touch /srv/go")?;
    let ended = format!("builder-client builds --job slow | grep {uuid}");
    let line = machine.wait("the build has ended", &ended)?;
    seen(&machine.run(&format!("builder-client log {uuid}"))?);
    seen(&line);
    expect(&machine.run(&format!("builder-client builds --job slow --format json | grep {uuid}"))?, "\"success\":true")
}

fn reboot(machine: &mut Machine) -> Result<()> {
    step("the system is rebooted in the middle of a build");
    schedule(machine, "slow", SLOW)?;
    let uuid = running(machine, 1)?;
    seen(&format!("the build {uuid} runs"));
    machine.reboot()?;
    seen("the system is up again");
    let again = running(machine, 2)?;
    ensure!(uuid == again, "another build runs: {again}, not {uuid}");
    seen(&format!("the build {again} runs again"));
    let_it_end(machine, &uuid)
}

fn upgrade(machine: &Machine) -> Result<()> {
    step("the packages are upgraded to a newer version in the middle of a build");
    machine.run("rm /srv/go; builder-client execute slow")?;
    let uuid = running(machine, 1)?;
    seen(&format!("the build {uuid} runs"));
    let server = "systemctl show --property MainPID --value builder-server builder-worker@debian-12";
    let before = machine.run(server)?;
    install(machine, "newer")?;
    let versions = machine.run("dpkg-query -W 'builder*'")?;
    seen(&versions);
    expect(&versions, super::NEWER)?;
    ensure!(before != machine.run(server)?, "the server and the worker were not restarted");
    let again = running(machine, 2)?;
    ensure!(uuid == again, "another build runs: {again}, not {uuid}");
    seen(&format!("the build {again} runs again, under the new server and the new worker"));
    let kept = machine.run("cat /etc/builder/builder-server.toml")?;
    expect(&kept, "upload = \"http://farm:")?;
    let_it_end(machine, &uuid)
}

fn again(machine: &Machine) -> Result<()> {
    step("the packages are removed and installed again: settings and data were kept, and the worker is back");
    let units = "systemctl is-active builder-server.socket builder-server builder-web builder-worker@debian-12 || true";
    machine.run("apt-get remove --yes 'builder*' 2>&1")?;
    let off = machine.run(units)?;
    ensure!(!off.lines().any(|state| state == "active"), "still there without its package: {off}");
    install(machine, "newer")?;
    let running = format!("test \"$({{ {units}; }} | sort -u)\" = active; {units}");
    seen(&machine.wait("all units are active", &running)?);
    let info = machine.run("builder-client info")?;
    ensure!(info.contains("hello") && info.contains("slow"), "the schedule is gone: {info}");
    // Once more, over itself: what is done twice is done.
    machine.run("dpkg --install /root/newer/*.deb 2>&1")?;
    machine.wait("all units are active", &running).map(drop)
}

fn check_repository(machine: &Machine) -> Result<()> {
    step("everything that was built is in the repository, and both data folders are in good order");
    machine
        .wait("nothing waits to be uploaded", "builder-client builds --format json | grep -vq '\"uploaded\":null'")?;
    seen(&machine.run("builder-client builds; builder-client uploads")?);
    seen(&machine.run("runuser -u builder -- builder-db check 2>&1")?);
    seen(&machine.run("runuser -u builder -- builder-server check")?);
    let artifact = machine.run("curl -sfL 127.0.0.1:3000/job/slow/build/latest/f/bin/slow.txt")?;
    expect(&artifact, "slow")
}

/// With the commands of docs/operations.md.
fn backup(machine: &Machine) -> Result<()> {
    step("a backup of the server is made while it runs, checked, and restored");
    machine.run(
        "install -d -o builder -g builder -m 750 /backup/builder
        runuser -u builder -- builder-server backup /backup/builder",
    )?;
    seen(&machine.run("builder-server check --dir /backup/builder")?);
    schedule(machine, "later", HELLO)?;
    machine.wait("the build has ended", "builder-client builds --job later | grep later")?;
    machine.run(
        "systemctl stop builder-server.socket builder-server.service
        mv /var/lib/builder /var/lib/builder.damaged
        cp -a /backup/builder /var/lib/builder && chown -R builder:builder /var/lib/builder
        systemctl start builder-server.socket builder-server.service",
    )?;
    let info = machine.wait("the server is back", "builder-client info; builder-client builds")?;
    seen(&info);
    ensure!(info.contains("slow") && !info.contains("later"), "this is not the farm of the backup: {info}");
    seen(&machine.run("runuser -u builder -- builder-server check")?);
    machine.run("rm -r /backup /var/lib/builder.damaged").map(drop)
}

/// All paths of the system that stay over a boot.
fn paths(machine: &Machine) -> Result<BTreeSet<String>> {
    let found =
        machine.run("find / -xdev -not -path '/proc/*' -not -path '/sys/*' -not -path '/run/*' -not -path '/tmp/*'")?;
    Ok(found.lines().map(str::to_owned).collect())
}

fn purge(machine: &Machine, before: &BTreeSet<String>) -> Result<()> {
    step("the packages are purged: nothing is left but data");
    let said = machine.run("apt-get purge --yes 'builder*' 2>&1")?;
    said.lines().filter(|line| line.starts_with("builder-")).for_each(seen);
    let after = paths(machine)?;
    let ignored = |path: &&String| !NOT_OURS.iter().any(|prefix| path.starts_with(prefix));
    let left: Vec<&String> = after.difference(before).filter(ignored).collect();
    let data = |path: &str| DATA.iter().any(|folder| format!("{path}/").starts_with(folder));
    // What is written anew when an account is made is not a file more that matters: /etc/passwd- and its like.
    let strange: Vec<_> =
        left.iter().filter(|path| !(data(path) || path.starts_with("/etc/") && path.ends_with('-'))).collect();
    seen(&format!(
        "left: {} files and folders of data, and nothing else",
        left.iter().filter(|path| data(path)).count()
    ));
    ensure!(strange.is_empty(), "these were left behind: {strange:?}");
    let gone: Vec<&String> = before.difference(&after).filter(ignored).collect();
    ensure!(gone.is_empty(), "these were there before: {gone:?}");
    ensure!(after.iter().any(|path| path.ends_with("builder-server.sqlite3")), "the database of the server is gone");
    ensure!(after.iter().any(|path| path.starts_with("/var/lib/builder-web/")), "what was built is gone");
    let alive = machine.ask("pgrep --list-full builder; systemctl list-units --all --plain --no-legend 'builder*'")?;
    ensure!(alive.trim().is_empty(), "still there: {alive}");
    seen("no process and no unit is left");
    let users = machine.run("getent passwd builder; ! getent passwd builder-worker")?;
    seen(&format!(
        "the data belongs to {}; the user builder-worker is gone",
        users.split(':').next().unwrap_or_default()
    ));
    Ok(())
}
