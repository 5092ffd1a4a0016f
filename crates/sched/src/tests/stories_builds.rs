//! The life of a build.

use super::farm::{Farm, farm, job_name, platform};
use crate::Settings;
use std::time::Duration;

#[test]
fn workers_are_served_in_the_order_in_which_they_came() {
    insta::assert_snapshot!(farm("
        waits 7 p
        waits 3 p
        waits 7 p
        waits 5 q
        schedule a p daily
        schedule b p daily
        waits 7 p
        finish b1 ok
        waits 7 p
    "), @r#"
    > waits 7 p
        + queue p
    > waits 3 p
    > waits 7 p
    > waits 5 q
        + queue q
    > schedule a p daily
        + entry a daily at 24h
        + p[0] a
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 7: b1, "run a"
    > schedule b p daily
        + entry b daily at 24h
        + p[0] b
        - p[0]
        + running b2 b on p, attempt 1, retries 0
        => worker 3: b2, "run b"
    > waits 7 p
        refused: worker has a build already
    > finish b1 ok
        - running b1
        + finished b1 a on p, attempts 1, 0h to 0h, exited 0, record of 100 bytes
    > waits 7 p
    "#);
}

#[test]
fn a_lost_build_runs_again_once() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        schedule b p daily
        waits 1 p
        lost b1
        lost b1
        waits 2 p
        waits 3 p
        passes 60s
        lost b1
        lost b1 disk
        finish b1 unrecorded
        finish b1 ok
        lost b1
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
    > lost b1
        run again
    > waits 2 p
        - p[1]
        + running b2 b on p, attempt 1, retries 0
        => worker 2: b2, "run b"
    > waits 3 p
        - p[2]
        + running b1 a on p, attempt 2, retries 1
        => worker 3: b1, "run a"
    > passes 60s
    > lost b1
        record execution aborted: worker lost; attempt 2, no retry is left
    > lost b1 disk
        record execution aborted: worker lost; attempt 2, no retry is left
    > finish b1 unrecorded
        - running b1
        + finished b1 a on p, attempts 2, 0h to 60s, execution aborted: disk full, no record
    > finish b1 ok
        refused: build 00000000-0000-0000-0000-000000000001 is not running
    > lost b1
        refused: build 00000000-0000-0000-0000-000000000001 is not running
    "#);
}

#[test]
fn a_record_that_cannot_be_written_costs_a_retry() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        lost b1 disk
        waits 2 p
        lost b1 disk
        finish b1 unrecorded
    "), @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > lost b1 disk
        run again
        - running b1
        + p[0] a, retries 1, resumes b1 after attempt 1
    > waits 2 p
        - p[0]
        + running b1 a on p, attempt 2, retries 1
        => worker 2: b1, "run a"
    > lost b1 disk
        record execution aborted: the record could not be written: disk full; attempt 2, no retry is left
    > finish b1 unrecorded
        - running b1
        + finished b1 a on p, attempts 2, 0h to 0h, execution aborted: disk full, no record
    "#);
}

#[test]
fn a_lost_build_of_a_job_that_is_gone_is_over() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        unschedule a
        lost b1
        finish b1 unrecorded
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
    > lost b1
        record execution aborted: worker lost; the job is not on the schedule any more
    > finish b1 unrecorded
        - running b1
        + finished b1 a on p, attempts 1, 0h to 0h, execution aborted: disk full, no record
    "#);
}

#[test]
fn a_lost_build_takes_the_place_that_its_job_has() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        execute a
        schedule b p daily
        lost b1
        waits 2 p
        execute a
        waits 3 p
        lost b1 restart
        lost b2
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
    > execute a
        + p[0] a
    > schedule b p daily
        + entry b daily at 24h
        + p[1] b
    > lost b1
        run again
        - running b1
        + p[0] a, retries 1, resumes b1 after attempt 1
    > waits 2 p
        - p[0]
        + running b1 a on p, attempt 2, retries 1
        => worker 2: b1, "run a"
    > execute a
        + p[0] a
    > waits 3 p
        - p[0]
        + running b2 a on p, attempt 1, retries 0
        => worker 3: b2, "run a"
    > lost b1 restart
        run again
        - running b1
        + p[0] a, retries 1, resumes b1 after attempt 2
    > lost b2
        record execution aborted: worker lost; another build of the job waits to run again
    > info
        a daily at 24h
        b daily at 24h
        queue of p:
            a waits for a free worker
            b waits for a free worker
        b2 runs a on worker 3, attempt 1
    "#);
}

