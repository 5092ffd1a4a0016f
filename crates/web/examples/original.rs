//! Makes a data folder as the original leaves one, and prints the addresses of what it shows: `original FOLDER`. Nothing
//! else is printed. The users and their passwords are those of the tests that take such a folder over.
#![allow(clippy::unwrap_used, clippy::print_stdout, dead_code, reason = "an example for those who try a takeover")]

#[path = "../tests/all/original/folder.rs"]
mod folder;

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    folder::fill(folder.as_ref());
    folder::targets().iter().for_each(|target| println!("{target}"));
}
