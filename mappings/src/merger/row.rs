//! The rows of the list: eight columns, found by their names.

use jiff::civil::Date;
use tsunagi_core::municipality::MunicipalityCode;

use crate::fault::{Faults, Place};

/// One row: a code that a change concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The line it begins on.
    pub(super) line: usize,
    pub(super) code: MunicipalityCode,
    pub(super) prefecture: String,
    /// 政令市, 郡, 支庁 or 振興局; empty for cities.
    pub(super) district: String,
    pub(super) district_kana: String,
    /// The body's own name: that of the district for a designated city.
    pub(super) name: String,
    pub(super) kana: String,
    pub(super) date: Date,
    /// The statements of the reason with their lines.
    pub(super) statements: Vec<(usize, String)>,
}

/// Reads all rows; one that cannot be read is a fault with its line.
pub(super) fn read(file: &str, text: &str, faults: &mut Faults, progress: &mut dyn FnMut(usize)) -> Vec<Row> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = reader.headers().ok().and_then(|header| columns(header).ok_or(()).ok());
    let Some(columns) = columns else {
        let place = Place { file, line: Some(1), path: String::new() };
        let wanted = COLUMNS.join(",");
        faults.say(
            &place,
            format!("見出しに次の列が必要です: {wanted}"),
            format!("the header needs the columns {wanted}"),
        );
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (at, record) in reader.records().enumerate() {
        progress(at + 1);
        match record {
            Ok(record) => rows.extend(row(file, &record, &columns, faults)),
            Err(error) => {
                let line = error.position().map(|position| line_of(position.line()));
                let place = Place { file, line, path: String::new() };
                faults.say(
                    &place,
                    format!("この行は読めません: {error}"),
                    format!("this line cannot be read: {error}"),
                );
            }
        }
    }
    rows
}

fn row(file: &str, record: &csv::StringRecord, columns: &[usize; 8], faults: &mut Faults) -> Option<Row> {
    let line = record.position().map_or(0, |position| line_of(position.line()));
    let cell = |at: usize| columns.get(at).and_then(|column| record.get(*column)).unwrap_or_default();
    let place = |path: &str| Place { file, line: Some(line), path: path.to_owned() };
    let code = match MunicipalityCode::from_five(cell(0)) {
        Ok(code) => code,
        Err(_) => {
            faults.say(&place(COLUMNS[0]), "5桁の標準地域コードではありません", "not an area code of five digits");
            return None;
        }
    };
    let Ok(date) = cell(6).replace('/', "-").parse::<Date>() else {
        faults.say(&place(COLUMNS[6]), "施行年月日が YYYY-MM-DD ではありません", "not a date like YYYY-MM-DD");
        return None;
    };
    let statements = statements(line, cell(7));
    if statements.is_empty() {
        faults.say(&place(COLUMNS[7]), "改正事由が空です", "gives no reason");
        return None;
    }
    // A designated city stands in the column of districts, with no name beside it.
    let (name, kana) = if cell(4).is_empty() { (cell(2), cell(3)) } else { (cell(4), cell(5)) };
    if name.is_empty() {
        faults.say(&place(COLUMNS[4]), "名称が空です", "gives no name");
        return None;
    }
    Some(Row {
        line,
        code,
        prefecture: cell(1).to_owned(),
        district: cell(2).to_owned(),
        district_kana: cell(3).to_owned(),
        name: name.to_owned(),
        kana: kana.to_owned(),
        date,
        statements,
    })
}

/// One statement to a line, or several parted by full-width spaces; parentheses and digits of one width.
fn statements(line: usize, reason: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (below, text) in reason.lines().enumerate() {
        for part in text.split('\u{3000}') {
            let tidy: String = part.chars().filter(|c| !c.is_whitespace()).map(one_width).collect();
            if !tidy.is_empty() {
                found.push((line + below, tidy));
            }
        }
    }
    found
}

fn one_width(c: char) -> char {
    match c {
        '（' => '(',
        '）' => ')',
        '０'..='９' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '，' | ',' | '､' => '、',
        '／' => '/',
        c => c,
    }
}

/// Where each column stands. The dots in the header are written in two ways, the parentheses too.
fn columns(header: &csv::StringRecord) -> Option<[usize; 8]> {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| !matches!(c, '･' | '・' | '(' | ')' | '（' | '）') && !c.is_whitespace()).collect()
    };
    let found: Vec<String> = header.iter().map(plain).collect();
    let mut columns = [0; 8];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        *column = found.iter().position(|cell| *cell == plain(name))?;
    }
    Some(columns)
}

fn line_of(line: u64) -> usize {
    usize::try_from(line).unwrap_or(usize::MAX)
}

const COLUMNS: [&str; 8] = [
    "標準地域コード",
    "都道府県",
    "政令市･郡･支庁･振興局等",
    "政令市･郡･支庁･振興局等（ふりがな）",
    "市区町村",
    "市区町村（ふりがな）",
    "廃置分合等施行年月日",
    "改正事由",
];
