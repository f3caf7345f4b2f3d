//! Writes the seeds of all targets below a folder: the fixtures of the adapters, the built-in tables and cases, and the
//! example of every layout as bytes. They are made anew on every run, so none is committed.

use std::fs;
use std::path::{Path, PathBuf};

use tsunagi_adapters::Envelope;
use tsunagi_mappings::Tables;

use crate::{TODAY, adapter, base, builtin, fields, shape};

/// Writes all seeds, each target's in a folder of its name.
pub fn write_all(to: &Path) {
    Tables::of_files(&base::files()).unwrap_or_else(|faults| panic!("the base has faults: {faults:#?}"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    payloads(&root.join("adapters/fixtures"), to);
    tables(&root.join("mappings"), to);
    examples(to);
    texts(to);
}

fn payloads(fixtures: &Path, to: &Path) {
    for file in files_of(&fixtures.join("municipal_csv")) {
        let bytes = fs::read(&file).expect("a fixture");
        let charset = if name(&file).contains("cp932") { 3 } else { 1 };
        write(to, "municipal_csv", &name(&file), &[&[charset, 0, 8], bytes.as_slice()].concat());
    }
    for (at, text) in ["a,b\n\"x\ny\",\"\"\"\"\n\n1,2\r\n3\r4,5", "\u{feff}a\n\"\"\n"].iter().enumerate() {
        write(to, "municipal_csv", &format!("small{at}"), &[&[1, 0, 4], text.as_bytes()].concat());
    }
    for file in files_of(&fixtures.join("fhir_r4")) {
        write(to, "fhir_r4", &name(&file), &fs::read(&file).expect("a fixture"));
    }
    for file in files_of(&fixtures.join("pmh_api")) {
        write(to, "pmh_api", &name(&file), &[&[0], fs::read(&file).expect("a fixture").as_slice()].concat());
    }
    let values = [r#"[1.50e-3,"\ud83d\ude00\n",null,{"a":{"a":[]}}]"#, "[[[[[]]]]]", r#""é\u0000""#];
    for (at, value) in values.iter().enumerate() {
        write(to, "pmh_api", &format!("value{at}"), &[&[4], value.as_bytes()].concat());
    }
    let replies = [
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}"#,
        r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"422 no"}}]}"#,
        r#"{"type":"about:blank","title":"no","code":"kind_unsupported"}"#,
    ];
    for (at, body) in replies.iter().enumerate() {
        for status in [200_u16, 422, 503] {
            let [high, low] = status.to_be_bytes();
            write(to, "replies", &format!("{status}_{at}"), &[&[high, low, 5], body.as_bytes()].concat());
        }
    }
}

fn tables(mappings: &Path, to: &Path) {
    for (at, (_, text)) in base::FILES.iter().enumerate() {
        write(to, "tables", &format!("base{at}"), &[&[at as u8], text.as_bytes()].concat());
    }
    // The large ones name what the base has not: they show how faults are told.
    for (folder, at) in [("calendars", 0_u8), ("schedules", 9), ("schemes", 10)] {
        for file in files_of(&mappings.join(folder)) {
            write(to, "tables", &name(&file), &[&[at], fs::read(&file).expect("a table").as_slice()].concat());
        }
    }
    let list = fs::read(mappings.join("fixtures/municipal_changes.csv")).expect("a list");
    let text = String::from_utf8(list).expect("UTF-8");
    for (at, line) in text.lines().skip(1).enumerate() {
        for known in [0, 1] {
            write(to, "mergers", &format!("line{at}_{known}"), &[&[known], line.as_bytes()].concat());
        }
    }
    let parts = "23426,愛知県,海部郡,,十四山村,,2006-04-01,十四山村(23426)(某/梯、本栖及び古関)が弥富町(23428)に編入\n\
                 23428,愛知県,海部郡,,弥富町,,2006-04-01,十四山村(23426)(某/梯、本栖及び古関)が弥富町(23428)に編入\n";
    write(to, "mergers", "parts", &[&[0], parts.as_bytes()].concat());
    write(to, "mergers", "whole", &[&[0], text.as_bytes()].concat());
}

fn examples(to: &Path) {
    for (at, layout) in builtin().layouts().enumerate() {
        let at = u8::try_from(at).expect("few layouts");
        let record = builtin().example(builtin().kind(layout.kind()).expect("checked"));
        let document = builtin().localize(layout, &record, 1, TODAY).expect("written");
        let shape = shape(layout, Envelope::Single);
        let bytes = adapter(layout.format().as_str()).encode(&[document], &shape).expect("written");
        let id = layout.id().as_str().replace('/', "__");
        for other in 0..3 {
            write(to, "whole_way", &format!("{id}_{other}"), &[&[at, 0, other], bytes.as_slice()].concat());
            write(to, "whole_way", &format!("{id}_{other}_changed"), &[at, 1, other, 0, 3, b'\n']);
        }
        write(to, "whole_way", &format!("{id}_tape"), &[&[at, 2, 0], [7; 90].as_slice()].concat());
    }
}

fn texts(to: &Path) {
    let texts = [
        "令和8年4月1日",
        "R8.4.1",
        "R080401",
        "昭和25年3月上旬",
        "明治5年12月2日",
        "5080401",
        "不明",
        "1950-03-A1",
        "1950-A1-00",
        "0000-00-00",
        "20260401",
        "2026/04/01",
        "2026-04-01T10:20:30.125+09:00",
        "2026-03-31 20:00Z",
        "-03.250",
        "３２５０",
        "1,0",
        "ｱｲﾁ ﾊﾅｺ",
        "ジョ－ンズ・ガ゛",
        "true",
        "2",
        "{\"a\":[1.50,null]}",
        "Patient/1",
        "06130488",
        "123456789018",
        "3410712362",
        "442011",
        "00012345:あいう:１８７:05",
        "   12345",
        "7y6m",
        "6w0d",
        "ex-0123456789abcdef0123456789abcdef",
        "fhir_r4/vaccination",
    ];
    for chain in 0..fields::CHAINS.len() {
        let bytes = [&[chain as u8], texts.join("\n").as_bytes()].concat();
        write(to, "values", &format!("chain{chain}"), &bytes);
    }
    for what in 0..4_u8 {
        write(to, "checkpoint", &format!("some{what}"), &[&[what], [9; 60].as_slice()].concat());
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn name(file: &Path) -> String {
    file.file_name().expect("a name").to_string_lossy().into_owned()
}

fn write(to: &Path, target: &str, name: &str, bytes: &[u8]) {
    let folder = to.join(target);
    fs::create_dir_all(&folder).expect("made");
    fs::write(folder.join(name), bytes).expect("written");
}
