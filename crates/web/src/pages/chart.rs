//! Durations and sizes of builds over time, drawn as SVG without style of its own. The drawing is stretched to the
//! width of the page; lines and points keep their size, and all words stand beside it as text.

use crate::database::listed::Listed;
use crate::pages::text;

/// The drawing's own units; the page scales it.
const WIDTH: i64 = 1000;
const HEIGHT: i64 = 100;
/// Platforms whose builds are joined by lines that can be told apart.
const LINES_MAX: usize = 4;

/// The charts of a list of builds.
#[derive(Debug)]
pub(crate) struct Charts {
    pub(crate) charts: Vec<Chart>,
    /// The platforms by their line; empty when there is one only.
    pub(crate) platforms: Vec<String>,
    pub(crate) first: String,
    pub(crate) last: String,
}

/// One chart.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// What it shows, in words.
    pub(crate) summary: String,
    pub(crate) newest: String,
    pub(crate) top: String,
    pub(crate) foot: String,
    /// For each platform the line through its builds, as a path.
    pub(crate) lines: Vec<String>,
    /// The good builds, as a path of dots.
    pub(crate) good: String,
    /// The failed builds, as a path of squares.
    pub(crate) bad: String,
}

struct Point {
    x: i64,
    value: i64,
    platform: usize,
    good: bool,
}

impl Charts {
    /// Charts of builds, newest first; none for fewer than two.
    pub(crate) fn of(builds: &[Listed]) -> Option<Self> {
        let (newest, oldest) = (builds.first()?.start, builds.last()?.start);
        let span = newest.milliseconds_since(oldest);
        if span <= 0 {
            return None;
        }
        let mut platforms: Vec<&str> = builds.iter().map(|build| build.platform.as_str()).collect();
        platforms.sort_unstable();
        platforms.dedup();
        let points = |value: &dyn Fn(&Listed) -> Option<i64>| {
            let point = |build: &Listed| {
                let since = i128::from(build.start.milliseconds_since(oldest));
                let x = since * i128::from(WIDTH) / i128::from(span);
                let platform = platforms.binary_search(&build.platform.as_str()).unwrap_or_default();
                Some(Point { x: i64::try_from(x).ok()?, value: value(build)?.max(0), platform, good: build.is_good() })
            };
            builds.iter().filter_map(point).collect::<Vec<_>>()
        };
        let durations = points(&|build| Some(build.duration()));
        let sizes = points(&|build| i64::try_from(build.size()?).ok().filter(|_| build.is_good()));
        let lines = if platforms.len() > LINES_MAX { 0 } else { platforms.len() };
        let bytes = |value: i64| text::bytes(u64::try_from(value).unwrap_or(0));
        let charts =
            [chart("Duration", &durations, lines, &text::span), chart("Size of the output", &sizes, lines, &bytes)];
        let many = lines > 1;
        Some(Self {
            charts: charts.into_iter().flatten().collect(),
            platforms: platforms.into_iter().filter(|_| many).map(str::to_owned).collect(),
            first: text::day(oldest),
            last: text::day(newest),
        })
    }
}

/// Draws points, the newest of which is the first.
fn chart(title: &'static str, points: &[Point], lines: usize, shown: &dyn Fn(i64) -> String) -> Option<Chart> {
    let newest = points.first()?.value;
    let most = points.iter().map(|point| point.value).max()?;
    let least = points.iter().map(|point| point.value).min()?;
    // Small differences of large values are what one looks for: then the foot is not zero.
    let foot = if least > most / 2 { least - ((most - least) / 6).max(least / 50).max(1) } else { 0 };
    let range = (most - foot).max(1);
    let y = |value: i64| {
        let height = i128::from(value - foot) * i128::from(HEIGHT) / i128::from(range);
        HEIGHT - i64::try_from(height).unwrap_or(HEIGHT)
    };
    let mut drawn = vec![String::new(); lines];
    let (mut good, mut bad) = (String::new(), String::new());
    for point in points {
        let (x, y) = (point.x, y(point.value));
        if let Some(line) = drawn.get_mut(point.platform) {
            put(line, if line.is_empty() { 'M' } else { 'L' }, x, y, "");
        }
        // A line without length is drawn as its two ends, a dot or a square, which the width of the page does not pull.
        put(if point.good { &mut good } else { &mut bad }, 'M', x, y, "h0");
    }
    let summary = format!(
        "{title} of {}: from {} to {}, newest {}.",
        text::count(points.len() as u64, "build", "builds"),
        shown(least),
        shown(most),
        shown(newest)
    );
    Some(Chart { title, summary, newest: shown(newest), top: shown(most), foot: shown(foot), lines: drawn, good, bad })
}

fn put(path: &mut String, command: char, x: i64, y: i64, rest: &str) {
    path.push(command);
    text::push_number(path, x);
    path.push(' ');
    text::push_number(path, y);
    path.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_stand_above_the_foot() {
        for value in [1, 18, 5_000_000] {
            let points = [1000, 0].map(|x| Point { x, value, platform: 0, good: true });
            let chart = chart("Size", &points, 1, &|value| value.to_string()).unwrap();
            assert_ne!(chart.top, chart.foot, "{value}");
            assert_eq!(chart.good, "M1000 0h0M0 0h0", "{value}");
        }
    }
}
