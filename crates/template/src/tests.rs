//! Templates as operators write them, values as strangers send them, and the scripts that come of both.

use super::*;
use proptest::prelude::*;
use std::process::Command;

const TEXT: &str = r##"#!/bin/sh
#: description = "Says hello."
#:
#: [[parameter]]
#: name = "who"
#: description = "Whom to greet"
#: kind = "word"
#: pattern = "[a-z]+"
#:
#: [[parameter]]
#: name = "how"
#: description = "In which tone"
#: choices = ["kindly", "loudly"]
#: default = "kindly"
#:
#: [[parameter]]
#: name = "digest"
#: description = "What it has to be"
#: kind = "sha256"
#: default = ""
set -eu
echo "hello $who, $how, $digest, on $builder_platform"
"##;

fn parse(text: &str) -> Result<Template, String> {
    Template::parse(text.as_bytes().into()).map_err(|error| error.to_string())
}

fn values(pairs: &[(&str, &str)]) -> Values {
    Values::parse(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap()
}

fn fill(template: &Template, pairs: &[(&str, &str)]) -> Result<String, String> {
    let (name, platform) = (TemplateName::parse(b"hello").unwrap(), Platform::parse(b"debian-12").unwrap());
    let script = template.fill(&name, &values(pairs), &platform).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(script).unwrap())
}

