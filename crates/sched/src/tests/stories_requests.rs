//! What clients ask for, and the calendar.

use super::farm::{Farm, farm};
use crate::Settings;

#[test]
fn queue_semantics() {
    insta::assert_snapshot!(farm("
        schedule a p never
        schedule b p never
        schedule c p hourly
        reschedule b 24h weekly
        execute c
        execute c
        schedule a q never
        execute b q
        execute d
        info
    "), @r#"
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > schedule b p never
        + entry b never at never
        + p[1] b
    > schedule c p hourly
        + entry c hourly at 1h
        + p[2] c
    > reschedule b 24h weekly
        entry b weekly at 24h
    > execute c
        - p[2]
        + p[-1] c
    > execute c
    > schedule a q never
        refused: job name already used
    > execute b q
        refused: execute failed: job is for a different platform: p
    > execute d
        refused: execute failed: job not found
    > info
        c hourly at 1h
        b weekly at 24h
        a never at never
        queue of p:
            c waits for a free worker
            a waits for a free worker
            b waits for a free worker
    "#);
}

#[test]
fn a_due_job_is_queued_once_and_moves_on() {
    insta::assert_snapshot!(farm("
        schedule a p hourly
        schedule b p daily
        passes 1h
        waits 1 p
        finish b1 ok
        wake
        passes 1d
        passes 59s
        info
    "), @r#"
    > schedule a p hourly
        + entry a hourly at 1h
        + queue p
        + p[0] a
    > schedule b p daily
        + entry b daily at 24h
        + p[1] b
    > passes 1h
        entry a hourly at 2h
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > finish b1 ok
        - running b1
        + finished b1 a on p, attempts 1, 1h to 1h, exited 0, record of 100 bytes
    > wake
        due 2h, time over at None
    > passes 1d
        entry a hourly at 26h
        + p[2] a
        entry b daily at 49h
    > passes 59s
    > info
        a hourly at 26h
        b daily at 49h
        queue of p:
            b waits for a free worker
            a waits for a free worker
    "#);
}

#[test]
fn rescheduled_jobs_run_at_their_time() {
    insta::assert_snapshot!(farm("
        schedule n p never
        schedule h p hourly
        waits 1 p
        waits 2 p
        reschedule n 2h
        reschedule h -10h
        info
        passes 2h
        reschedule n -1s
        reschedule missing 1h
    "), @r#"
    > schedule n p never
        + entry n never at never
        + queue p
        + p[0] n
    > schedule h p hourly
        + entry h hourly at 1h
        + p[1] h
    > waits 1 p
        - p[0]
        + running b1 n on p, attempt 1, retries 0
        => worker 1: b1, "run n"
    > waits 2 p
        - p[1]
        + running b2 h on p, attempt 1, retries 0
        => worker 2: b2, "run h"
    > reschedule n 2h
        entry n never at 2h
    > reschedule h -10h
        + p[0] h
    > info
        h hourly at 1h
        n never at 2h
        queue of p:
            h waits for a free worker
        b1 runs n on worker 1, attempt 1
        b2 runs h on worker 2, attempt 1
    > passes 2h
        entry h hourly at 3h
        entry n never at never
        + p[1] n
        => worker 1: b1 is over its time
        => worker 2: b2 is over its time
    > reschedule n -1s
    > reschedule missing 1h
        refused: couldn't find job missing
    "#);
}

#[test]
fn clocks_that_jump_do_no_harm() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        clock 8d
        tick
        clock -8d
        tick
        wake
        passes 1h
    "), @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > clock 8d
    > tick
        entry a daily at 216h
        + p[0] a
    > clock -8d
    > tick
        entry a daily at 24h
    > wake
        due 24h, time over at Some(3600s)
    > passes 1h
        => worker 1: b1 is over its time
    "#);
}

#[test]
fn unscheduled_jobs_leave_the_queue() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        schedule b p daily
        waits 1 p
        lost b1
        unschedule a
        unschedule b
        unschedule b
        finish b1 ok
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
    > lost b1
        run again
        - running b1
        + p[2] a, retries 1, resumes b1 after attempt 1
    > unschedule a
        - p[2]
        + finished b1 a on p, attempts 1, 0h to 0h, execution aborted: job was unscheduled before the build could run again, no record
        - entry a
    > unschedule b
        - p[1]
        - entry b
    > unschedule b
        refused: unknown job b
    > finish b1 ok
        refused: build 00000000-0000-0000-0000-000000000001 is not running
    "#);
}

#[test]
fn a_running_build_outlives_its_job() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        unschedule a
        finish b1 ok
    "), @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > unschedule a
        - entry a
    > finish b1 ok
        - running b1
        + finished b1 a on p, attempts 1, 0h to 0h, exited 0, record of 100 bytes
    "#);
}

#[test]
fn dropped_platforms_are_refused() {
    insta::assert_snapshot!(farm("
        drop p
        undrop p
        schedule a p daily
        schedule c q daily
        drop p
        drop p
        waits 5 p
        schedule d p daily
        execute c p
        info
        undrop p
        schedule d p daily
    "), @r#"
    > drop p
        refused: unknown platform p
    > undrop p
        refused: unknown platform p
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > schedule c q daily
        + entry c daily at 24h
        + queue q
        + q[0] c
    > drop p
        - queue p
        - entry a
        + dropped p
    > drop p
    > waits 5 p
    > schedule d p daily
        refused: platform dropped; can't schedule jobs
    > execute c p
        refused: execute failed: job is for a different platform: q
    > info
        c daily at 24h
        queue of q:
            c waits for a free worker
        p is dropped
    > undrop p
        - dropped p
        + queue p
    > schedule d p daily
        + entry d daily at 24h
        + p[0] d
        - p[0]
        + running b1 d on p, attempt 1, retries 0
        => worker 5: b1, "run d"
    "#);
}

#[test]
fn dropping_ends_builds_that_wait_for_another_attempt() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        schedule b p daily
        waits 1 p
        waits 2 p
        lost b1
        lost b2
        waits 3 p
        drop p
        info
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
    > waits 2 p
        - p[1]
        + running b2 b on p, attempt 1, retries 0
        => worker 2: b2, "run b"
    > lost b1
        run again
        - running b1
        + p[0] a, retries 1, resumes b1 after attempt 1
    > lost b2
        run again
        - running b2
        + p[1] b, retries 1, resumes b2 after attempt 1
    > waits 3 p
        - p[0]
        + running b1 a on p, attempt 2, retries 1
        => worker 3: b1, "run a"
    > drop p
        - queue p
        + finished b2 b on p, attempts 1, 0h to 0h, execution aborted: platform was dropped before the build could run again, no record
        - entry a
        - entry b
        + dropped p
    > info
        b1 runs a on worker 3, attempt 2
        p is dropped
    "#);
}

#[test]
fn dropping_while_running() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        schedule b p daily
        waits 1 p
        waits 2 p
        drop p
        finish b1 ok
        lost b2
        finish b2 unrecorded
        info
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
    > waits 2 p
        - p[1]
        + running b2 b on p, attempt 1, retries 0
        => worker 2: b2, "run b"
    > drop p
        - queue p
        - entry a
        - entry b
        + dropped p
    > finish b1 ok
        - running b1
        + finished b1 a on p, attempts 1, 0h to 0h, exited 0, record of 100 bytes
    > lost b2
        record execution aborted: worker lost; the platform is dropped
    > finish b2 unrecorded
        - running b2
        + finished b2 b on p, attempts 1, 0h to 0h, execution aborted: disk full, no record
    > info
        p is dropped
    "#);
}

#[test]
fn a_platform_that_only_waits_is_known() {
    insta::assert_snapshot!(farm("
        waits 1 p
        gone 1
        gone 1
        drop p
        undrop p
        drop p
    "), @r#"
    > waits 1 p
        + queue p
    > gone 1
    > gone 1
    > drop p
        - queue p
        + dropped p
    > undrop p
        - dropped p
    > drop p
        refused: unknown platform p
    "#);
}

#[test]
fn limits_are_refused_clearly() {
    let mut farm = Farm::new(Settings { jobs_max: 2, platforms_max: 2, ..Settings::default() });
    farm.tell(
        "
        schedule a p daily
        waits 1 q
        waits 2 r
        schedule b r daily
        drop q
        waits 2 r
        waits 2 q
        schedule b p daily
        schedule c p daily
    ",
    );
    insta::assert_snapshot!(farm.story, @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > waits 1 q
        + queue q
    > waits 2 r
        refused: there are too many platforms: at most 2, dropped ones included
    > schedule b r daily
        refused: there are too many platforms: at most 2, dropped ones included
    > drop q
        - queue q
        + dropped q
    > waits 2 r
        refused: there are too many platforms: at most 2, dropped ones included
    > waits 2 q
    > schedule b p daily
        + entry b daily at 24h
        + p[1] b
    > schedule c p daily
        refused: the schedule is full: at most 2 jobs
    "#);
}
