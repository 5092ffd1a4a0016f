//! Anything that can happen, in any order: what must hold holds after each event.

use super::farm::{Farm, build};
use crate::Settings;
use builder_model::BuildId;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn line() -> impl Strategy<Value = String> {
    let job = || prop::sample::select(vec!["a", "b", "c", "t", "u", "v", "w"]);
    let on = || prop::sample::select(vec!["p", "q", "r"]);
    let period = || prop::sample::select(vec!["hourly", "daily", "weekly", "never"]);
    let build = || 1..12u8;
    let worker = || 1..30u8;
    let template = prop::sample::select(vec!["missing", "unreadable", "build", "other", "huge"]);
    let named = prop::sample::select(vec!["missing", "unreadable", "build", "other", "digits", "huge"]);
    let end = prop::sample::select(vec!["ok", "ok", "timeout", "unrecorded"]);
    let why = prop::sample::select(vec!["", "", " disk", " restart", " refused", " refused"]);
    let duration = || prop::sample::select(vec!["1s", "1800s", "1h", "1d", "8d"]);
    let event = prop_oneof![
        6 => (prop::sample::select(vec!["a", "b", "c"]), on(), period()).prop_map(|(j, p, e)| format!("schedule {j} {p} {e}")),
        3 => (prop::sample::select(vec!["t", "u"]), period()).prop_map(|(j, e)| format!("schedule-templated {j} {e}")),
        2 => period().prop_map(|e| format!("schedule-parameter v {e}")),
        2 => (on(), period()).prop_map(|(p, e)| format!("schedule-parameter w {p} {e}")),
        1 => job().prop_map(|j| format!("unschedule {j}")),
        3 => job().prop_map(|j| format!("execute {j}")),
        2 => (job(), on()).prop_map(|(j, p)| format!("execute {j} {p}")),
        1 => (job(), duration(), period()).prop_map(|(j, t, e)| format!("reschedule {j} -{t} {e}")),
        1 => (job(), duration()).prop_map(|(j, t)| format!("reschedule {j} {t}")),
        1 => on().prop_map(|p| format!("drop {p}")),
        1 => on().prop_map(|p| format!("undrop {p}")),
        9 => (worker(), on()).prop_map(|(w, p)| format!("waits {w} {p}")),
        2 => worker().prop_map(|w| format!("gone {w}")),
        4 => (build(), why).prop_map(|(b, w)| format!("lost b{b}{w}")),
        6 => (build(), end).prop_map(|(b, e)| format!("finish b{b} {e}")),
        1 => Just("tick".to_owned()),
        3 => (on(), template).prop_map(|(p, t)| format!("template {p} {t}")),
        3 => (on(), named).prop_map(|(p, t)| format!("named {p} {t}")),
    ];
    prop_oneof![
        20 => event.clone(),
        1 => event.prop_map(|event| format!("unsaved {event}")),
        2 => duration().prop_map(|t| format!("passes {t}")),
        1 => duration().prop_map(|t| format!("clock {t}")),
        1 => duration().prop_map(|t| format!("clock -{t}")),
        1 => Just("restart".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_build_is_lost(lines in prop::collection::vec(line(), 1..60), retries_max in 0..3u32) {
        let refusals_max = 3;
        let mut farm =
            Farm::new(Settings { retries_max, refusals_max, jobs_max: 4, platforms_max: 2, ..Settings::default() });
        let mut begun: BTreeSet<BuildId> = BTreeSet::new();
        for line in lines {
            farm.tell(&line);
            let state = farm.scheduler.to_state();
            begun.extend(state.running.iter().map(|running| running.build));
            for build in &begun {
                prop_assert_eq!(farm.replay.whereabouts(*build), 1, "{}\n{}", build, farm.story);
            }
        }
        prop_assert!(!begun.contains(&build(0)));
    }
}
