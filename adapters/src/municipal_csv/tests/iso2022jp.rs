//! ISO-2022-JP, whose two-byte characters are made of the bytes of ASCII.

use super::*;

const LABEL: Option<&str> = Some("iso-2022-jp");

mod in_iso_2022_jp {
    use super::*;
    adapter_contract! {
        adapter: MunicipalCsv,
        fixtures: FIXTURES,
        documents: table("[ -~ァ-ンぁ-ん　～－∥￠￡￢―予表能ソ一二人糖接愛、。\r\n\",]{0,12}"),
        shape: |documents| shape_of(documents, "iso-2022-jp", false),
        broken: [
            (b"a,a\r\nhimitsu,1\r\n", LABEL),
            (b"a\r\nhimitsu\x1b$B<*", LABEL),
            (b"a\r\n\x93\xfahimitsu\r\n", LABEL),
        ],
    }
}

const FIXTURES: [Sample; 3] = [
    (b"a,b\r\n1,\x1b$B@\\<o\x1b(B\r\n", LABEL),
    (b"\x1b$B@8G/7nF|\x1b(B\n\"\x1b$BG\"E|\x1b(B\n,\"\n", Some("ISO-2022-JP")),
    (b"a,b,c\r\x1b$B;R5\\DlD9\x1b(B,,1\r", Some("csiso2022jp")),
];

/// The rows of a file, a refused one as its column and reason.
fn rows(bytes: &[u8]) -> Vec<Result<Vec<String>, (u64, String, String)>> {
    let decoded = contract::decode(&MunicipalCsv, bytes, LABEL).unwrap();
    let row = |row: Result<Document, tsunagi_core::fault::RowFault>| match row {
        Ok(Document { content: Content::Row(row), .. }) => Ok(row.cells),
        Ok(_) => panic!("a CSV line is a row"),
        Err(fault) => Err((fault.row, fault.column, fault.reason.en)),
    };
    decoded.into_iter().map(row).collect()
}

#[test]
fn words_whose_bytes_hold_separators_go_there_and_back() {
    for (word, bytes) in [
        ("接種", b"\x1b\x24\x42\x40\x5C\x3C\x6F\x1B\x28\x42".as_slice()),
        ("生年月日", b"\x1B\x24\x42\x40\x38\x47\x2F\x37\x6E\x46\x7C\x1B\x28\x42"),
        ("尿糖", b"\x1B\x24\x42\x47\x22\x45\x7C\x1B\x28\x42"),
        ("子宮底長", b"\x1B\x24\x42\x3B\x52\x35\x5C\x44\x6C\x44\x39\x1B\x28\x42"),
    ] {
        assert_eq!(written(word, "iso-2022-jp").unwrap(), bytes, "{word}");
        let file = [b"a,b\n".as_slice(), bytes, b",x\n"].concat();
        assert_eq!(rows(&file), [Ok(vec![word.to_owned(), "x".to_owned()])], "{word}");
    }
    for word in ["東京都", "救急", "愛知", "予防接種"] {
        let file = [b"a\n".as_slice(), &written(word, "iso-2022-jp").unwrap(), b"\n"].concat();
        assert_eq!(rows(&file), [Ok(vec![word.to_owned()])], "{word}");
    }
}

#[test]
fn a_line_that_does_not_return_to_ascii_damages_only_itself() {
    let good = b"\x1b$B@\\<o\x1b(B,1\r\n".as_slice();
    for (broken, column) in [
        (b"\x1b$B@\\<o,1\r\n".as_slice(), "a"),
        (b"x,\x1b$B@\\<o\r\n", "b"),
        (b"x,\"\x1b$B@\\<o\",\"\r\n", "b"),
        (b"x,\x1b$(D0!\x1b(B\r\n", "b"),
        (b"x,\x0e1\x0f\r\n", "b"),
        (b"x,\x97\x5c\r\n", "b"),
        (b"x,\x1b(I1\r\n", "b"),
    ] {
        for end in [b"".as_slice(), good] {
            let file = [b"a,b\r\n".as_slice(), good, broken, end].concat();
            let found = rows(&file);
            let whole = Ok(vec!["接種".to_owned(), "1".to_owned()]);
            assert_eq!(found[0], whole);
            let (row, at, reason) = found[1].clone().unwrap_err();
            assert_eq!((row, at.as_str()), (2, column), "{broken:?}");
            assert!(reason.starts_with("this line is not ISO-2022-JP"), "{reason}");
            assert_eq!(found[2..], if end.is_empty() { vec![] } else { vec![whole] }, "{broken:?}");
        }
    }
    // Only the last line has no line end, and JIS X 0201's letters are ASCII enough to end in.
    assert_eq!(rows(b"a\n\x1b$B@\\\x1b(J"), [Ok(vec!["接".to_owned()])]);
    let (row, ..) = rows(b"a\n1\n\x1b$B@\\")[1].clone().unwrap_err();
    assert_eq!(row, 2);
}

