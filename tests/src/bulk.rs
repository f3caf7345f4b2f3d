//! Large files of entitlements as an older subsidy system exports them, in which every hundredth row is wrong in one of
//! ten ways, each of which is known.

/// One way to be wrong.
pub struct Wrong {
    /// The column that is said to be at fault; empty where the row as a whole is.
    pub column: &'static str,
    /// The code of the reason.
    pub code: &'static str,
    spoil: fn(&mut Vec<String>),
}

/// The header of the legacy layout, in its order.
pub const COLUMNS: [&str; 25] = [
    "個人番号",
    "宛名番号",
    "負担者番号",
    "受給者番号",
    "被保険者番号",
    "漢字氏名",
    "ｶﾅ氏名",
    "生年月日",
    "性別",
    "住所",
    "不開示フラグ",
    "団体ｺｰﾄﾞ",
    "証種別",
    "受給者証名",
    "受給者証サブキー",
    "助成ｺｰﾄﾞ",
    "区分",
    "所得区分",
    "付加条件",
    "指定医療機関情報",
    "常に償還払い",
    "自己負担上限額",
    "有効開始日",
    "有効終了日",
    "削除フラグ",
];

/// The ten ways.
pub const WRONGS: [Wrong; 10] = [
    Wrong { column: "負担者番号", code: "invalid_identifier", spoil: |cells| cells[2] = "5401602".to_owned() },
    Wrong { column: "受給者番号", code: "invalid_identifier", spoil: |cells| cells[3] = "1".repeat(31) },
    Wrong { column: "漢字氏名", code: "incomplete", spoil: |cells| cells[5].clear() },
    Wrong { column: "生年月日", code: "invalid_value", spoil: |cells| cells[7] = "令和0年4月1日".to_owned() },
    Wrong { column: "性別", code: "unmapped", spoil: |cells| cells[8] = "3".to_owned() },
    Wrong { column: "不開示フラグ", code: "invalid_value", spoil: |cells| cells[10] = "不明".to_owned() },
    Wrong {
        column: "団体ｺｰﾄﾞ", code: "destination_ambiguous", spoil: |cells| cells[11] = "193411".to_owned()
    },
    Wrong { column: "助成ｺｰﾄﾞ", code: "unmapped", spoil: |cells| cells[15] = "99".to_owned() },
    Wrong { column: "有効開始日", code: "incomplete", spoil: |cells| cells[22].clear() },
    Wrong { column: "", code: "malformed", spoil: |cells| cells.push("余り".to_owned()) },
];

/// In what way a row is wrong, if it is.
pub fn wrong(row: u64) -> Option<&'static Wrong> {
    (row % 100 == 50).then(|| &WRONGS[(row / 100 % 10) as usize])
}

/// One line of the file, without its end. Each row is another child.
pub fn line(row: u64) -> String {
    let mut cells = vec![String::new(); COLUMNS.len()];
    let set = [
        (1, format!("A{row:09}")),
        (2, "81440018".to_owned()),
        (3, format!("T{row:09}")),
        (5, format!("架空{}子", digits(row))),
        (6, "ｶｸｳ ﾊﾅｺ".to_owned()),
        (7, format!("令和{}年{}月{}日", row % 7 + 2, row % 12 + 1, row % 28 + 1)),
        (8, (row % 2 + 1).to_string()),
        (9, format!("大分県大分市架空町{}丁目{}番", row % 9 + 1, row % 80 + 1)),
        (10, "0".to_owned()),
        (11, "442011".to_owned()),
        (12, "KODOMO01".to_owned()),
        (13, "子ども医療費受給資格者証".to_owned()),
        (15, "1".to_owned()),
        (20, "0".to_owned()),
        (22, "令和8年4月1日".to_owned()),
        (23, "令和9年3月31日".to_owned()),
    ];
    for (at, cell) in set {
        cells[at] = cell;
    }
    if let Some(wrong) = wrong(row) {
        (wrong.spoil)(&mut cells);
    }
    cells.join(",")
}

/// The first line, without its end.
pub fn header() -> String {
    COLUMNS.join(",")
}

/// A number in Chinese digits: part of a name that no two rows share.
fn digits(number: u64) -> String {
    number
        .to_string()
        .bytes()
        .map(|digit| ['〇', '一', '二', '三', '四', '五', '六', '七', '八', '九'][usize::from(digit - b'0')])
        .collect()
}
