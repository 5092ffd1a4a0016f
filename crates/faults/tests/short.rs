//! A short run on the programs of this build: whatever goes wrong, nothing may be lost, doubled, stuck or orphaned.

use std::path::Path;
use std::process::Command;

#[test]
fn nothing_is_lost_in_a_short_run() {
    let program = Path::new(env!("CARGO_BIN_EXE_builder-faults"));
    let folder = program.parent().unwrap();
    for name in ["builder-server", "builder-worker"] {
        let hint = "`cargo build --workspace --bins` makes it; `cargo xtask test` does so first";
        assert!(folder.join(name).exists(), "{name} is not beside {}: {hint}", program.display());
    }
    let run = Command::new(program).args(["--rounds", "20", "--seed", "1", "--seconds", "40"]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    println!("{said}");
    assert!(run.status.success(), "{}", run.status);
    let words: Vec<&str> = said.split_ascii_whitespace().collect();
    for count in ["damaged", "misbehaved", "lost", "doubled", "stuck", "orphans"] {
        assert!(words.windows(2).any(|pair| pair == [count, "0"]), "{count}");
    }
}
