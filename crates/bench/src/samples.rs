//! Durations that were measured, and what is said of them: percentiles by the nearest rank.

use std::time::Duration;

/// A set of durations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    seconds: Vec<f64>,
}

impl Samples {
    pub(crate) fn push(&mut self, duration: Duration) {
        self.seconds.push(duration.as_secs_f64());
    }

    /// Adds a sample in whatever unit the others have.
    pub(crate) fn add(&mut self, sample: f64) {
        self.seconds.push(sample);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.seconds.append(&mut other.seconds);
    }

    pub(crate) fn len(&self) -> usize {
        self.seconds.len()
    }

    /// The smallest sample, in seconds, that at least this many percent of all do not exceed; none of nothing.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }

    /// The middle sample, in seconds; not a number of nothing, which JSON shows as null.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50).unwrap_or(f64::NAN)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(seconds: T) -> Self {
        Self { seconds: seconds.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_of_the_nearest_rank() {
        let samples: Samples = (1..=200).rev().map(f64::from).collect();
        let percentiles = [0, 1, 50, 99, 100].map(|percent| samples.percentile(percent).unwrap());
        assert_eq!(percentiles, [1.0, 2.0, 100.0, 198.0, 200.0]);
    }

    #[test]
    fn few_samples_have_percentiles_and_none_has_not() {
        let one: Samples = [7.0].into_iter().collect();
        assert_eq!([0, 50, 99, 100].map(|percent| one.percentile(percent)), [Some(7.0); 4]);
        let three: Samples = [3.0, 1.0, 2.0].into_iter().collect();
        assert_eq!((three.median(), three.percentile(99)), (2.0, Some(3.0)));
        assert_eq!(Samples::default().percentile(50), None);
    }
}
