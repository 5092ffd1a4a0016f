//! Debian packages on their way from a build to a machine: by the hook that is shipped and a real aptly into a
//! repository that a real apt-get reads.

use super::shipped::{SHELLS, Tools, of_package, script};
use crate::site::Told;
use builder_web::Digest;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// As on BSD, where `-i` has an argument: what GNU sed understands beyond POSIX is an error.
const SED: &str =
    "case $1 in -i*) echo 'sed: BSD and GNU differ here' >&2; exit 1 ;; esac\nexec /bin/sed --posix \"$@\"\n";
const USER: &str = "repository@example.org";

/// The home of a repository: the keys that sign it, what aptly keeps, what it publishes, and a machine that has nothing
/// but this repository.
struct Home(Tools);

impl Home {
    fn new() -> Self {
        let home = Self(Tools::new(&[("sed", SED)]));
        home.0.build_ended_with(0);
        home.gpg(&["--quick-generate-key", USER, "ed25519", "sign", "never"]);
        let key = home.gpg(&["--export"]).stdout;
        for folder in ["apt/lists/partial", "apt/cache/archives/partial"] {
            fs::create_dir_all(home.file(folder)).unwrap();
        }
        fs::write(home.file("apt/key.gpg"), key).unwrap();
        fs::write(home.file("apt/status"), "").unwrap();
        home
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    fn gpg(&self, arguments: &[&str]) -> Output {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]).args(arguments);
        succeeds(gpg.env("HOME", self.file("")).env_remove("GNUPGHOME"))
    }

    /// Runs the hook for a package, which is said to be from this build.
    fn told(&self, shell: &[&str], sha256: &str, package: &Path) -> String {
        self.0.runs(shell, "dpkg-repo.sh", &of_package("bin/hello.deb", sha256, package))
    }

    fn aptly(&self, arguments: &[&str]) -> String {
        let output = succeeds(Command::new("aptly").args(arguments).env("HOME", self.file("")));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asks apt-get as somebody does whose machine trusts the repository.
    fn apt_get(&self, arguments: &[&str]) -> Output {
        let (apt, public) = (self.file("apt"), self.file(".aptly/public"));
        let source =
            format!("deb [signed-by={}] file://{} debian-12 main\n", apt.join("key.gpg").display(), public.display());
        fs::write(apt.join("sources.list"), source).unwrap();
        let mut command = Command::new("apt-get");
        for (key, value) in [
            ("Dir::Etc::main", "/dev/null".into()),
            ("Dir::Etc::parts", "/dev/null".into()),
            ("Dir::Etc::sourcelist", apt.join("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
            ("Dir::State", apt.clone()),
            ("Dir::State::status", apt.join("status")),
            ("Dir::Cache", apt.join("cache")),
            ("APT::Sandbox::User", "root".into()),
            ("APT::Architecture", "amd64".into()),
        ] {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        }
        succeeds(command.args(arguments).current_dir(apt))
    }

    /// The package `hello` as apt-get finds, checks and fetches it.
    fn fetched(&self) -> PathBuf {
        self.apt_get(&["update", "--error-on=any"]);
        let packages = || {
            let entries = fs::read_dir(self.file("apt")).unwrap().map(|entry| entry.unwrap().path());
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect::<Vec<_>>()
        };
        packages().iter().for_each(|old| fs::remove_file(old).unwrap());
        self.apt_get(&["download", "hello"]);
        packages().pop().unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Its agent would look after keys that are gone.
        let ended = Command::new("gpgconf").args(["--kill", "all"]).env("HOME", self.file("")).status();
        assert!(ended.is_ok_and(|status| status.success()));
    }
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

fn package(folder: &Path, version: &str, architecture: &str) -> PathBuf {
    let root = folder.join("unpacked");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::write(root.join("usr/bin/hello"), format!("hello of {version}")).unwrap();
    let control = format!(
        "Package: hello\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: A <a@example.org>\n\
         Description: says hello\n Version: of this line nothing changes\n"
    );
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    let package = folder.join("hello.deb");
    succeeds(Command::new("dpkg-deb").arg("--root-owner-group").arg("-b").arg(root).arg(&package));
    package
}

fn fields(package: &Path) -> String {
    String::from_utf8(succeeds(Command::new("dpkg-deb").arg("-f").arg(package)).stdout).unwrap()
}

#[test]
fn apt_get_has_the_newest_package_that_the_hook_gave_to_aptly_with_sqlite3() {
    for shell in SHELLS {
        let home = Home::new();
        let make = |version| package(&home.file(""), version, "all");
        home.0.runs(shell, "dpkg-repo.sh", &of_package("bin/hello", "ab", &make("1.2.3")));
        assert!(!home.file(".aptly").exists(), "only packages");

        home.told(shell, "ab12", &make("1.2.3"));
        let first = fields(&home.fetched());
        assert!(first.contains("\nVersion: 1.2.3-0-g0000000-20260102030405-ab12\n"), "{first}");
        assert!(first.contains("\n Version: of this line nothing changes\n"), "{first}");

        // Told again, there is nothing to add; another build takes its place.
        let said = home.told(shell, "ab12", &make("1.2.3"));
        assert!(said.starts_with("ab12 is in the repository debian-12 already\n"), "{said}");
        home.told(shell, "cd34", &make("1.2.3-45-gabcdef0"));
        let second = fields(&home.fetched());
        assert!(second.contains("\nVersion: 1.2.3-45-gabcdef0-20260102030405-cd34\n"), "{second}");
        let known = home.aptly(&["repo", "show", "-with-packages", "debian-12"]);
        assert!(known.contains("cd34") && !known.contains("ab12"), "{known}");

        // One that comes late, when its hook is tried again, and one whose tests failed after its package was made.
        let mut late = of_package("bin/hello.deb", "ab12", &make("1.2.3"));
        late.push("--build-time=20260102030404".into());
        let said = home.0.runs(shell, "dpkg-repo.sh", &late);
        assert_eq!(said, "a newer hello is in the repository debian-12, and stays\n");
        home.0.build_ended_with(1);
        let said = home.told(shell, "ef56", &make("1.2.4"));
        assert_eq!(said, "bin/hello.deb is of a build that failed, and is not published\n");
        home.0.build_ended_with(0);
        let known = home.aptly(&["repo", "show", "-with-packages", "debian-12"]);
        assert_eq!(known.matches("hello_").count(), 1, "{known}");
        assert!(known.contains("cd34"), "{known}");

        for bad in ["1.2", "1.2.3~rc1", "1.2.3-45-gxyz", "1:1.2.3"] {
            let said = home.0.fails(shell, "dpkg-repo.sh", &of_package("bin/hello.deb", "ef56", &make(bad)));
            assert!(said.contains("neither X.Y.Z nor X.Y.Z-N-gHASH"), "{said}");
        }
    }
}

#[test]
fn what_aptly_could_not_publish_is_published_the_next_time_with_sqlite3() {
    let home = Home::new();
    let hello = package(&home.file(""), "1.2.3", "amd64");
    let arguments = of_package("bin/hello.deb", "ab12", &hello);
    let keys = home.file(".gnupg");
    fs::rename(&keys, home.file("keys")).unwrap();
    home.0.fails(SHELLS[0], "dpkg-repo.sh", &arguments);
    if keys.exists() {
        fs::remove_dir_all(&keys).unwrap();
    }
    fs::rename(home.file("keys"), &keys).unwrap();
    home.told(SHELLS[0], "ab12", &hello);
    assert!(fields(&home.fetched()).contains("-ab12\n"));

    // A name that every repository may have: packages of one do not disturb another.
    let mut other = of_package("bin/hello.deb", "cd34", &package(&home.file(""), "1.2.3", "amd64"));
    other.push("--platform=debian-13".into());
    home.0.runs(SHELLS[0], "dpkg-repo.sh", &other);
    assert!(fields(&home.fetched()).contains("-ab12\n"));

    let arm = package(&home.file(""), "1.2.4", "arm64");
    let said = home.0.fails(SHELLS[0], "dpkg-repo.sh", &of_package("bin/hello.deb", "ef56", &arm));
    assert!(said.contains("debian-12 is published for amd64 only, not for arm64"), "{said}");
}

#[tokio::test]
async fn a_package_of_dpkg_deb_goes_from_its_upload_by_aptly_and_sqlite3_to_page_and_apt_get() {
    let home = Home::new();
    let package = fs::read(package(&home.file(""), "1.2.3", "all")).unwrap();
    // A hook has the environment of the server; this one gets what an operator would put there.
    let (folder, shipped) = (home.file(""), script("dpkg-repo.sh"));
    let hook = format!(
        "#!/bin/sh\nexport TMPDIR='{folder}' REPO_HOME='{folder}' REPO_KEYID={USER}\nexec '{}' \"$@\"\n",
        shipped.display(),
        folder = folder.display(),
    );
    let running = super::Running::new(&[("dpkg-repo.sh", &hook)], |_| {}).await;
    let told = Told::new(1).files(&[("hello_1.2.3_all.deb", &package), ("hello_1.2.3.changes", b"Format: 1.8\n")]);
    running.upload(&told).await;
    let runs = running.ended().await;
    assert_eq!((runs[0].state.as_str(), runs[0].status), ("done", Some(0)), "{runs:?}");
    let sha256 = Digest::of(&package).to_string();
    let fetched = home.fetched();
    let version = fields(&fetched);
    assert!(version.contains(&format!("\nVersion: 1.2.3-0-g0000000-20240905130000-{sha256}\n")), "{version}");
    succeeds(Command::new("dpkg-deb").arg("-x").arg(fetched).arg(home.file("installed")));
    assert_eq!(fs::read_to_string(home.file("installed/usr/bin/hello")).unwrap(), "hello of 1.2.3");

    let page = running.site.get(&told.page()).await.text();
    let file = format!("{}/f/hello_1.2.3_all.deb", told.page());
    for shown in ["Main binary", &sha256, &format!("href=\"{file}\""), "Judged by"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert_eq!(running.site.get(&format!("{}/main-binary", told.page())).await.location(), file);
    let sent = running.site.get(&file).await;
    assert!(sent.body == package, "what comes back is the package");
    assert!(sent.header("content-disposition").unwrap().starts_with("attachment"));
}
