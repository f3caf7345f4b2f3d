use std::sync::Arc;

use proptest::prelude::*;
use tsunagi_core::document::{Content, Document, Node, Row};
use tsunagi_core::fault::RowCode;

use super::MunicipalCsv;
use crate::contract::{self, Sample, adapter_contract};
use crate::plug::{Adapter, Envelope, Payload, Shape};

mod iso2022jp;
mod stream;

const VACCINATION: Sample = (include_bytes!("../../fixtures/municipal_csv/vaccination_cp932.csv"), Some("Windows-31J"));
const SUBSIDY: Sample = (include_bytes!("../../fixtures/municipal_csv/subsidy_utf8_bom.csv"), Some("utf-8"));
const MATERNAL: Sample = (include_bytes!("../../fixtures/municipal_csv/maternal_checkup_cp932.csv"), Some("shift_jis"));
const CHECKUP: Sample = (include_bytes!("../../fixtures/municipal_csv/infant_checkup_utf8.csv"), None);

mod in_utf8 {
    use super::*;
    adapter_contract! {
        adapter: MunicipalCsv,
        fixtures: [VACCINATION, SUBSIDY, CHECKUP],
        documents: table("(?s)([,\"\r\n]|.){0,8}"),
        shape: |documents| shape_of(documents, "utf-8-bom", true),
        broken: BROKEN,
    }
}

mod in_cp932 {
    use super::*;
    adapter_contract! {
        adapter: MunicipalCsv,
        fixtures: [VACCINATION, CHECKUP, MATERNAL],
        documents: table("[ -~ァ-ンぁ-んｱ-ﾟ①-⑳　～－∥￠￡￢―髙﨑予表能ソ一二人、。\r\n\",]{0,12}"),
        shape: |documents| shape_of(documents, "cp932", false),
        broken: BROKEN,
    }
}

const BROKEN: [Sample; 9] = [
    (b"\xef\xbb\xbfa,b\r\n1,himitsu\r\n", Some("cp932")),
    (b"a,a\r\nhimitsu,1\r\n", None),
    (b"\"a\"himitsu,b\r\n1,2\r\n", None),
    (b"a,b\r\n1,himitsu,3\r\n", None),
    (b"a,b\r\n1,\"himitsu\r\n2,3\r\n", None),
    (b"a,b\r\n1,\"x\"himitsu\r\n", None),
    (b"a,b\r\n1,himitsu\x81", Some("shift_jis")),
    (b"a,b\r\n1,himitsu\xff", None),
    (b"a,b\r\n1,himitsu", Some("euc-jp")),
];

/// Tables of one to five columns; the columns are the same for all rows.
fn table(cell: impl Strategy<Value = String> + Clone + 'static) -> impl Strategy<Value = Vec<Document>> {
    (1..=5usize).prop_flat_map(move |width| {
        let line = proptest::collection::vec(cell.clone(), width);
        proptest::collection::vec(line, 0..6).prop_map(move |lines| {
            let columns = Arc::new((1..=width).map(|n| format!("項目{n}")).collect::<Vec<_>>());
            let row = |cells| Content::Row(Row { columns: Arc::clone(&columns), cells });
            (1..).zip(lines).map(|(number, cells)| Document { row: number, content: row(cells) }).collect()
        })
    })
}

fn shape_of(documents: &[Document], charset: &str, crlf: bool) -> Shape {
    let columns = match documents.first() {
        Some(Document { content: Content::Row(row), .. }) => row.columns.to_vec(),
        _ => vec!["項目1".to_owned()],
    };
    Shape { columns, charset: charset.to_owned(), crlf, envelope: Envelope::Batch }
}

fn document(row: u64, columns: &[&str], cells: &[&str]) -> Document {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Document { row, content: Content::Row(Row { columns: Arc::new(owned(columns)), cells: owned(cells) }) }
}

fn cells(bytes: &[u8], charset: Option<&str>) -> Vec<Vec<String>> {
    let row = |document: Document| match document.content {
        Content::Row(row) => row.cells,
        Content::Tree(_) => panic!("a CSV line is a row"),
    };
    contract::documents(&MunicipalCsv, bytes, charset).into_iter().map(row).collect()
}

