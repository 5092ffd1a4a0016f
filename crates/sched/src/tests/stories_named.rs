//! Jobs of templates with parameters: where they are queued, what they wait for, and that a change of the template
//! counts from the next build on.

use super::farm::farm;

#[test]
fn bound_to_a_platform_it_is_queued_there_whatever_the_template() {
    insta::assert_snapshot!(farm("
        schedule-parameter w p daily
        info
        named p missing
        info
        waits 1 p
        execute w
        named p unreadable
        info
        execute w
        execute w q
        named p one
        finish b1 ok
        named p two
        passes 1d
        waits 2 p
    "), @r##"
    > schedule-parameter w p daily
        + entry w daily at 24h
        + queue p
        + p[0] w
    > info
        w daily at 24h
        queue of p:
            w waits for the template named, which is not read yet
    > named p missing
    > info
        w daily at 24h
        queue of p:
            w waits for the template named: the platform has none
    > waits 1 p
    > execute w
        refused: execute failed: platform p has no template named
    > named p unreadable
    > info
        w daily at 24h
        queue of p:
            w waits for the template named, which cannot be read: permission denied
    > execute w
        refused: execute failed: the template named of platform p cannot be read: permission denied
    > execute w q
        refused: execute failed: job is for a different platform: p
    > named p one
        - p[0]
        + running b1 w on p, attempt 1, retries 0
        => worker 1: b1, "# template named, filled in for p\na='x'\none"
    > finish b1 ok
        - running b1
        + finished b1 w on p, attempts 1, 0h to 0h, exited 0, record of 100 bytes
    > named p two
    > passes 1d
        entry w daily at 48h
        + p[0] w
    > waits 2 p
        - p[0]
        + running b2 w on p, attempt 1, retries 0
        => worker 2: b2, "# template named, filled in for p\na='x'\ntwo"
    "##);
}

#[test]
fn without_a_platform_it_goes_where_the_template_is() {
    insta::assert_snapshot!(farm("
        named p one
        named q missing
        template q build
        schedule a p never
        schedule b q never
        schedule-parameter v daily
        schedule-templated t daily
        info
        execute v q
        execute v
        waits 1 p
        unschedule v
    "), @r##"
    > named p one
    > named q missing
    > template q build
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > schedule b q never
        + entry b never at never
        + queue q
        + q[0] b
    > schedule-parameter v daily
        + entry v daily at 24h
        + p[1] v
    > schedule-templated t daily
        + entry t daily at 24h
        + p[2] t
        + q[1] t
    > info
        t daily at 24h
        v daily at 24h
        a never at never
        b never at never
        queue of p:
            a waits for a free worker
            v waits for a free worker
            t waits for the template, which is not read yet
        queue of q:
            b waits for a free worker
            t waits for a free worker
    > execute v q
        refused: execute failed: platform q has no template named
    > execute v
        - p[1]
        + p[-1] v
    > waits 1 p
        - p[-1]
        + running b1 v on p, attempt 1, retries 0
        => worker 1: b1, "# template named, filled in for p\na='x'\none"
    > unschedule v
        - entry v
    "##);
}

#[test]
fn on_trial_until_the_template_is_read() {
    insta::assert_snapshot!(farm("
        schedule a p never
        schedule-parameter v daily
        named p missing
        execute v
        restart
        execute v p
        named p missing
        info
    "), @r##"
    > schedule a p never
        + entry a never at never
        + queue p
        + p[0] a
    > schedule-parameter v daily
        + entry v daily at 24h
        + p[1] v
    > named p missing
        - p[1]
    > execute v
        refused: execute failed: no platform has the template named
    > restart
    > execute v p
        + p[-1] v
    > named p missing
    > info
        v daily at 24h
        a never at never
        queue of p:
            v waits for the template named: the platform has none
            a waits for a free worker
    "##);
}

#[test]
fn a_template_that_does_not_take_the_values_blocks_nobody_else() {
    insta::assert_snapshot!(farm("
        named p one
        schedule-parameter v never
        schedule-parameter w p never
        schedule a p never
        named p digits
        info
        execute w
        waits 1 p
        info
        named p other
        info
        named p huge
        waits 2 p
        named p mended
    "), @r##"
    > named p one
    > schedule-parameter v never
        + entry v never at never
    > schedule-parameter w p never
        + entry w never at never
        + queue p
        + p[0] v
        + p[1] w
    > schedule a p never
        + entry a never at never
        + p[2] a
    > named p digits
    > info
        a never at never
        v never at never
        w never at never
        queue of p:
            v waits for the template named, which does not take its values: parameter a cannot be "x": it has to be a whole number from 0 on
            w waits for the template named, which does not take its values: parameter a cannot be "x": it has to be a whole number from 0 on
            a waits for a free worker
    > execute w
        refused: execute failed: the template named of platform p does not take the values of the job: parameter a cannot be "x": it has to be a whole number from 0 on
    > waits 1 p
        - p[2]
        + running b1 a on p, attempt 1, retries 0
        => worker 1: b1, "run a"
    > info
        a never at never
        v never at never
        w never at never
        queue of p:
            v waits for the template named, which does not take its values: parameter a cannot be "x": it has to be a whole number from 0 on
            w waits for the template named, which does not take its values: parameter a cannot be "x": it has to be a whole number from 0 on
        b1 runs a on worker 1, attempt 1
    > named p other
    > info
        a never at never
        v never at never
        w never at never
        queue of p:
            v waits for the template named, which does not take its values: it has no parameter a; it has b
            w waits for the template named, which does not take its values: it has no parameter a; it has b
        b1 runs a on worker 1, attempt 1
    > named p huge
    > waits 2 p
    > named p mended
        - p[0]
        + running b2 v on p, attempt 1, retries 0
        => worker 2: b2, "# template named, filled in for p\na='x'\nmended"
    "##);
}

#[test]
fn two_templates_of_a_platform_know_nothing_of_each_other() {
    insta::assert_snapshot!(farm("
        template p build
        schedule-templated t never
        schedule-parameter w p never
        named p unreadable
        waits 1 p
        template p missing
        named p one
        execute t p
        waits 2 p
    "), @r##"
    > template p build
    > schedule-templated t never
        + entry t never at never
    > schedule-parameter w p never
        + entry w never at never
        + queue p
        + p[0] t
        + p[1] w
    > named p unreadable
    > waits 1 p
        - p[0]
        + running b1 t on p, attempt 1, retries 0
        => worker 1: b1, "build t p"
    > template p missing
    > named p one
    > execute t p
        refused: execute failed: platform p has no template
    > waits 2 p
        - p[1]
        + running b2 w on p, attempt 1, retries 0
        => worker 2: b2, "# template named, filled in for p\na='x'\none"
    "##);
}
