//! What things cost against their size, drawn as SVG from the JSON lines of a run. A flat line is a cost that does not
//! grow. Both axes are logarithmic, and no axis is shorter than two decades, so that flat looks flat.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is drawn.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The results of a run
    #[arg(value_name = "FILE.jsonl")]
    results: PathBuf,
    /// Where the picture goes
    #[arg(value_name = "FILE.svg")]
    picture: PathBuf,
}

const PANEL_WIDTH: f64 = 440.0;
const PANEL_HEIGHT: f64 = 290.0;
/// The room around the axes of a panel: left, top, right, bottom.
const MARGINS: [f64; 4] = [62.0, 58.0, 18.0, 44.0];
/// Two hues that people who see few colours can tell apart; the shapes of the points differ, too.
const COLOURS: [&str; 2] = ["#1f6fb2", "#c8571b"];

/// One diagram.
#[derive(Debug)]
struct Panel {
    title: &'static str,
    x_label: &'static str,
    y_label: &'static str,
    series: Vec<Series>,
}

/// One line in it.
#[derive(Debug)]
struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// Draws.
pub(crate) fn run(options: &Options) -> Result<()> {
    let text = std::fs::read_to_string(&options.results);
    let text = text.with_context(|| format!("read {}", options.results.display()))?;
    let results: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("read results")?;
    std::fs::write(&options.picture, draw(&panels(&results)))
        .with_context(|| format!("write {}", options.picture.display()))
}

fn panels(results: &[Value]) -> Vec<Panel> {
    let series = |name, case: &str, x: &str, y: &str, scale: fn(f64, f64) -> (f64, f64)| Series {
        name,
        points: points(results, case, x, y, scale),
    };
    vec![
        Panel {
            title: "a job, as the schedule grows",
            x_label: "entries on the schedule",
            y_label: "µs",
            series: vec![
                series("time per job, 8 workers", "growth", "entries", "jobs_per_s_median", |x, y| (x, 1e6 / y)),
                series("schedule command, p50", "growth", "entries", "schedule_p50_ms", |x, y| (x, y * 1000.0)),
            ],
        },
        Panel {
            title: "waking one worker, as more of them wait",
            x_label: "workers that wait",
            y_label: "µs",
            series: vec![
                series("p50", "idle", "workers", "wake_p50_ms", |x, y| (x, y * 1000.0)),
                series("p99", "idle", "workers", "wake_p99_ms", |x, y| (x, y * 1000.0)),
            ],
        },
        Panel {
            title: "a line of a console, as the build says more",
            x_label: "lines",
            y_label: "µs",
            series: vec![series("time per line, no observer", "console", "lines", "lines_per_s", |x, y| (x, 1e6 / y))],
        },
        Panel {
            title: "peak memory of the server",
            x_label: "MB that one build hands in",
            y_label: "MiB",
            series: vec![
                series("artifacts", "ingest", "megabytes", "server_peak_kb", |x, y| (x, y / 1024.0)),
                series("console", "console", "lines", "server_peak_kb", |x, y| (x * 80.0 / 1e6, y / 1024.0)),
            ],
        },
    ]
}

/// The points of a line, the last one where a size was measured several times; with observers only what has none.
fn points(results: &[Value], case: &str, x: &str, y: &str, scale: fn(f64, f64) -> (f64, f64)) -> Vec<(f64, f64)> {
    let of_case =
        results.iter().filter(|result| result["case"] == case && result["observers"].as_u64().unwrap_or(0) == 0);
    let numbers = of_case.filter_map(|result| Some((result[x].as_f64()?, result[y].as_f64()?)));
    let scaled = numbers.map(|(x, y)| scale(x, y)).filter(|(x, y)| *x > 0.0 && *y > 0.0 && y.is_finite());
    let by_size: BTreeMap<u64, (f64, f64)> = scaled.map(|point| (point.0.to_bits(), point)).collect();
    by_size.into_values().collect()
}

/// An axis in decades.
#[derive(Debug, Clone, Copy)]
struct Axis {
    first: i32,
    last: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let most = values.fold(f64::NEG_INFINITY, f64::max).log10().ceil();
        let (first, last) = if least.is_finite() && most.is_finite() { (least as i32, most as i32) } else { (0, 2) };
        // Two decades at least, the shorter half of what is missing below.
        let missing = (2 - (last - first)).max(0);
        Self { first: first - missing / 2, last: last + missing - missing / 2, from, to }
    }

    fn place(self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        self.from + share * (self.to - self.from)
    }

    fn decades(self) -> impl Iterator<Item = (f64, String)> {
        (self.first..=self.last).map(move |power| (self.place(10_f64.powi(power)), decade(power)))
    }
}