#[test]
fn a_header_that_cannot_be_read_refuses_the_file() {
    assert!(
        payload_fault(b"\x1b$B@\\<o,b\n1,2\n", LABEL).starts_with("header, column 1: this line is not ISO-2022-JP")
    );
}

#[test]
fn only_jis_x_0208_is_written() {
    for (given, read_back) in [("〜", "～"), ("−", "－"), ("‖", "∥"), ("—", "―"), ("¢£¬", "￠￡￢"), ("¥‾", "￥￣")]
    {
        let file = [b"c\n".as_slice(), &written(given, "iso-2022-jp").unwrap(), b"\n"].concat();
        assert_eq!(rows(&file), [Ok(vec![read_back.to_owned()])]);
    }
    assert_eq!(written("〜", "iso-2022-jp").unwrap(), b"\x1b$B!A\x1b(B");
    assert_eq!(written("−", "iso-2022-jp").unwrap(), b"\x1b$B!]\x1b(B");
    // Vendor rows, half-width kana, what no row has, and what would be taken for an escape.
    for (cell, character) in [
        ("髙", 1),
        ("山﨑", 2),
        ("a①", 2),
        ("ｱ", 1),
        ("アｲ", 2),
        ("𠮷岡", 1),
        ("辻\u{e0100}", 2),
        ("\u{10de92}", 1),
        ("a\u{1b}", 2),
    ] {
        let place = format!("the receiver's charset has no place for character {character}");
        assert_eq!(written(cell, "iso-2022-jp"), Err(place), "{cell}");
    }
}

#[test]
fn every_cell_and_line_ends_in_ascii() {
    let shape = Shape { columns: vec!["接".to_owned(), "種".to_owned()], ..shape_of(&[], "iso-2022-jp", true) };
    let bytes = MunicipalCsv.encode(&[document(1, &["接", "種"], &["日", "一,二\"\n三"])], &shape).unwrap();
    let expected =
        b"\x1b$B@\\\x1b(B,\x1b$B<o\x1b(B\r\n\x1b$BF|\x1b(B,\"\x1b$B0l\x1b(B,\x1b$BFs\x1b(B\"\"\n\x1b$B;0\x1b(B\"\r\n";
    assert_eq!(bytes, expected);
    assert_eq!(cells(&bytes, LABEL), [["日", "一,二\"\n三"]]);
}

/// Escapes, characters and line ends meet the end of a piece at every offset, and a damaged line spans pieces.
#[test]
fn where_a_piece_ends_makes_no_difference() {
    let line = b"\x1b$B@\\<o\x1b(B,\"\x1b$BF|\x1b(B\r\n2\"\r\n".as_slice();
    let damaged = b"x,\x1b$B@\\<o\r\n".as_slice();
    for pad in 0..line.len() {
        let mut file = [vec![b'x'; pad], b",b\r\n".to_vec()].concat();
        for at in 0..8_000 {
            file.extend_from_slice(if at % 100 == 50 { damaged } else { line });
        }
        let whole = contract::decode(&MunicipalCsv, &file, LABEL).unwrap();
        let source = Box::new(std::io::Cursor::new(file));
        let streamed: Vec<_> = MunicipalCsv.decode_source(source, LABEL).unwrap().collect();
        assert_eq!(whole, streamed);
        assert_eq!(whole.len(), 8_000);
        for (at, row) in whole.iter().enumerate() {
            assert_eq!(row.is_err(), at % 100 == 50, "pad {pad}, row {at}");
        }
        let last = whole.last().unwrap().as_ref().unwrap();
        let Content::Row(row) = &last.content else { panic!("a row") };
        assert_eq!(row.cells, ["接種", "日\r\n2"], "pad {pad}");
    }
}
