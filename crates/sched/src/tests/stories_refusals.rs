//! Builds that workers refuse: what that costs, and who gets them next.

use super::farm::{Farm, farm};
use crate::Settings;

#[test]
fn a_refused_build_pauses_at_the_front_and_costs_no_retry() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        schedule b p daily
        waits 1 p
        lost b1 refused
        lost b1 refused
        info
        wake
        waits 2 p
        waits 3 p
        passes 1s
    "), @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > schedule b p daily
        + entry b daily at 24h
        + p[1] b
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > lost b1 refused
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 1, refused 1
    > lost b1 refused
        run again
    > info
        a daily at 24h
        b daily at 24h
        queue of p:
            a waits for a pause, then a worker that can begin it: it was refused once, the last time: no bwrap
            b waits for a free worker
    > wake
        due 24h, time over at Some(1s)
    > waits 2 p
        - p[1]
        + running b2 b on p, attempt 1, retries 0
        => worker 2: b2, "run b"
    > waits 3 p
    > passes 1s
        - p[0]
        + running b1 a on p, attempt 2, retries 0
        => worker 3: b1, "run a"
    "#);
}

#[test]
fn a_worker_that_is_lost_after_refusals_costs_as_ever() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        lost b1 refused
        passes 1s
        waits 2 p
        lost b1 refused
        waits 3 p
        passes 2s
        lost b1
        info
        waits 4 p
        lost b1 refused
        waits 5 p
        passes 4s
        lost b1
    "), @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > lost b1 refused
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 1, refused 1
    > passes 1s
    > waits 2 p
        - p[0]
        + running b1 a on p, attempt 2, retries 0
        => worker 2: b1, "run a"
    > lost b1 refused
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 2, refused 2
    > waits 3 p
    > passes 2s
        - p[0]
        + running b1 a on p, attempt 3, retries 0
        => worker 3: b1, "run a"
    > lost b1
        run again
        - running b1
        + p[0] a, retries 1, resumes b1 after attempt 3, refused 2
    > info
        a daily at 24h
        queue of p:
            a waits for a worker that can begin it: it was refused 2 times
    > waits 4 p
        - p[0]
        + running b1 a on p, attempt 4, retries 1
        => worker 4: b1, "run a"
    > lost b1 refused
        run again
        - running b1
        + p[0] a, retries 1, resumes b1 after attempt 4, refused 3
    > waits 5 p
    > passes 4s
        - p[0]
        + running b1 a on p, attempt 5, retries 1
        => worker 5: b1, "run a"
    > lost b1
        record execution aborted: worker lost; attempt 5, no retry is left
    "#);
}

#[test]
fn whoever_executes_a_refused_job_ends_its_pause() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        lost b1 refused
        waits 2 p
        execute a
        lost b1 refused
        unschedule a
        wake
    "), @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > lost b1 refused
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 1, refused 1
    > waits 2 p
    > execute a
        - p[0]
        + p[0] a, resumes b1 after attempt 1, refused 1
        - p[0]
        + running b1 a on p, attempt 2, retries 0
        => worker 2: b1, "run a"
    > lost b1 refused
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 2, refused 2
    > unschedule a
        - p[0]
        + finished b1 a on p, attempts 2, 0h to 0h, execution aborted: job was unscheduled before the build could run again, no record
        - entry a
    > wake
        due never, time over at None
    "#);
}

#[test]
fn a_restart_forgets_pauses_and_remembers_refusals() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        lost b1 refused
        restart
        info
        waits 2 p
        restart
        waits 3 p
        unsaved lost b1 refused
        lost b1 refused
        info
    "), @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > lost b1 refused
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 1, refused 1
    > restart
    > info
        a daily at 24h
        queue of p:
            a waits for a worker that can begin it: it was refused once
    > waits 2 p
        - p[0]
        + running b1 a on p, attempt 2, retries 0
        => worker 2: b1, "run a"
    > restart
        - running b1
        + p[0] a, resumes b1 after attempt 2, refused 1
    > waits 3 p
        - p[0]
        + running b1 a on p, attempt 3, retries 0
        => worker 3: b1, "run a"
    > unsaved lost b1 refused
    > lost b1 refused
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 3, refused 2
    > info
        a daily at 24h
        queue of p:
            a waits for a pause, then a worker that can begin it: it was refused 2 times, the last time: no bwrap
    "#);
}

#[test]
fn templated_jobs_pause_in_their_lane() {
    insta::assert_snapshot!(farm("
        schedule-templated t daily
        template p build
        waits 1 p
        template p build
        lost b1 refused
        template p missing
        waits 2 p
        passes 1s
        info
        template p other
        lost b1 refused
        drop p
        wake
    "), @r#"
    > schedule-templated t daily
        + entry t daily at 24h
    > template p build
    > waits 1 p
        + queue p
        + p[0] t
        - p[0]
        + running b1 t on p, attempt 1, retries 0
        => worker 1: b1, "build t p"
    > template p build
    > lost b1 refused
        run again
        - running b1
        + p[0] t, resumes b1 after attempt 1, refused 1
    > template p missing
    > waits 2 p
    > passes 1s
    > info
        t daily at 24h
        queue of p:
            t waits for a template: the platform has none
    > template p other
        - p[0]
        + running b1 t on p, attempt 2, retries 0
        => worker 2: b1, "other t p"
    > lost b1 refused
        run again
        - running b1
        + p[0] t, resumes b1 after attempt 2, refused 2
    > drop p
        - queue p
        + finished b1 t on p, attempts 2, 0h to 1s, execution aborted: platform was dropped before the build could run again, no record
        + dropped p
    > wake
        due 24h, time over at None
    "#);
}

#[test]
fn a_build_that_is_refused_too_often_ends_with_that() {
    let mut farm = Farm::new(Settings { refusals_max: 2, ..Settings::default() });
    farm.tell(
        "
        schedule a p daily
        waits 1 p
        lost b1 refused
        waits 2 p
        passes 1s
        lost b1 refused
        finish b1 unrecorded
    ",
    );
    insta::assert_snapshot!(farm.story, @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > lost b1 refused
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 1, refused 1
    > waits 2 p
    > passes 1s
        - p[0]
        + running b1 a on p, attempt 2, retries 0
        => worker 2: b1, "run a"
    > lost b1 refused
        record execution aborted: no worker could begin it: refused 2 times, the last time: no bwrap
    > finish b1 unrecorded
        - running b1
        + finished b1 a on p, attempts 2, 0h to 1s, execution aborted: disk full, no record
    "#);
}

#[test]
fn pauses_grow_up_to_a_minute() {
    let mut farm = Farm::new(Settings::default());
    farm.tell("schedule a p daily");
    let mut pauses = Vec::new();
    for worker in 0..9 {
        farm.tell(&format!("waits {worker} p"));
        farm.tell("lost b1 refused");
        let before = farm.scheduler.wake_at().monotonic.unwrap();
        let mut seconds = 0;
        while farm.scheduler.wake_at().monotonic == Some(before) {
            farm.tell("passes 1s");
            seconds += 1;
        }
        pauses.push(seconds);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}
