//! The users that a job finds inside: those that its root file system has, and always `build`.

/// The number of the user and the group `build`, inside.
pub const BUILD_ID: u32 = 1000;
/// Their name.
pub const BUILD_NAME: &str = "build";

/// What stands in `/etc/passwd` where the root file system has none of its own.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
/// What stands in `/etc/group` there.
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// The users inside, after those of the root file system.
pub fn passwd(own: Option<&str>) -> String {
    let home = crate::BUILD_FOLDER;
    with(own.unwrap_or(PASSWD), &format!("{BUILD_NAME}:x:{BUILD_ID}:{BUILD_ID}:build:{home}:/bin/sh"))
}

/// The groups inside, after those of the root file system.
pub fn group(own: Option<&str>) -> String {
    with(own.unwrap_or(GROUP), &format!("{BUILD_NAME}:x:{BUILD_ID}:"))
}

/// The lines, but for those with the name or number of ours, and ours.
fn with(lines: &str, ours: &str) -> String {
    let number = BUILD_ID.to_string();
    let is_other = |line: &&str| {
        let mut fields = line.split(':');
        let name = fields.next();
        name != Some(BUILD_NAME) && fields.nth(1) != Some(number.as_str())
    };
    let mut text: String = lines.lines().filter(is_other).map(|line| format!("{line}\n")).collect();
    text.push_str(ours);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_is_always_there_and_once() {
        let own = "root:x:0:0::/root:/bin/bash\nme:x:1000:1000::/srv/me:/bin/bash\nbuild:x:7:7::/:/bin/false";
        assert_eq!(passwd(Some(own)), "root:x:0:0::/root:/bin/bash\nbuild:x:1000:1000:build:/build:/bin/sh\n");
        assert_eq!(group(Some("users:x:100:me\n")), "users:x:100:me\nbuild:x:1000:\n");
        assert!(passwd(None).starts_with("root:") && group(None).ends_with("build:x:1000:\n"));
    }
}
