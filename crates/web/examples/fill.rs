//! Fills a new data folder with builds that are made up: `fill FOLDER [JOBS] [BUILDS OF EACH]`. Rows only, no files.
#![allow(clippy::unwrap_used, dead_code, reason = "an example for those who work on pages")]

#[path = "../tests/all/pages/fill.rs"]
mod fill;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, usual| arguments.get(index).map_or(usual, |text| text.parse().unwrap());
    let folder = std::path::Path::new(&arguments[0]);
    let now = jiff::Timestamp::now().as_millisecond();
    let newest = builder_model::Timestamp::from_milliseconds(now - 3_600_000).unwrap();
    fill::fill(folder, fill::Fill { jobs: number(1, 24), builds_each: number(2, 60), newest });
}