#[test]
fn a_build_over_its_time_is_recorded_and_started_over_once() {
    insta::assert_snapshot!(farm("
        schedule a p never
        waits 1 p
        wake
        passes 1h
        wake
        passes 1h
        finish b1 timeout
        waits 2 p
        passes 1h
        finish b2 timeout
        info
    "), @r#"
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > wake
        due never, time over at Some(3600s)
    > passes 1h
        => worker 1: b1 is over its time
    > wake
        due never, time over at None
    > passes 1h
    > finish b1 timeout
        - running b1
        + p[0] a, retries 1
        + finished b1 a on p, attempts 1, 0h to 2h, execution aborted: timeout, record of 100 bytes
    > waits 2 p
        - p[0]
        + running b2 a on p, attempt 1, retries 1
        => worker 2: b2, "run a"
    > passes 1h
        => worker 2: b2 is over its time
    > finish b2 timeout
        - running b2
        + finished b2 a on p, attempts 1, 2h to 3h, execution aborted: timeout, record of 100 bytes
    > info
        a never at never
        queue of p:
    "#);
}

#[test]
fn a_result_in_the_last_moment_is_a_result() {
    insta::assert_snapshot!(farm("
        schedule a p never
        waits 1 p
        passes 1h
        finish b1 ok
    "), @r#"
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > passes 1h
        => worker 1: b1 is over its time
    > finish b1 ok
        - running b1
        + finished b1 a on p, attempts 1, 0h to 1h, exited 0, record of 100 bytes
    "#);
}

#[test]
fn the_limit_is_the_jobs_or_the_platforms() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let mut farm = Farm::new(Settings {
        platform_limits: [(platform("p"), minutes(10))].into(),
        job_limits: [(job_name("a"), minutes(5))].into(),
        ..Settings::default()
    });
    farm.tell(
        "
        schedule a p never
        schedule b p never
        schedule c q never
        waits 3 q
        wake
        waits 2 p
        wake
        waits 1 p
        wake
        passes 300s
        passes 300s
    ",
    );
    insta::assert_snapshot!(farm.story, @r#"
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > schedule b p never
        + entry b never at never
        + p[1] b
    > schedule c q never
        + entry c never at never
        + queue q
        + q[0] c
    > waits 3 q
        - q[0]
        + running b1 c on q, attempt 1, retries 0
        => worker 3: b1, "run c"
    > wake
        due never, time over at Some(3600s)
    > waits 2 p
        - p[0]
        + running b2 a on p, attempt 1, retries 0
        => worker 2: b2, "run a"
    > wake
        due never, time over at Some(300s)
    > waits 1 p
        - p[1]
        + running b3 b on p, attempt 1, retries 0
        => worker 1: b3, "run b"
    > wake
        due never, time over at Some(300s)
    > passes 300s
        => worker 2: b2 is over its time
    > passes 300s
        => worker 1: b3 is over its time
    "#);
}

#[test]
fn a_restart_costs_no_retry_and_no_place() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        schedule b p daily
        schedule c p daily
        execute b
        waits 1 p
        clock 1s
        waits 2 p
        execute a
        restart
        restart
        info
        waits 1 p
        finish b1 ok
    "), @r#"
    > schedule a p daily
        + entry a daily at 24h
        + queue p
        + p[0] a
    > schedule b p daily
        + entry b daily at 24h
        + p[1] b
    > schedule c p daily
        + entry c daily at 24h
        + p[2] c
    > execute b
        - p[1]
        + p[-1] b
    > waits 1 p
        - p[-1]
        + running b1 b on p, attempt 1, retries 0
        => worker 1: b1, "run b"
    > clock 1s
    > waits 2 p
        - p[0]
        + running b2 a on p, attempt 1, retries 0
        => worker 2: b2, "run a"
    > execute a
        + p[1] a
    > restart
        - running b1
        - running b2
        - p[1]
        + p[1] a, resumes b2 after attempt 1
        + p[0] b, resumes b1 after attempt 1
    > restart
    > info
        a daily at 24h
        b daily at 24h
        c daily at 24h
        queue of p:
            b waits for a free worker
            a waits for a free worker
            c waits for a free worker
    > waits 1 p
        - p[0]
        + running b1 b on p, attempt 2, retries 0
        => worker 1: b1, "run b"
    > finish b1 ok
        - running b1
        + finished b1 b on p, attempts 2, 0h to 1s, exited 0, record of 100 bytes
    "#);
}

#[test]
fn a_restart_ends_builds_that_have_no_place() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        execute a
        waits 2 p
        schedule d q daily
        waits 3 q
        unschedule d
        restart
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
    > execute a
        + p[0] a
    > waits 2 p
        - p[0]
        + running b2 a on p, attempt 1, retries 0
        => worker 2: b2, "run a"
    > schedule d q daily
        + entry d daily at 24h
        + queue q
        + q[0] d
    > waits 3 q
        - q[0]
        + running b3 d on q, attempt 1, retries 0
        => worker 3: b3, "run d"
    > unschedule d
        - entry d
    > restart
        - running b1
        - running b2
        + finished b2 a on p, attempts 1, 0h to 0h, execution aborted: the server was started again; another build of the job waits to run again, no record
        - running b3
        + finished b3 d on q, attempts 1, 0h to 0h, execution aborted: the server was started again; the job is not on the schedule any more, no record
        + p[0] a, resumes b1 after attempt 1
    > info
        a daily at 24h
        queue of p:
            a waits for a free worker
        queue of q:
    "#);
}

#[test]
fn a_record_found_at_the_start_ends_the_build_that_waits() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        waits 1 p
        restart
        finish b1 ok
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
    > restart
        - running b1
        + p[0] a, resumes b1 after attempt 1
    > finish b1 ok
        - p[0]
        + finished b1 a on p, attempts 1, 0h to 0h, exited 0, record of 100 bytes
    > info
        a daily at 24h
        queue of p:
    "#);
}

#[test]
fn after_a_save_that_failed_workers_keep_what_is_saved() {
    insta::assert_snapshot!(farm("
        schedule a p daily
        schedule b p daily
        waits 1 p
        unsaved waits 2 p
        info
        tick
        unsaved finish b1 ok
        finish b1 ok
        unsaved waits 3 new
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
    > unsaved waits 2 p
    > info
        a daily at 24h
        b daily at 24h
        queue of p:
            b waits for a free worker
        b1 runs a on worker 1, attempt 1
    > tick
        - p[1]
        + running b3 b on p, attempt 1, retries 0
        => worker 2: b3, "run b"
    > unsaved finish b1 ok
    > finish b1 ok
        - running b1
        + finished b1 a on p, attempts 1, 0h to 0h, exited 0, record of 100 bytes
    > unsaved waits 3 new
        + queue new
    > info
        a daily at 24h
        b daily at 24h
        queue of new:
        queue of p:
        b3 runs b on worker 2, attempt 1
    "#);
}

#[test]
fn a_build_that_never_reached_its_worker_was_no_attempt() {
    insta::assert_snapshot!(farm("
        schedule a p never
        schedule b p never
        waits 1 p
        lost b1 undelivered
        waits 2 p
    "), @r#"
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > schedule b p never
        + entry b never at never
        + p[1] b
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > lost b1 undelivered
        run again
        - running b1
        + p[0] a, resumes b1 after attempt 0
    > waits 2 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 2: b1, "run a"
    "#);
}