#[test]
fn values_become_variables_in_front_of_the_text() {
    let template = parse(TEXT).unwrap();
    assert_eq!(template.description(), "Says hello.");
    insta::assert_snapshot!(fill(&template, &[("who", "world")]).unwrap(), @r#"
    #!/bin/sh
    # template hello, filled in for debian-12
    builder_platform='debian-12'
    who='world'
    how='kindly'
    digest=''
    set -eu
    echo "hello $who, $how, $digest, on $builder_platform"
    "#);
    let plain = parse("echo $1\n").unwrap();
    let filled = fill(&plain, &[]).unwrap();
    assert_eq!(filled, "# template hello, filled in for debian-12\necho $1\n");
}

#[test]
fn what_does_not_fit_is_named() {
    let template = parse(TEXT).unwrap();
    let refused = |pairs: &[(&str, &str)]| fill(&template, pairs).unwrap_err();
    let errors = [
        refused(&[]),
        refused(&[("who", "world"), ("colour", "red")]),
        refused(&[("who", "World")]),
        refused(&[("who", "")]),
        refused(&[("who", "$(id)")]),
        refused(&[("who", "world"), ("how", "softly")]),
        refused(&[("who", "world"), ("digest", "abc")]),
        refused(&[("who", &"x1".repeat(300))]).replace("x1", "."),
        fill(&parse("true\n").unwrap(), &[("who", "x")]).unwrap_err(),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    parameter who is required (Whom to greet): a word of letters, digits and ._+-@~:, which begins with a letter or digit, matching [a-z]+
    it has no parameter colour; it has who, how, digest
    parameter who cannot be "World": it has to be a word of letters, digits and ._+-@~:, which begins with a letter or digit, matching [a-z]+
    parameter who cannot be "": it has to be a word of letters, digits and ._+-@~:, which begins with a letter or digit, matching [a-z]+
    parameter who cannot be "$(id)": it has to be a word of letters, digits and ._+-@~:, which begins with a letter or digit, matching [a-z]+
    parameter how cannot be "softly": it has to be one of kindly, loudly
    parameter digest cannot be "abc": it has to be 64 hexadecimal digits in lower case
    parameter who cannot be "...................................................................................................."…: it has to be a word of letters, digits and ._+-@~:, which begins with a letter or digit, matching [a-z]+
    it has no parameter who; it has none
    "#);
    assert!(fill(&template, &[("who", "world"), ("digest", "")]).is_ok(), "empty says none, where that is the default");
}

#[test]
fn declarations_are_refused_with_their_line() {
    let parameter = |lines: &str| format!("#!/bin/sh\n#: [[parameter]]\n#: name = \"a\"\n{lines}\n");
    let described = |lines: &str| parameter(&format!("#: description = \"d\"\n{lines}"));
    let many = "#: [[parameter]]\n#: name = \"a\"\n#: description = \"d\"\n".repeat(65);
    let texts = [
        "#!/usr/bin/python3\n".to_owned(),
        "#!/usr/bin/env -S perl -w\n".to_owned(),
        "#!\n".to_owned(),
        "#: description = 5\n".to_owned(),
        "#: colour = \"red\"\n".to_owned(),
        parameter("#: descr = \"d\""),
        parameter("#: description = \"\""),
        described("#: kind = \"date\""),
        described("#: pattern = \"a)(b\""),
        described("#: pattern = \"(\""),
        described("#: default = \"a\\nb\""),
        described("#: kind = \"integer\"\n#: default = \"x\""),
        described("#: [[parameter]]\n#: name = \"a\"\n#: description = \"e\""),
        "#: [[parameter]]\n#: name = \"PATH\"\n#: description = \"d\"\n".to_owned(),
        "#: [[parameter]]\n#: name = \"builder_x\"\n#: description = \"d\"\n".to_owned(),
        format!("#: description = \"{}\"\n", "x".repeat(HEAD_BYTES_MAX)),
        "#: description = \"d\"\n\n#: [[parameter]]\n".to_owned(),
        many,
    ];
    let errors: Vec<String> = texts.iter().map(|text| parse(text).unwrap_err()).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    line 1 names python3, which is no shell: values are filled in as variables of one
    line 1 names perl, which is no shell: values are filled in as variables of one
    line 1 names nothing, which is no shell: values are filled in as variables of one
    line 1: invalid type: integer `5`, expected a string
    line 1: unknown field `colour`, expected `description` or `parameter`
    line 4: unknown field `descr`, expected one of `name`, `description`, `kind`, `pattern`, `choices`, `default`
    parameter a: its description has to be one line
    line 5: unknown variant `date`, expected one of `text`, `word`, `path`, `url`, `sha256`, `integer`, `boolean`
    parameter a: its pattern a)(b cannot be read: found closing ')' without matching '('
    parameter a: its pattern ( cannot be read: found open group without closing ')'
    parameter a: its default cannot be used: the value of a is not one line of UTF-8 without control characters
    parameter a: its default "x" is not a whole number from 0 on
    parameter a is declared twice
    parameter name PATH is not allowed: it has to be 1 to 64 of a-z, 0-9 and _, a letter first
    parameter name builder_x is not allowed: what begins with builder_ is set by builder
    the lines that begin with #: have more than 65536 bytes
    line 3 begins with #: but stands behind the declaration, which ends at the first other line
    it declares more than 64 parameters
    "#);
    let not_text = Template::parse(b"#: description = \"\xff\"\n".as_slice().into()).unwrap_err();
    assert_eq!(not_text, TemplateError::HeadText);
}

#[test]
fn shells_and_no_shebang_are_taken() {
    for shebang in ["", "#!/bin/sh\n", "#!/bin/sh -e\n", "#!/usr/bin/env bash\n", "#! /usr/local/bin/dash\n"] {
        assert!(parse(&format!("{shebang}true\n")).is_ok(), "{shebang}");
    }
}

/// Any line of text, most of them made of what means something to a shell.
fn value() -> impl Strategy<Value = String> {
    let sharp =
        prop::sample::select(vec!["'", "\"", "\\", "$", "`", ";", "&", "|", "(id)", " ", "#", "!", "~", "*", "é"]);
    prop::collection::vec(sharp, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A real shell gives back what was filled in, and nothing else happens.
    #[test]
    fn a_shell_reads_values_as_they_are(first in value(), second in value()) {
        let declared = "#: [[parameter]]\n#: name = \"a\"\n#: description = \"d\"\n";
        let text = format!("{declared}{}printf '%s\\n%s\\n' \"$a\" \"$b\"\n", declared.replace("\"a\"", "\"b\""));
        let script = fill(&parse(&text).unwrap(), &[("a", &first), ("b", &second)]).unwrap();
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{first}\n{second}\n"));
        prop_assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }

    /// Octets never cause a panic.
    #[test]
    fn any_text_is_a_template_or_an_error(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut marked = b"#: ".to_vec();
        marked.extend(&text);
        for text in [text, marked] {
            if let Ok(template) = Template::parse(text.as_slice().into()) {
                prop_assert_eq!(template.text(), text.as_slice());
            }
        }
    }
}
