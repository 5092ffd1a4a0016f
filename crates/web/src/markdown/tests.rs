//! What readmes look like, and what strangers tried.

use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[test]
fn headings_go_down_and_can_be_linked() {
    insta::assert_snapshot!(readme_html("# Hello `world`\n\n## Hello world\n\n##### Five\n\n# \"<&>\"\n"), @r##"
    <h3 id="readme-hello-world">Hello <code>world</code> <a class="anchor" href="#readme-hello-world" aria-label="link to Hello world" rel="nofollow noopener">#</a></h3>
    <h4 id="readme-hello-world-1">Hello world <a class="anchor" href="#readme-hello-world-1" aria-label="link to Hello world" rel="nofollow noopener">#</a></h4>
    <h6 id="readme-five">Five <a class="anchor" href="#readme-five" aria-label="link to Five" rel="nofollow noopener">#</a></h6>
    <h3 id="readme-section">"&lt;&amp;&gt;" <a class="anchor" href="#readme-section" aria-label="link to &quot;&lt;&amp;&gt;&quot;" rel="nofollow noopener">#</a></h3>
    "##);
}

#[test]
fn ids_are_unique() {
    let html = readme_html("# a\n# a\n# a-1\n# a\n# a-1\n");
    let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let unique: HashSet<&&str> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (5, 5), "{ids:?}");
}

#[test]
fn only_so_many_headings_can_be_linked() {
    let html = readme_html(&"# a\n".repeat(HEADINGS_LINKED_MAX + 1));
    assert_eq!(html.matches(" id=").count(), HEADINGS_LINKED_MAX);
    assert!(html.ends_with("<h3>a</h3>\n"));
}

#[test]
fn extensions_are_known() {
    let markdown = "\
| a | b |
|:--|---|
| 1 | ~~2~~ |

- [x] done
- [ ] open

A note[^1].

[^1]: Its text.

3. three

```ocaml
let x = 1 < 2
```
";
    insta::assert_snapshot!(readme_html(markdown), @r##"
    <div role="region" tabindex="0" aria-label="table"><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody>
    <tr><td>1</td><td><del>2</del></td></tr>
    </tbody></table>
    </div>
    <ul>
    <li>☑ done</li>
    <li>☐ open</li>
    </ul>
    <p>A note<sup class="footnote-reference"><a href="#readme-note-1" rel="nofollow noopener">1</a></sup>.</p>
    <div class="footnote-definition" id="readme-note-1"><sup class="footnote-definition-label">1</sup>
    <p>Its text.</p>
    </div>
    <ol start="3">
    <li>three</li>
    </ol>
    <pre><code>let x = 1 &lt; 2
    </code></pre>
    "##);
}

#[test]
fn links_lead_to_known_schemes_and_headings_only() {
    let html = |markdown: &str| readme_html(markdown).trim().replace(" rel=\"nofollow noopener\"", "");
    assert_eq!(html("[a](https://x.org/?a=1&b)"), "<p><a href=\"https://x.org/?a=1&amp;b\">a</a></p>");
    assert_eq!(html("<a@b.c>"), "<p><a href=\"mailto:a@b.c\">a@b.c</a></p>");
    assert_eq!(html("[a](#How-To)"), "<p><a href=\"#readme-how-to\">a</a></p>");
    for bad in ["javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x", "//x.org", "/x", "x.md", "vbscript:x", ""] {
        assert_eq!(html(&format!("[a]({bad})")), "<p>a</p>", "{bad}");
    }
    assert_eq!(html("[a](java&#x73;cript:alert(1))"), "<p>a</p>");
}

#[test]
fn images_are_links_and_nothing_is_loaded() {
    let html = |markdown: &str| readme_html(markdown).trim().replace(" rel=\"nofollow noopener\"", "");
    assert_eq!(html("![alt *x*](https://x.org/i.png)"), "<p><a href=\"https://x.org/i.png\">alt <em>x</em></a></p>");
    assert_eq!(html("![alt](i.png)"), "<p>alt</p>");
    let badge = html("[![build](https://x.org/b.svg)](https://x.org/ci)");
    assert_eq!(badge, "<p><a href=\"https://x.org/ci\">build</a></p>");
}

#[test]
fn raw_html_is_left_out() {
    for raw in ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<div>\n<style>x</style>\n</div>"] {
        let html = readme_html(&format!("before\n\n{raw}\n\nafter <b onclick=x>bold</b>\n"));
        assert!(html.starts_with("<p>before</p>") && html.ends_with("<p>after bold</p>\n"), "{html}");
        assert!(!html.contains("alert(1)>") && !html.contains("style") && !html.contains("onclick"), "{html}");
    }
    assert_eq!(readme_html("`<b>` \\<b> &lt;b&gt;"), "<p><code>&lt;b&gt;</code> &lt;b&gt; &lt;b&gt;</p>\n");
}

#[test]
fn of_a_long_readme_the_start_is_shown() {
    let html = readme_html(&"ünï\n".repeat(README_BYTES_MAX / 4));
    assert!(html.ends_with("<p>The rest of this file is too long to be shown.</p>"), "{}", &html[html.len() - 80..]);
    assert!(!readme_html(&"x".repeat(README_BYTES_MAX)).contains("too long"));
}

/// Each of these makes a naive renderer or a parser of HTML take hours: a second is a long time, but a busy machine
/// is slow.
#[test]
fn hostile_readmes_cost_little() {
    let fill = |text: &str| text.repeat(README_BYTES_MAX / text.len());
    let hostile = [
        fill(">"),
        fill("> "),
        fill("- "),
        fill("*a "),
        fill("**a *b "),
        fill("["),
        fill("[a]("),
        fill("![["),
        fill("`a``"),
        fill("<b>"),
        fill("|a"),
        format!("{}\n{}\n{}", "|a".repeat(5_000), "|-".repeat(5_000), "|b\n".repeat(100_000)),
        fill("[^a]: > "),
        fill("[^a]"),
        fill("# a\n"),
        fill("a\n=\n"),
        fill("# *"),
        fill("&#0;"),
        fill("<!-- "),
        fill("[a]: b\n"),
        fill("1. a\n  "),
    ];
    for markdown in hostile {
        let start = Instant::now();
        let html = readme_html(&markdown);
        let head: String = markdown.chars().take(10).collect();
        assert!(start.elapsed() < Duration::from_secs(20), "{head:?} took {:?}", start.elapsed());
        assert!(html.len() < 128 * README_BYTES_MAX, "{head:?} became {} bytes", html.len());
    }
}

proptest! {
    #[test]
    fn nothing_but_the_allowed_comes_out(text in "(?s)[-a-z#*_~`>|<!/()\\[\\]^:=\"'&; \n0-9]{0,300}") {
        let html = readme_html(&text);
        for bad in ["<script", "<img", "<style", "<iframe", " style=", " src=", "javascript:"] {
            prop_assert!(!html.contains(bad), "{}", html);
        }
        prop_assert_eq!(clean(&html), html, "cleaning again changes nothing");
    }
}