fn payload_fault(bytes: &[u8], charset: Option<&str>) -> String {
    contract::decode(&MunicipalCsv, bytes, charset).unwrap_err().reason.en
}

/// Writes one cell, gives its bytes without header and line end.
fn written(cell: &str, charset: &str) -> Result<Vec<u8>, String> {
    let shape =
        Shape { columns: vec!["c".to_owned()], charset: charset.to_owned(), crlf: false, envelope: Envelope::Batch };
    let faults = match MunicipalCsv.encode(&[document(3, &["c"], &[cell])], &shape) {
        Ok(bytes) => return Ok(bytes.strip_prefix(b"c\n").unwrap().strip_suffix(b"\n").unwrap().to_vec()),
        Err(faults) => faults,
    };
    assert!(
        matches!(faults.as_slice(), [one] if (one.row, one.column.as_str(), one.code) == (3, "c", RowCode::Unmappable))
    );
    Err(faults[0].reason.en.clone())
}

#[test]
fn fixtures_are_what_their_names_say() {
    assert!(std::str::from_utf8(VACCINATION.0).is_err());
    assert!(SUBSIDY.0.starts_with(b"\xef\xbb\xbf"));
    let vaccination = cells(VACCINATION.0, VACCINATION.1);
    assert_eq!(vaccination[0][2], "髙﨑　汐里");
    assert_eq!(vaccination[1][14], "母の申し出で「2回目」の日程を\r\n電話で連絡");
    assert_eq!(vaccination[2][10], "=HB-21", "a formula is data");
    assert_eq!(vaccination[2][13..], ["", ""], "a short line is filled");
    let subsidy = contract::documents(&MunicipalCsv, SUBSIDY.0, SUBSIDY.1);
    let Content::Row(row) = &subsidy[2].content else { panic!("a row") };
    assert_eq!(row.cell("公費負担者番号"), Some("06130488"), "the byte order mark is not part of the first name");
    assert_eq!(row.cell("氏名"), Some("辻\u{e0100}　みのり"));
}

#[test]
fn second_bytes_are_not_separators() {
    // 予 97 5C, 表 95 5C, ソ 83 5C; ー 81 5B; the vendor rows 髙 FB FC, 﨑 ED 95 or FA B1, ① 87 40.
    let file = b"\x97\x5c\x96\x68,\x95\x5c\r\n\x83\x5c\x81\x5b,\xfb\xfc\xed\x95\xfa\xb1\x87\x40\r\n";
    for label in ["shift_jis", "Shift_JIS", "windows-31j", "CP932", "sjis", "ms932"] {
        let read = contract::documents(&MunicipalCsv, file, Some(label));
        assert_eq!(read, [document(1, &["予防", "表"], &["ソー", "髙﨑﨑①"])]);
    }
}

#[test]
fn cp932_is_written_with_its_own_twins() {
    assert_eq!(written("予防接種", "cp932").unwrap(), b"\x97\x5c\x96\x68\x90\xda\x8e\xed");
    assert_eq!(written("髙﨑①", "shift_jis").unwrap(), b"\xfb\xfc\xfa\xb1\x87\x40");
    for (given, read_back) in [
        ("〜", "～"),
        ("～", "～"),
        ("−", "－"),
        ("－", "－"),
        ("‖", "∥"),
        ("—", "―"),
        ("¢£¬", "￠￡￢"),
        ("¥", "￥"),
        ("‾", "￣"),
        ("ｱｲﾁ ﾊﾅｺ", "ｱｲﾁ ﾊﾅｺ"),
    ] {
        let bytes = [b"c\n".as_slice(), &written(given, "cp932").unwrap()].concat();
        assert_eq!(cells(&bytes, Some("cp932")), [[read_back]]);
        assert_eq!(written(given, "utf-8").unwrap(), given.as_bytes(), "UTF-8 needs no twin");
    }
}

