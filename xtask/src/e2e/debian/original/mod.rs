//! An installed original, taken over and given back: its packages with their units, its data folders and its
//! configuration are there before. This file has the packages that stand for the original's, and the order of things.

mod server;
mod web;

use super::super::machine::Machine;
use super::{Ground, expect, install, seen, step};
use crate::command::{output, program};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// A package that stands for one of the original's: same name, same paths, and a program that runs and does nothing.
struct Package {
    name: &'static str,
    version: &'static str,
    unit: &'static str,
    /// The folder whose files its user gets, as the original's postinst has it.
    data: &'static str,
    /// What else is in it, by its path: programs, all of them.
    programs: &'static [(&'static str, &'static str)],
    /// Those of them that are settings.
    conffiles: &'static [&'static str],
}

pub(super) fn story(ground: &Ground) -> Result<()> {
    let name = ground.distribution.name;
    step(&format!(
        "another {name} has the original: its packages, units, folders with a state, a record, a repository"
    ));
    let system = ground.system("original")?;
    let record = server::lay_out(&system)?;
    let pages = web::lay_out(&system)?;
    ground.tell(&system, "original", |machine| {
        for package in [&server::PACKAGE, &web::PACKAGE] {
            package.install(machine)?;
        }
        let before = web::rows(machine)?;
        // What root did with the original's tools belongs to root.
        machine.run(
            "chown -R root:root /var/lib/builder/test /var/lib/builder-web/hello /var/lib/builder-web/_artifacts",
        )?;
        seen(&machine.run(
            "dpkg-query -W 'builder*'; find /var/lib/builder /etc/builder -type f -printf '%u:%g %m %s %p\\n'
            du --summarize --human-readable /var/lib/builder-web",
        )?);

        step("our packages are installed over it");
        install(machine, "packages")?;
        seen(&machine.run("dpkg-query -W 'builder*'")?);
        server::is_taken_over(machine)?;
        server::compare(machine, &record)?;
        web::is_taken_over(machine, &pages)?;
        web::is_used(machine, &record)?;
        web::compare(machine, &before)?;
        for package in [&server::PACKAGE, &web::PACKAGE] {
            package.comes_back(machine)?;
        }
        web::compare(machine, &before)?;
        web::comes_forward(machine)
    })
}

impl Package {
    /// Writes what the package is made of into a system that does not run yet.
    fn lay_out(&self, system: &Path) -> Result<()> {
        let Self { name, version, unit, data, programs, conffiles } = self;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@packages.invalid>\n\
             Description: stands for the original\n"
        );
        let postinst = format!(
            "#!/bin/sh\nset -e\ngetent group builder >/dev/null || groupadd -g 497 builder\n\
             getent passwd builder >/dev/null || useradd -g 497 -u 497 -d /nonexistent -s /usr/sbin/nologin builder\n\
             mkdir -p {data}; chown -R builder:builder {data}\n"
        );
        let conffiles: String = conffiles.iter().map(|path| format!("/{path}\n")).collect();
        let write = |path: &str, text: &str| write(system, &format!("root/original/{name}/{path}"), text.as_bytes());
        write("DEBIAN/control", &control)?;
        write("DEBIAN/postinst", &postinst)?;
        write("DEBIAN/conffiles", &conffiles)?;
        write(&format!("usr/lib/systemd/system/{name}.service"), unit)?;
        for (path, text) in *programs {
            write(path, text)?;
        }
        let mut chmod = program("chmod", &["-R", "755"]);
        output(chmod.arg(system.join("root/original").join(name))).map(drop)
    }

    fn install(&self, machine: &Machine) -> Result<()> {
        let name = self.name;
        let script = format!(
            "cd /root/original; dpkg-deb --root-owner-group --build {name} {name}.deb; dpkg -i {name}.deb
            systemctl enable --now {name}.service 2>&1; systemctl is-active {name}.service"
        );
        expect(&machine.run(&script)?, "active")
    }

    /// The way back of docs/operations.md.
    fn comes_back(&self, machine: &Machine) -> Result<()> {
        let Self { name, version, .. } = self;
        step(&format!("the way back: the original's package {name} is installed over ours"));
        let script = format!(
            "systemctl stop 'builder-server.*' builder-web.service
            apt-get install --yes --allow-downgrades /root/original/{name}.deb 2>&1
            systemctl daemon-reload
            systemctl enable --now {name}.service 2>&1"
        );
        let said = machine.run(&script)?;
        said.lines().filter(|line| line.contains("builder") && !line.starts_with("Get:")).for_each(seen);
        machine.wait("the original runs", &format!("systemctl is-active {name}.service"))?;
        let installed = machine.run(&format!("dpkg-query -W {name}; systemctl show -p ExecStart {name}.service"))?;
        expect(&installed, version)?;
        let lost = machine.run(&format!("dpkg -L {name} | while read -r path; do [ -e $path ] || echo $path; done"))?;
        ensure!(lost.is_empty(), "these files of {name} went with those of ours: {lost}");
        Ok(())
    }
}

/// Writes a file into a system that does not run yet.
fn write(system: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let path = system.join(path);
    let folder = path.parent().context("a path without a folder")?;
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, bytes));
    written.with_context(|| format!("write {}", path.display()))
}
