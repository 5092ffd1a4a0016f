//! `builder-inspect decode` over all golden vectors, and over what is no value at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use serde_json::Value;
use support::{inspect, run_with_input, vectors};

/// Where we refuse what the original takes, by the line of the file, and why: `docs/protocol.md` gives the reasons.
const DELIBERATE: [(usize, &str, &str); 3] = [
    (221, "generalized_time text 20300101000000.1_2Z", "byte 11: the time is malformed or impossible"),
    (288, "uuid of 17 bytes", "byte 2: a UUID has 16 octets, this one has 17"),
    (289, "uuid of 36 bytes", "byte 2: a UUID has 16 octets, this one has 36"),
];

fn decode(kind: &str, input: &str) -> Vec<Value> {
    let output = run_with_input(&mut inspect(&["decode", "--type", kind]), input.as_bytes());
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn agrees_with_the_original_but_for_the_named_differences() {
    let vectors = vectors();
    let mut differences = Vec::new();
    for kind in ["cmd", "exec", "state"] {
        let numbered = vectors.iter().enumerate().map(|(index, vector)| (index + 1, vector));
        let vectors: Vec<(usize, &Value)> = numbered.filter(|(_, vector)| vector["type"] == kind).collect();
        let input: String =
            vectors.iter().map(|(_, vector)| format!("{}\n", vector["hex"].as_str().unwrap())).collect();
        let answers = decode(kind, &input);
        assert_eq!(answers.len(), vectors.len(), "one answer a line");
        for ((number, vector), answer) in vectors.into_iter().zip(answers) {
            let accepted = vector["accept"].as_bool().unwrap_or(true);
            if answer["ok"] != accepted {
                let (why, error) = (vector["why"].as_str().unwrap(), answer["error"].as_str().unwrap());
                differences.push((number, why.to_owned(), error.to_owned()));
            } else if accepted {
                let reencoded = if vector["reencode"].is_null() { &vector["hex"] } else { &vector["reencode"] };
                assert_eq!(answer["value"], vector["value"], "line {number}");
                assert_eq!(&answer["reencoded"], reencoded, "line {number}");
            }
        }
    }
    let named: Vec<_> =
        DELIBERATE.iter().map(|(number, why, error)| (*number, (*why).to_owned(), (*error).to_owned())).collect();
    assert_eq!(differences, named);
}

#[test]
fn every_line_has_an_answer() {
    let answers = decode("cmd", "a6020500\n\nxyz\na60205\nA6020500\r\nb202050\nb2020500");
    let texts: Vec<String> = answers.iter().map(Value::to_string).collect();
    let info = r#"{"ok":true,"reencoded":"a6020500","value":{"cmd":"Info"}}"#;
    let expected = [
        info,
        r#"{"error":"byte 0: the data ends here, within an element","ok":false}"#,
        r#"{"error":"not hex: an odd number of digits","ok":false}"#,
        r#"{"error":"byte 0: the data ends here, within an element","ok":false}"#,
        info,
        r#"{"error":"not hex: an odd number of digits","ok":false}"#,
        r#"{"ok":true,"reencoded":"b2020500","value":{"cmd":"Success"}}"#,
    ];
    assert_eq!(texts, expected);
    assert_eq!(decode("state", "3000\nzz")[1].to_string(), r#"{"error":"not hex: no digits at 0","ok":false}"#);
    assert!(decode("exec", "").is_empty());
}

#[test]
fn the_type_must_be_given() {
    let result = support::run(&mut inspect(&["decode"]));
    assert_eq!(result.status, 2);
    assert!(result.stderr.contains("--type <TYPE>"), "{}", result.stderr);
}

#[test]
fn version_14_is_read_too() {
    let uuid = "0c1000112233445566778899aabbccddeeff";
    let times = "180f32303234303930353132333435365a181332303234303930353132333535372e3235305a";
    let row = format!("3049020107{uuid}0c016a0c0170020101{times}a003020100");
    let input = [
        "b7063004a0020500".to_owned(),
        "b71d301ba119301702022710a003020107a1030c016aa2030c0170a3020500".to_owned(),
        format!("b7163014a312{uuid}"),
        "b819301730150c01700c016a0c0d61206672656520776f726b6572".to_owned(),
        format!("b94f304d304b{row}"),
        format!("ba20301e301c{uuid}0c016a0201020c026e6f"),
        format!("bb31302f302d0c0562696e2f610202012c0c20{}", "ee".repeat(32)),
    ];
    let answers = decode("cmd", &input.join("\n"));
    let values: Vec<String> = answers.iter().map(|answer| answer["value"].to_string()).collect();
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    let expected = [
        r#"{"cmd":"Ask_waits"}"#.to_owned(),
        r#"{"before":7,"cmd":"Ask_builds","count":10000,"failed":true,"job":"6a","platform":"70"}"#.to_owned(),
        format!(r#"{{"cmd":"Ask_artifacts","uuid":"{uuid}"}}"#),
        r#"{"cmd":"Waits_reply","waits":[{"job":"6a","platform":"70","reason":"61206672656520776f726b6572"}]}"#
            .to_owned(),
        format!(
            r#"{{"builds":[{{"attempts":1,"finished":"2024-09-05T12:35:57.250000000000Z","job":"6a","number":7,"platform":"70","record_bytes":null,"result":{{"exited":0}},"started":"2024-09-05T12:34:56.000000000000Z","uploaded":null,"uuid":"{uuid}"}}],"cmd":"Builds_reply","next":null}}"#
        ),
        format!(r#"{{"cmd":"Uploads_reply","uploads":[{{"error":"6e6f","job":"6a","tries":2,"uuid":"{uuid}"}}]}}"#),
        format!(
            r#"{{"artifacts":[{{"path":"62696e2f61","sha256":"{}","size":300}}],"cmd":"Artifacts_reply"}}"#,
            "ee".repeat(32)
        ),
    ];
    assert_eq!(values, expected);
    assert!(answers.iter().zip(&input).all(|(answer, input)| answer["reencoded"] == input.as_str()));
}

#[test]
fn what_version_14_says_about_templates_is_read_too() {
    let job = "0c016a0c016e300830060c01610c0178a0030c0170";
    let input = [
        format!("bc1d301ba10205003015{job}"),
        "b7143012a410300ea0030c016ea1030c0170a2020500".to_owned(),
        "b7163014a51230100c016e0c0170300830060c01610c0178".to_owned(),
        "bd143012a010300e300c0c016e0c0170a1040c026e6f".to_owned(),
        "bd073005a1030c0173".to_owned(),
    ];
    let answers = decode("cmd", &input.join("\n"));
    let values: Vec<String> = answers.iter().map(|answer| answer["value"].to_string()).collect();
    let told = r#"[{"parameter":"61","value":"78"}]"#;
    let expected = [
        format!(
            r#"{{"cmd":"Schedule_template","job":{{"name":"6a","platform":"70","template":"6e","values":{told}}},"period":"daily"}}"#
        ),
        r#"{"cmd":"Ask_templates","name":"6e","platform":"70","text":true}"#.to_owned(),
        format!(r#"{{"cmd":"Ask_render","platform":"70","template":"6e","values":{told}}}"#),
        r#"{"cmd":"Templates_reply","templates":[{"error":"6e6f","name":"6e","platform":"70"}]}"#.to_owned(),
        r#"{"cmd":"Script_reply","script":"73"}"#.to_owned(),
    ];
    assert_eq!(values, expected);
    assert!(answers.iter().zip(&input).all(|(answer, input)| answer["reencoded"] == input.as_str()));
}