#[test]
fn what_cp932_cannot_hold_is_a_fault_with_its_place() {
    for (cell, character) in [("𠮷岡", 1), ("辻\u{e0100}", 2), ("名\u{10de92}", 2), ("\u{e000}", 1), ("a,\"b\"萊", 6)]
    {
        let place = format!("the receiver's charset has no place for character {character}");
        assert_eq!(written(cell, "cp932"), Err(place), "{cell}");
        assert!(written(cell, "utf-8").is_ok());
    }
    let shape = Shape { columns: vec!["𠮷".to_owned()], ..shape_of(&[], "cp932", true) };
    let faults = MunicipalCsv.encode(&[], &shape).unwrap_err();
    assert!(matches!(faults.as_slice(), [one] if one.row == 0 && one.code == RowCode::Unmappable));
}

#[test]
fn characters_without_a_place_are_named_once_a_cell() {
    let shape = Shape { columns: vec!["a".to_owned(), "b".to_owned()], ..shape_of(&[], "cp932", true) };
    let rows = [document(1, &["a", "b"], &["髙〜", "𠮷と𠮷と萊"]), document(2, &["a", "b"], &["𠮷", "表"])];
    let found: Vec<_> =
        MunicipalCsv.unmappable(&rows, &shape).into_iter().map(|one| (one.row, one.column, one.character)).collect();
    assert_eq!(found, [(1, "b".to_owned(), '萊'), (1, "b".to_owned(), '𠮷'), (2, "a".to_owned(), '𠮷')]);
    assert!(MunicipalCsv.unmappable(&rows, &Shape { charset: "utf-8".to_owned(), ..shape }).is_empty());
}

#[test]
fn broken_bytes_are_refused_where_they_stand() {
    assert_eq!(payload_fault(b"a,b\n1,\x97\n", Some("cp932")), "byte 6 (line 2) is not CP932");
    assert_eq!(payload_fault(b"a\n1\n\x81", Some("cp932")), "byte 4 (line 3) is not CP932");
    assert_eq!(payload_fault(b"a\n\xfd", Some("cp932")), "byte 2 (line 2) is not CP932");
    assert_eq!(payload_fault(b"a,b\n1,\x97\x5c\n", None), "byte 6 (line 2) is not UTF-8");
    let long = [b"a\n".as_slice(), &b"\xb1".repeat(100_000), b"\xff"].concat();
    assert_eq!(payload_fault(&long, Some("cp932")), "byte 100002 (line 2) is not CP932");
}

#[test]
fn header_is_required_and_names_are_different() {
    for bytes in [b"".as_slice(), b"\r\n1,2\r\n", b",,\n", b"\xef\xbb\xbf"] {
        assert_eq!(payload_fault(bytes, None), "there is no header line");
    }
    assert_eq!(payload_fault(b"a,b,c,b\n", None), "columns 2 and 4 of the header have the same name");
    assert!(payload_fault(b"\"a,b\n1,2\n", None).starts_with("header, column 1: the quote that opens here"));
    assert!(cells(b"a,b\n", None).is_empty());
    let wide = |columns: usize| (0..columns).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(cells(format!("{}\n1\n", wide(1000)).as_bytes(), None)[0].len(), 1000);
    assert_eq!(payload_fault(format!("{}\n1\n", wide(1001)).as_bytes(), None), "the header has more than 1000 columns");
}

#[test]
fn lines_quotes_and_blanks() {
    for file in ["a,b\r\n1,2\r\n3,4\r\n", "a,b\n1,2\n3,4", "a,b\r1,2\r3,4\r"] {
        assert_eq!(cells(file.as_bytes(), None), [["1", "2"], ["3", "4"]]);
    }
    assert_eq!(
        cells(b"a,b\n\"x\ny\",\"say \"\"hi\"\"\"\n5\" tube,\n", None),
        [["x\ny", "say \"hi\""], ["5\" tube", ""]]
    );
    let rows = contract::documents(&MunicipalCsv, b"a,b\n\n1,2\n\n\n3\n,\n\n", None);
    let numbers: Vec<u64> = rows.iter().map(|document| document.row).collect();
    assert_eq!(numbers, [2, 5, 6], "blank lines are counted as a spreadsheet counts them");
    assert_eq!(cells(b"a\n\"\"\n", None), [[""]], "a quoted empty cell is not a blank line");
}

