//! Templated jobs: where they are queued and what they wait for.

use super::farm::farm;

#[test]
fn queued_only_where_there_is_a_template() {
    insta::assert_snapshot!(farm("
        template p build
        template q missing
        schedule a p never
        schedule b q never
        schedule-templated t daily
        execute t
        execute t q
        execute t r
        execute t p
        execute b
        unschedule t
    "), @r#"
    > template p build
    > template q missing
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > schedule b q never
        + entry b never at never
        + queue q
        + q[0] b
    > schedule-templated t daily
        + entry t daily at 24h
        + p[1] t
    > execute t
        - p[1]
        + p[-1] t
    > execute t q
        refused: execute failed: platform q has no template
    > execute t r
        refused: execute failed: no such platform
    > execute t p
    > execute b
    > unschedule t
        - p[-1]
        - entry t
    "#);
}

#[test]
fn a_new_platform_gets_what_belongs_there() {
    insta::assert_snapshot!(farm("
        schedule-templated t daily
        schedule-templated u hourly
        template p build
        waits 1 p
        finish b1 ok
        waits 1 p
        template q missing
        waits 2 q
    "), @r#"
    > schedule-templated t daily
        + entry t daily at 24h
    > schedule-templated u hourly
        + entry u hourly at 1h
    > template p build
    > waits 1 p
        + queue p
        + p[0] u
        + p[1] t
        - p[0]
        + running b1 u on p, attempt 1, retries 0
        => worker 1: b1, "build u p"
    > finish b1 ok
        - running b1
        + finished b1 u on p, attempts 1, 0h to 0h, exited 0, record of 100 bytes
    > waits 1 p
        - p[1]
        + running b2 t on p, attempt 1, retries 0
        => worker 1: b2, "build t p"
    > template q missing
    > waits 2 q
        + queue q
    "#);
}

#[test]
fn a_missing_template_keeps_jobs_waiting_and_blocks_no_script() {
    insta::assert_snapshot!(farm("
        template p build
        schedule a p never
        schedule-templated t daily
        schedule b p never
        execute t
        template p unreadable
        waits 1 p
        waits 2 p
        waits 3 p
        info
        execute t p
        template p missing
        info
        template p other
    "), @r#"
    > template p build
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > schedule-templated t daily
        + entry t daily at 24h
        + p[1] t
    > schedule b p never
        + entry b never at never
        + p[2] b
    > execute t
        - p[1]
        + p[-1] t
    > template p unreadable
    > waits 1 p
        - p[0]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > waits 2 p
        - p[2]
        + running b2 b on p, attempt 1, retries 0
        => worker 2: b2, "run b"
    > waits 3 p
    > info
        t daily at 24h
        a never at never
        b never at never
        queue of p:
            t waits for the template, which cannot be read: permission denied
        b1 runs a on worker 1, attempt 1
        b2 runs b on worker 2, attempt 1
    > execute t p
        refused: execute failed: the template of platform p cannot be read: permission denied
    > template p missing
    > info
        t daily at 24h
        a never at never
        b never at never
        queue of p:
            t waits for a template: the platform has none
        b1 runs a on worker 1, attempt 1
        b2 runs b on worker 2, attempt 1
    > template p other
        - p[-1]
        + running b3 t on p, attempt 1, retries 0
        => worker 3: b3, "other t p"
    "#);
}

#[test]
fn a_template_not_read_yet_may_exist() {
    insta::assert_snapshot!(farm("
        waits 1 p
        waits 2 q
        waits 3 r
        schedule-templated t daily
        execute t r
        info
        template p build
        template q missing
        template r missing
        info
    "), @r#"
    > waits 1 p
        + queue p
    > waits 2 q
        + queue q
    > waits 3 r
        + queue r
    > schedule-templated t daily
        + entry t daily at 24h
        + p[0] t
        + q[0] t
        + r[0] t
    > execute t r
    > info
        t daily at 24h
        queue of p:
            t waits for the template, which is not read yet
        queue of q:
            t waits for the template, which is not read yet
        queue of r:
            t waits for the template, which is not read yet
    > template p build
        - p[0]
        + running b1 t on p, attempt 1, retries 0
        => worker 1: b1, "build t p"
    > template q missing
        - q[0]
    > template r missing
    > info
        t daily at 24h
        queue of p:
        queue of q:
        queue of r:
            t waits for a template: the platform has none
        b1 runs t on worker 1, attempt 1
    "#);
}

#[test]
fn a_script_that_becomes_too_long_waits_for_a_shorter_template() {
    insta::assert_snapshot!(farm("
        template p huge
        schedule-templated t daily
        waits 1 p
        schedule a p daily
        waits 2 p
        info
        template p build
    "), @r#"
    > template p huge
    > schedule-templated t daily
        + entry t daily at 24h
    > waits 1 p
        + queue p
        + p[0] t
    > schedule a p daily
        + entry a daily at 24h
        + p[1] a
        - p[1]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > waits 2 p
    > info
        a daily at 24h
        t daily at 24h
        queue of p:
            t waits for a shorter template: the script would have 5242880 bytes, at most 4194304 are allowed
        b1 runs a on worker 1, attempt 1
    > template p build
        - p[0]
        + running b2 t on p, attempt 1, retries 0
        => worker 2: b2, "build t p"
    "#);
}

#[test]
fn no_template_anywhere() {
    insta::assert_snapshot!(farm("
        template p missing
        schedule a p never
        schedule-templated t hourly
        execute t
        passes 1h
        info
    "), @r#"
    > template p missing
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > schedule-templated t hourly
        + entry t hourly at 1h
    > execute t
        refused: execute failed: no platform has a template
    > passes 1h
        entry t hourly at 2h
    > info
        t hourly at 2h
        a never at never
        queue of p:
            a waits for a free worker
    "#);
}

#[test]
fn a_lost_templated_build_runs_again_on_its_platform() {
    insta::assert_snapshot!(farm("
        template p build
        template q build
        waits 1 p
        waits 2 q
        schedule-templated t daily
        lost b1
        waits 3 q
        waits 4 p
    "), @r#"
    > template p build
    > template q build
    > waits 1 p
        + queue p
    > waits 2 q
        + queue q
    > schedule-templated t daily
        + entry t daily at 24h
        + p[0] t
        + q[0] t
        - p[0]
        + running b1 t on p, attempt 1, retries 0
        - q[0]
        + running b2 t on q, attempt 1, retries 0
        => worker 1: b1, "build t p"
        => worker 2: b2, "build t q"
    > lost b1
        run again
        - running b1
        + p[0] t, retries 1, resumes b1 after attempt 1
    > waits 3 q
    > waits 4 p
        - p[0]
        + running b1 t on p, attempt 2, retries 1
        => worker 4: b1, "build t p"
    "#);
}
