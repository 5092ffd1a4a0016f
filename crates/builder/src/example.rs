//! The example package as a job: a script that carries its sources with it, so that nothing is fetched.

/// The files of `examples/hello`, each with its mode.
const FILES: [(&str, &str, &str); 7] = [
    ("configure", "755", include_str!("../../../examples/hello/configure")),
    ("Makefile", "644", include_str!("../../../examples/hello/Makefile")),
    ("README", "644", include_str!("../../../examples/hello/README")),
    ("src/main.c", "644", include_str!("../../../examples/hello/src/main.c")),
    ("src/greeting.c", "644", include_str!("../../../examples/hello/src/greeting.c")),
    ("src/greeting.h", "644", include_str!("../../../examples/hello/src/greeting.h")),
    ("test/run.sh", "644", include_str!("../../../examples/hello/test/run.sh")),
];

/// What the job does once its sources are there.
const JOB: &str = include_str!("../../../examples/hello/job.sh");

/// The script of the example job.
pub(crate) fn script() -> String {
    let mut script = String::from("#!/bin/sh\n# The sources of the package:\nset -eu\nmkdir -p hello/src hello/test\n");
    for (path, mode, text) in FILES {
        script.push_str(&format!("cat > hello/{path} <<'END-OF-FILE'\n{text}END-OF-FILE\nchmod {mode} hello/{path}\n"));
    }
    script.push_str(JOB);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_can_be_carried_in_a_script() {
        for (path, _, text) in FILES {
            assert!(text.ends_with('\n') && !text.contains("END-OF-FILE"), "{path}");
        }
    }
}
