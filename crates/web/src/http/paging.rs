//! Which part of a list is asked for: `start` and `count` of a query, within limits.

use crate::http::{QueryMap, Refusal};
use crate::limits::PAGE_START_MAX;

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paging {
    /// How many are left out at the beginning.
    pub(crate) start: u32,
    /// How many are shown.
    pub(crate) count: u32,
}

impl Paging {
    /// Reads `start` (0 unless given) and `count` (`usual` unless given, 1 to `most`).
    pub(crate) fn of(query: &QueryMap, usual: u32, most: u32) -> Result<Self, Refusal> {
        let start = number(query, "start", 0, PAGE_START_MAX)?.unwrap_or(0);
        let count = number(query, "count", 1, most)?.unwrap_or(usual);
        Ok(Self { start, count })
    }

    /// Where the part before this one begins; none at the beginning.
    pub(crate) fn before(self) -> Option<Self> {
        (self.start > 0).then(|| Self { start: self.start.saturating_sub(self.count), ..self })
    }

    /// Where the part after this one begins, if there is more.
    pub(crate) fn after(self, more: bool) -> Option<Self> {
        let start = self.start.saturating_add(self.count);
        (more && start <= PAGE_START_MAX).then_some(Self { start, ..self })
    }

    /// As a query, with a platform that is kept; what is usual is left out.
    pub(crate) fn query(self, usual: u32, platform: Option<&str>) -> String {
        let mut parts = Vec::new();
        if self.count != usual {
            parts.push(format!("count={}", self.count));
        }
        if self.start != 0 {
            parts.push(format!("start={}", self.start));
        }
        if let Some(platform) = platform {
            parts.push(format!("platform={}", crate::pages::link::segment(platform)));
        }
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }
}

fn number(query: &QueryMap, key: &str, least: u32, most: u32) -> Result<Option<u32>, Refusal> {
    let Some(text) = query.text(key) else { return Ok(None) };
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        Ok(_) | Err(_) => Err(Refusal::Bad(format!("{key} must be a number from {least} to {most}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_within_limits() {
        let paging = |text: &str| Paging::of(&QueryMap::parse(Some(text)), 20, 100);
        assert_eq!(paging("").unwrap(), Paging { start: 0, count: 20 });
        let part = paging("start=40&count=30").unwrap();
        assert_eq!(part.before().unwrap().start, 10);
        assert_eq!(part.after(true).unwrap().query(20, Some("a&b")), "?count=30&start=70&platform=a%26b");
        assert_eq!((part.after(false), paging("").unwrap().before()), (None, None));
        assert_eq!(paging("start=1000000").unwrap().after(true), None);
        for bad in
            ["start=-1", "count=0", "count=101", "start=1000001", "start=0x10", "count=many", "start=99999999999"]
        {
            assert!(matches!(paging(bad), Err(Refusal::Bad(_))), "{bad}");
        }
    }
}