#[test]
fn one_bad_line_does_not_spoil_the_next() {
    let rows = contract::decode(&MunicipalCsv, b"a,b\n1,2,3\n\"x\"y,2\n1,2\n3,\"4\n5,6\n", None).unwrap();
    let faults: Vec<_> = rows.iter().filter_map(|row| row.as_ref().err()).collect();
    let places: Vec<_> = faults.iter().map(|fault| (fault.row, fault.column.as_str(), fault.code)).collect();
    assert_eq!(places, [(1, "", RowCode::Malformed), (2, "a", RowCode::Malformed), (4, "b", RowCode::Malformed)]);
    assert_eq!(faults[0].reason.en, "the header has 2 columns, this row has 3");
    assert_eq!(rows[2], Ok(document(3, &["a", "b"], &["1", "2"])));
    assert_eq!(rows.len(), 4);
}

#[test]
fn columns_are_written_in_the_order_of_the_shape() {
    let shape = Shape {
        columns: ["b", "c", "a"].map(str::to_owned).to_vec(),
        charset: "utf-8-bom".to_owned(),
        crlf: true,
        envelope: Envelope::Batch,
    };
    let rows = [document(1, &["a", "b"], &["=1+1", "x,\"y\"\n"]), document(2, &["b", "c", "a"], &["@1", "+2"])];
    let expected = "\u{feff}b,c,a\r\n\"x,\"\"y\"\"\n\",,=1+1\r\n@1,+2,\r\n";
    assert_eq!(MunicipalCsv.encode(&rows, &shape).unwrap(), expected.as_bytes());
}

#[test]
fn a_second_byte_order_mark_is_part_of_the_first_name() {
    let rows = contract::documents(&MunicipalCsv, b"\xef\xbb\xbf\xef\xbb\xbfa\n1\n", None);
    assert_eq!(rows, [document(1, &["\u{feff}a"], &["1"])]);
    for charset in ["utf-8", "utf-8-bom"] {
        let bytes = MunicipalCsv.encode(&rows, &shape_of(&rows, charset, false)).unwrap();
        assert_eq!(contract::documents(&MunicipalCsv, &bytes, Some(charset)), rows);
    }
}

#[test]
fn nothing_is_left_out_without_a_word() {
    let shape = shape_of(&[document(1, &["a"], &["1"])], "utf-8", true);
    let faults = MunicipalCsv.encode(&[document(4, &["a", "z"], &["1", "2"])], &shape).unwrap_err();
    assert!(matches!(faults.as_slice(), [one] if (one.row, one.column.as_str()) == (4, "z")));
    let tree = Document { row: 9, content: Content::Tree(Node::Null) };
    assert_eq!(MunicipalCsv.encode(&[tree], &shape).unwrap_err()[0].row, 9);
    for shape in [Shape { charset: "euc-jp".to_owned(), ..shape.clone() }, Shape { columns: vec![], ..shape }] {
        assert_eq!(MunicipalCsv.encode(&[], &shape).unwrap_err()[0].row, 0);
    }
}

#[test]
fn rows_are_made_as_they_are_asked_for() {
    let file = format!("a,b\n{}\"unclosed", "1,2\n".repeat(100_000));
    let mut rows = MunicipalCsv.decode(Payload { bytes: file.as_bytes(), charset: None }).unwrap();
    let (first, second) = (rows.next().unwrap().unwrap(), rows.next().unwrap().unwrap());
    let (Content::Row(first), Content::Row(second)) = (first.content, second.content) else { panic!("rows") };
    assert!(Arc::ptr_eq(&first.columns, &second.columns), "the header is shared");
    let (read, refused): (Vec<_>, Vec<_>) = rows.partition(Result::is_ok);
    assert_eq!((read.len(), refused.len()), (99_998, 1));
    assert_eq!(refused[0].as_ref().unwrap_err().row, 100_001);
}

proptest! {
    #[test]
    fn others_read_what_is_written(documents in table("(?s)([,\"\r\n]|.){0,8}")) {
        let bytes = MunicipalCsv.encode(&documents, &shape_of(&documents, "utf-8", true)).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let theirs: Vec<Vec<String>> = reader.deserialize().map(Result::unwrap).collect();
        prop_assert_eq!(theirs, cells(&bytes, None));
    }
}
