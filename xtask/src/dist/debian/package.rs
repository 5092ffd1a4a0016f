//! One package: its files laid out as they will lie, what dpkg wants to know of them, and dpkg-deb over all.

use super::{Source, read};
use crate::command::{output, program, run};
use crate::dist::files::{copy, write};
use crate::dist::install;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The scripts that dpkg runs, where a package has them.
const SCRIPTS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];

/// Makes the package `name` of `control`; returns its path.
pub(super) fn make(source: &Source, name: &str) -> Result<PathBuf> {
    let stage = source.stage.join(name);
    let list = read(&source.debian.join(format!("{name}.install")))?;
    for file in install::copies(&list, &source.roots)? {
        copy(&file.from, &stage.join(file.to))?;
    }
    documents(source, name, &stage)?;
    rewrite_units(&stage.join("usr/lib/systemd/system"))?;
    let programs = files(&stage.join("usr/bin"))?;
    if !programs.is_empty() {
        output(program("strip", &["--strip-unneeded"]).args(&programs))?;
    }
    compress(&stage)?;
    control(source, name, &stage, &programs)?;
    modes(&stage)?;
    build(source, name, &stage)
}

/// What Debian's policy wants in the folder of the documents of every package.
fn documents(source: &Source, name: &str, stage: &Path) -> Result<()> {
    let folder = stage.join("usr/share/doc").join(name);
    copy(&source.debian.join("copyright"), &folder.join("copyright"))?;
    // As Debian calls the changes of a package whose version is the program's.
    copy(&source.stage.join("debian/changelog"), &folder.join("changelog"))?;
    let overrides = source.debian.join(format!("{name}.lintian-overrides"));
    if overrides.exists() {
        copy(&overrides, &stage.join("usr/share/lintian/overrides").join(name))?;
    }
    Ok(())
}

/// The units name the places of an installation by hand, below `/usr/local`.
fn rewrite_units(folder: &Path) -> Result<()> {
    for unit in files(folder)? {
        write(&unit, read(&unit)?.replace("/usr/local/", "/usr/").as_bytes())?;
    }
    Ok(())
}

/// Man pages and changes are compressed; `gzip -n` notes neither name nor time.
fn compress(stage: &Path) -> Result<()> {
    let mut pages = files(&stage.join("usr/share/man/man1"))?;
    pages.extend(all_files(&stage.join("usr/share/doc"))?.into_iter().filter(|path| path.ends_with("changelog")));
    if !pages.is_empty() {
        output(program("gzip", &["-n", "-9"]).args(pages))?;
    }
    Ok(())
}

/// Writes `DEBIAN/`: the fields, with what the programs link to, checksums, conffiles and scripts.
fn control(source: &Source, name: &str, stage: &Path, programs: &[PathBuf]) -> Result<()> {
    let folder = stage.join("DEBIAN");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let mut variables = "misc:Depends=\n".to_owned();
    if programs.is_empty() {
        variables.push_str("shlibs:Depends=\n");
    } else {
        let mut command = program("dpkg-shlibdeps", &["-O"]);
        command.args(programs).current_dir(&source.stage);
        variables.push_str(&String::from_utf8_lossy(&output(&mut command)?));
    }
    let substitutions = source.stage.join(format!("{name}.substvars"));
    write(&substitutions, variables.as_bytes())?;
    let mut command = program("dpkg-gencontrol", &["-cdebian/control", "-ldebian/changelog", "-fdebian/files"]);
    command.arg(format!("-p{name}")).arg(option("-T", &substitutions)).arg(option("-P", stage));
    command.arg(format!("-DArchitecture={}", source.architecture)).current_dir(&source.stage);
    output(&mut command)?;

    let below = |path: &Path| path.strip_prefix(stage).unwrap_or(path).to_string_lossy().into_owned();
    let installed: Vec<String> =
        all_files(stage)?.iter().map(|path| below(path)).filter(|path| !path.starts_with("DEBIAN/")).collect();
    let conffiles: String =
        installed.iter().filter(|path| path.starts_with("etc/")).map(|path| format!("/{path}\n")).collect();
    if !conffiles.is_empty() {
        write(&folder.join("conffiles"), conffiles.as_bytes())?;
    }
    let summed = installed.iter().filter(|path| !path.starts_with("etc/"));
    let sums = output(program("md5sum", &["--"]).args(summed).current_dir(stage))?;
    write(&folder.join("md5sums"), &sums)?;
    for script in SCRIPTS {
        let from = source.debian.join(format!("{name}.{script}"));
        if from.exists() {
            copy(&from, &folder.join(script))?;
        }
    }
    Ok(())
}

fn option(flag: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(flag);
    option.push(path);
    option
}

/// The same modes whatever the umask and the modes of the sources are: only what is run can be run.
fn modes(stage: &Path) -> Result<()> {
    let run_places = ["/usr/bin/", "/usr/share/builder-web/hooks/", "/DEBIAN/p"];
    output(program("chmod", &["-R", "u=rwX,go=rX"]).arg(stage))?;
    for path in all_files(stage)? {
        let shown = format!("/{}", path.strip_prefix(stage).unwrap_or(&path).to_string_lossy());
        let mode = if run_places.iter().any(|place| shown.starts_with(place)) { "755" } else { "644" };
        let mut chmod = program("chmod", &[mode]);
        output(chmod.arg(&path))?;
    }
    Ok(())
}

/// Packs. One thread, because the number of them can be seen in what xz writes.
fn build(source: &Source, name: &str, stage: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(&source.folder).with_context(|| format!("make {}", source.folder.display()))?;
    let mut command: Command = program("dpkg-deb", &["--root-owner-group", "--threads-max=1", "-Zxz", "--build"]);
    let without_epoch = source.version.split_once(':').map_or(source.version.as_str(), |(_, version)| version);
    let path = source.folder.join(format!("{name}_{without_epoch}_{}.deb", source.architecture));
    run(command.arg(stage).arg(&path).env("SOURCE_DATE_EPOCH", &source.epoch))?;
    Ok(path)
}

/// The files in a folder, sorted; none if there is no such folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(all_files(folder)?.into_iter().filter(|path| path.parent() == Some(folder)).collect())
}

/// The files in a folder and below it, sorted; none if there is no such folder.
fn all_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
            if path.is_dir() { found.extend(all_files(&path)?) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}