fn decade(power: i32) -> String {
    let scaled = |power: i32, unit: &str| format!("1{}{unit}", "0".repeat(usize::try_from(power).unwrap_or(0)));
    match power {
        ..0 => format!("{}", 10_f64.powi(power)),
        0..3 => scaled(power, ""),
        3..6 => scaled(power - 3, "k"),
        6.. => scaled(power - 6, "M"),
    }
}

fn draw(panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(2);
    let (width, height) = (PANEL_WIDTH * 2.0, PANEL_HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#333\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let (x, y) = ((index % 2) as f64 * PANEL_WIDTH, (index / 2) as f64 * PANEL_HEIGHT);
        svg.push_str(&format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", panel.draw()));
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn draw(&self) -> String {
        let [left, top, right, bottom] = MARGINS;
        let (right, bottom) = (PANEL_WIDTH - right, PANEL_HEIGHT - bottom);
        let points = self.series.iter().flat_map(|series| series.points.iter().copied());
        let x = Axis::new(points.clone().map(|point| point.0), left, right);
        let y = Axis::new(points.map(|point| point.1), bottom, top);
        let mut svg =
            format!("<text x=\"{left}\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{}</text>\n", self.title);
        for (at, label) in x.decades() {
            line(&mut svg, (at, top), (at, bottom));
            label_at(&mut svg, at, bottom + 16.0, "middle", &label);
        }
        for (at, label) in y.decades() {
            line(&mut svg, (left, at), (right, at));
            label_at(&mut svg, left - 6.0, at + 4.0, "end", &label);
        }
        label_at(&mut svg, f64::midpoint(left, right), bottom + 34.0, "middle", self.x_label);
        label_at(&mut svg, left - 6.0, top - 13.0, "end", self.y_label);
        for (index, series) in self.series.iter().enumerate() {
            let legend = (left + 8.0 + 190.0 * index as f64, 40.0);
            svg.push_str(&mark(index, legend));
            label_at(&mut svg, legend.0 + 10.0, legend.1 + 4.0, "start", series.name);
            let placed: Vec<(f64, f64)> =
                series.points.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
            let path: Vec<String> = placed.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let colour = COLOURS[index % COLOURS.len()];
            let path = path.join(" ");
            svg.push_str(&format!(
                "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n"
            ));
            placed.into_iter().for_each(|point| svg.push_str(&mark(index, point)));
        }
        svg
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    svg.push_str(&format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#e2e2e2\"/>\n"));
}

fn label_at(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    svg.push_str(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"));
}

/// A point of a line: a disc for the first, a square for the second.
fn mark(index: usize, (x, y): (f64, f64)) -> String {
    let colour = COLOURS[index % COLOURS.len()];
    if index == 0 {
        return format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\n");
    }
    let (x, y) = (x - 3.5, y - 3.5);
    format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"7\" height=\"7\" fill=\"{colour}\"/>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_axis_has_whole_decades_and_two_at_least() {
        let axis = Axis::new([300.0, 400.0].into_iter(), 0.0, 100.0);
        assert_eq!((axis.first, axis.last), (2, 4));
        assert_eq!((axis.place(100.0), axis.place(1000.0), axis.place(10_000.0)), (0.0, 50.0, 100.0));
        let labels: Vec<String> = Axis::new([0.05, 2e7].into_iter(), 0.0, 1.0).decades().map(|tick| tick.1).collect();
        assert_eq!(labels, ["0.01", "0.1", "1", "10", "100", "1k", "10k", "100k", "1M", "10M", "100M"]);
        let nothing = Axis::new(std::iter::empty(), 0.0, 1.0);
        assert_eq!((nothing.first, nothing.last), (0, 2));
    }

    #[test]
    fn the_last_result_of_a_size_is_drawn_and_nothing_that_is_no_number() {
        let results = [
            json!({"case": "console", "observers": 0, "lines": 10, "lines_per_s": 1.0}),
            json!({"case": "console", "observers": 0, "lines": 10, "lines_per_s": 4.0}),
            json!({"case": "console", "observers": 9, "lines": 20, "lines_per_s": 1.0}),
            json!({"case": "console", "observers": 0, "lines": 30, "lines_per_s": null}),
            json!({"case": "idle", "workers": 10, "wake_p50_ms": 0.5, "wake_p99_ms": 1.0}),
        ];
        let panels = panels(&results);
        assert_eq!(panels[2].series[0].points, [(10.0, 250_000.0)]);
        assert_eq!(panels[1].series[0].points, [(10.0, 500.0)]);
        let svg = draw(&panels);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }
}
