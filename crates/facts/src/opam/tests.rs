//! Tests of the format itself: what is read, what is refused and how, and that any bytes do no harm.

use super::*;
use proptest::prelude::*;

fn value(text: &str) -> ValueKind {
    let file = File::parse(format!("f: {text}").as_bytes()).unwrap();
    let [Item::Field(field)] = file.items.as_slice() else { panic!("{file:?}") };
    field.value.kind.clone()
}

fn string(text: &str) -> ValueKind {
    ValueKind::String(text.to_owned())
}

#[test]
fn strings_have_escapes() {
    assert_eq!(value(r#""a\"b\\c\n\t\r\b\x41\066\'\ ""#), string("a\"b\\c\n\t\r\u{8}AB' "));
    assert_eq!(value("\"a\\\n   b\""), string("ab"));
    assert_eq!(value("\"\"\"\\\nline\n\"two\"\\\"\"\"\""), string("line\n\"two\"\""));
    assert_eq!(value("\"\"\"\"\"\""), string(""));
    assert_eq!(value(r#""\q\999\xzz""#), string(r"\q\999\xzz"));
    assert_eq!(value("\"two\nlines\""), string("two\nlines"));
    let file = File::parse(b"f: \"a\xffb\"").unwrap();
    assert_eq!(file.to_string(), "f: \"a\\xffb\"\n");
    assert_eq!(value("\"a\\xffb\""), string("a\u{fffd}ffb"));
}

#[test]
fn words_are_names_integers_or_truths() {
    assert_eq!(value("true"), ValueKind::Bool(true));
    assert_eq!(value("-1_000"), ValueKind::Int(-1000));
    for name in ["with-test", "0install", "a+b", "a+b:enable", "_:name", "conf-c:installed", "_", "PATH", "truex"] {
        assert_eq!(value(name), ValueKind::Ident(name.to_owned()));
    }
}

#[test]
fn operators_bind_as_in_opam() {
    for (text, tree) in [
        ("a & b | c & d", "Or(And(a b) And(c d))"),
        ("a & (b | c)", "And(a (Or(b c)))"),
        ("!a {x} & ?b", "And(!a{x} ?b)"),
        ("os = \"x\" & version >= \"2\"", "And([os=\"x\"] [version>=\"2\"])"),
        ("\"p\" {>= \"1\" & < \"2\" | build}", "\"p\"{Or(And([>=\"1\"] [<\"2\"]) build)}"),
        ("PATH += \"x\"", "[PATH+=\"x\"]"),
        ("[a =+= \"x\" b =: \"y\" !c]", "[[a=+=\"x\"] [b=:\"y\"] !c]"),
    ] {
        assert_eq!(shape(&value(text)), tree, "{text}");
    }
}

/// The tree with all its joints visible.
fn shape(kind: &ValueKind) -> String {
    let all = |values: &[Value]| values.iter().map(|value| shape(&value.kind)).collect::<Vec<_>>().join(" ");
    match kind {
        ValueKind::Bool(_) | ValueKind::Int(_) | ValueKind::String(_) | ValueKind::Ident(_) => {
            Value::from(kind.clone()).to_string()
        }
        ValueKind::List(values) => format!("[{}]", all(values)),
        ValueKind::Group(values) => format!("({})", all(values)),
        ValueKind::Option { value, constraints } => format!("{}{{{}}}", shape(&value.kind), all(constraints)),
        ValueKind::Relation { operator, left, right } => {
            format!("[{}{}{}]", shape(&left.kind), operator.as_str(), shape(&right.kind))
        }
        ValueKind::Environment { operator, left, right } => {
            format!("[{}{}{}]", shape(&left.kind), operator.as_str(), shape(&right.kind))
        }
        ValueKind::Constraint { operator, value } => format!("[{}{}]", operator.as_str(), shape(&value.kind)),
        ValueKind::Logic { operator, operands } => format!("{operator:?}({})", all(operands)),
        ValueKind::Prefix { operator, value } => format!("{}{}", operator.as_str(), shape(&value.kind)),
    }
}

#[test]
fn comments_and_sections_nest() {
    let text = b"# one\na: 1 (* two (* three *) *)\nurl { src: \"x\" inner \"n\" { b: [] } }\r\n";
    let file = File::parse(text).unwrap();
    assert_eq!(file.to_string(), "a: 1\nurl {\n  src: \"x\"\n  inner \"n\" {\n    b: []\n  }\n}\n");
    let Item::Section(section) = &file.items[1] else { panic!("{file:?}") };
    assert_eq!((section.span.start, section.span.end), (33, 36));
}

#[test]
fn errors_say_where_what_and_what_else() {
    let long = [b"x \"y\" ".as_slice(), &[b'x'; 100]].concat();
    let broken: [&[u8]; 13] = [
        b"a: 1\n\xc3\xbc: }",
        b"a: [1\n  2",
        b"a: \"x",
        b"x: (* y",
        b"x \"y\" z",
        b"x y",
        b"a: \"\xc3\xbc\" & ",
        b"a: b &\n \xff",
        b"a: 99999999999999999999",
        b"a: b {c} {d}",
        b"a: b }",
        b"a: [b: c]",
        &long,
    ];
    let errors: Vec<String> = broken.iter().map(|text| File::parse(text).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn depth_length_and_number_are_limited() {
    for (open, close) in [("[", "]"), ("(", ")"), ("a {", "}"), ("!", "")] {
        let nested = |levels: usize| format!("f: {}a{}", open.repeat(levels), close.repeat(levels));
        assert!(File::parse(nested(OPAM_DEPTH_MAX).as_bytes()).is_ok(), "{open}");
        let deeper = File::parse(nested(OPAM_DEPTH_MAX + 1).as_bytes());
        assert!(matches!(deeper, Err(OpamError::TooDeep { .. })), "{open}");
        let endless = File::parse(format!("f: {}", open.repeat(100_000)).as_bytes());
        assert!(matches!(endless, Err(OpamError::TooDeep { .. })), "{open}");
    }
    assert!(matches!(File::parse("s {".repeat(65).as_bytes()), Err(OpamError::TooDeep { .. })));
    let unclosed = "(*".repeat(100_000);
    assert!(matches!(File::parse(unclosed.as_bytes()), Err(OpamError::Syntax { .. })));
    let long = vec![b' '; OPAM_BYTES_MAX + 1];
    assert_eq!(File::parse(&long), Err(OpamError::TooLong { bytes: long.len() }));
    let many = format!("f: [{}]", "a ".repeat(OPAM_VALUES_MAX));
    assert!(matches!(File::parse(many.as_bytes()), Err(OpamError::TooManyValues { .. })));
    let wide = format!("f: {}", vec!["a"; 100_000].join(" & "));
    assert!(File::parse(wide.as_bytes()).unwrap().to_string().contains("\n  & a"));
}

fn atom() -> BoxedStrategy<Value> {
    prop_oneof![
        any::<bool>().prop_map(ValueKind::Bool),
        any::<i64>().prop_map(ValueKind::Int),
        any::<Vec<u8>>().prop_map(|bytes| ValueKind::String(crate::text::text(&bytes))),
        "[ \"\n\\\\\ta]{0,6}".prop_map(ValueKind::String),
        "[a-z][a-z0-9_-]{0,5}(\\+[a-z]{1,3})?(:[a-z]{1,3})?"
            .prop_filter("a truth is no name", |name| name != "true" && name != "false")
            .prop_map(ValueKind::Ident),
    ]
    .prop_map(Value::from)
    .boxed()
}

fn relation() -> BoxedStrategy<Value> {
    use RelationOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Matches, NotEqual};
    let operators = vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, Matches];
    (atom(), proptest::sample::select(operators), atom())
        .prop_map(|(left, operator, right)| {
            let (left, right) = (Box::new(left), Box::new(right));
            ValueKind::Relation { operator, left, right }.into()
        })
        .boxed()
}

fn environment() -> BoxedStrategy<Value> {
    use EnvironmentOperator::{Append, AppendColon, Prepend, PrependColon, Replace, ReplaceColon};
    let operators = vec![Append, AppendColon, Prepend, PrependColon, Replace, ReplaceColon];
    (atom(), proptest::sample::select(operators), atom())
        .prop_map(|(left, operator, right)| {
            let (left, right) = (Box::new(left), Box::new(right));
            ValueKind::Environment { operator, left, right }.into()
        })
        .boxed()
}

/// Values that the grammar can mean, up to a few levels.
fn any_value() -> BoxedStrategy<Value> {
    prop_oneof![atom(), relation(), environment()]
        .prop_recursive(4, 40, 4, |inner| {
            let enclosed = proptest::collection::vec(inner, 0..4).boxed();
            let list = enclosed.clone().prop_map(|values| Value::from(ValueKind::List(values))).boxed();
            let group = enclosed.clone().prop_map(|values| Value::from(ValueKind::Group(values))).boxed();
            let plain = prop_oneof![atom(), list, group].boxed();
            let option = (plain.clone(), enclosed)
                .prop_map(|(value, constraints)| ValueKind::Option { value: Box::new(value), constraints }.into());
            let prefix = plain
                .clone()
                .prop_map(|value| ValueKind::Prefix { operator: PrefixOperator::Not, value: Box::new(value) }.into());
            // `a < b` is a relation wherever it stands, so a constraint can only be what comes first.
            let constraint = atom().prop_map(|value| {
                ValueKind::Constraint { operator: RelationOperator::Less, value: Box::new(value) }.into()
            });
            let versions = proptest::collection::vec(constraint, 2..4)
                .prop_map(|operands| Value::from(ValueKind::Logic { operator: LogicOperator::And, operands }));
            let versioned = (plain.clone(), versions).prop_map(|(value, versions)| {
                ValueKind::Option { value: Box::new(value), constraints: vec![versions] }.into()
            });
            let operand = prop_oneof![plain, option, prefix, versioned, relation()].boxed();
            let and = proptest::collection::vec(operand.clone(), 2..4)
                .prop_map(|operands| ValueKind::Logic { operator: LogicOperator::And, operands }.into());
            let or = proptest::collection::vec(prop_oneof![operand.clone(), and.clone()], 2..4)
                .prop_map(|operands| ValueKind::Logic { operator: LogicOperator::Or, operands }.into());
            prop_oneof![operand, and, or]
        })
        .boxed()
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(values in proptest::collection::vec(any_value(), 1..4)) {
        let span = Span::default();
        let fields = values.into_iter().map(|value| Item::Field(Field { name: "x-f".to_owned(), value, span }));
        let section = Section { kind: "package".to_owned(), name: Some("a\"\n".to_owned()), items: fields.collect(), span };
        let file = File { items: vec![Item::Section(section)] };
        let text = file.to_string();
        prop_assert_eq!(File::parse(text.as_bytes()), Ok(file), "{}", text);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in any::<Vec<u8>>()) {
        if let Ok(switch) = Switch::parse(&bytes) {
            prop_assert!(switch.packages().len() <= bytes.len());
        }
    }

    #[test]
    fn any_pieces_do_no_harm(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "a", ":", "\"x\"", "\"\"\"", "[", "]", "{", "}", "(", ")", "&", "|", "!", "?", "=", "+", "1", "-", "\\", "\n",
        "package \"p\" {", "installed: [", "x-opam-monorepo-duniverse-dirs: [", "depends:", "#", "(*", "*)", "\u{fffd}",
    ]), 0..60)) {
        let text = pieces.join(" ");
        if let Ok(file) = File::parse(text.as_bytes()) {
            let printed = file.to_string();
            prop_assert_eq!(File::parse(printed.as_bytes()), Ok(file), "{}", printed);
        }
    }
}
