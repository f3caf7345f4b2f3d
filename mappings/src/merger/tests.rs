//! Against rows in the shape of the official list (e-Stat, 廃置分合等情報): the events that are hard to get right.

use jiff::civil::{Date, date};
use tsunagi_core::municipality::{History, MunicipalityCode, MunicipalityEntry, Resolution};

use super::*;
use crate::{Tables, municipalities_csv};

const LIST: &str = include_str!("../../fixtures/municipal_changes.csv");
const TODAY: Date = date(2026, 4, 1);

fn builtin() -> History {
    Tables::builtin().expect("sound").municipalities().clone()
}

fn import(text: &str, known: &History) -> MergerImport {
    import_mergers("list.csv", text, known, &mut |_| {})
}

/// What the list makes of the table without anything known before.
fn alone(text: &str) -> MergerImport {
    import(text, &History::default())
}

/// A list of rows of one prefecture: code, district, name, date, reason.
fn list(rows: &[[&str; 5]]) -> String {
    let mut text = LIST.lines().next().expect("a header").to_owned();
    for [code, district, name, date, reason] in rows {
        text.push_str(&format!("\n\"{code}\",\"某県\",\"{district}\",\"\",\"{name}\",\"\",\"{date}\",\"{reason}\""));
    }
    text
}

fn code(five: &str) -> MunicipalityCode {
    MunicipalityCode::from_five(five).expect("five digits")
}

/// The bodies of a code, one a line: name, from, until, successors, city, areas.
fn bodies(entries: &[MunicipalityEntry], five: &str) -> String {
    let day = |day: Option<Date>| day.map_or("–".to_owned(), |day| day.to_string());
    let line = |entry: &MunicipalityEntry| {
        let mut text = format!("{} {} {}", entry.name, day(entry.from), day(entry.until));
        for successor in &entry.successors {
            text.push_str(&format!(" →{}", successor.five()));
        }
        for share in &entry.areas {
            text.push_str(&format!(
                " {}:{}{}",
                share.to.five(),
                share.names.join("/"),
                if share.rest { "*" } else { "" }
            ));
        }
        if let Some(city) = &entry.folds_to {
            text.push_str(&format!(" in {}", city.five()));
        }
        text
    };
    let of_code = entries.iter().filter(|entry| entry.code.five() == five);
    of_code.map(line).collect::<Vec<_>>().join("\n")
}

fn faults(import: &MergerImport) -> Vec<String> {
    import.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn the_official_list_gives_every_body_its_time_and_its_successors() {
    let import = alone(LIST);
    assert_eq!(faults(&import), [""; 0]);
    for (five, expected) in [
        ("01201", "札幌市 – 1972-03-31 →01100"),
        ("01100", "札幌市 1972-04-01 –"),
        ("01104", "白石区 1972-04-01 1989-11-05 →01104 →01108 in 01100\n白石区 1989-11-06 – in 01100"),
        ("01108", "厚別区 1989-11-06 – in 01100"),
        ("01202", "函館市 – –"),
        ("01232", "亀田市 1971-11-01 1973-11-30 →01202"),
        ("01439", "幌加内町 – 2010-03-31 →01472"),
        ("03305", "滝沢村 – 2013-12-31 →03216"),
        ("13343", "大和町 – 1970-09-30 →13220"),
        ("13220", "東大和市 1970-10-01 –"),
        ("14110", "戸塚区 – 1986-11-02 →14110 →14115 →14116 in 14100\n戸塚区 1986-11-03 – in 14100"),
        ("17384", "志賀町 – 1970-10-31 →17384\n志賀町 1970-11-01 2005-08-31 →17384\n志賀町 2005-09-01 –"),
        ("19341", "上九一色村 – 2006-02-28 →19201 →19430 19201:梯/古関 19430:精進/本栖/富士ヶ嶺"),
        ("19326", "中道町 – 2006-02-28 →19201"),
        ("20431", "山口村 – 2005-02-12 →21206"),
        ("22202", "浜松市 – 2007-03-31 →22130"),
        ("22130", "浜松市 2007-04-01 –"),
        (
            "22135",
            "北区 2007-04-01 2023-12-31 →22138 →22139 \
             22138:初生町/三方原町/東三方町/豊岡町/三幸町/大原町/根洗町 22139:* in 22130",
        ),
        ("22137", "天竜区 2007-04-01 2023-12-31 →22140 in 22130"),
        ("22140", "天竜区 2024-01-01 – in 22130"),
        ("23521", "三好町 – 2010-01-03 →23521\nみよし町 2010-01-04 2010-01-03 →23236"),
        ("23236", "みよし市 2010-01-04 –"),
        ("23426", "十四山村 – 2006-03-31 →23428"),
        ("23428", "弥富町 – 2006-03-31 →23428\n弥富町 2006-04-01 2006-03-31 →23235"),
        ("23566", "稲武町 – 2003-09-30 →23545"),
        ("27101", "北区 – 1989-02-12 →27127 in 27100"),
        ("27127", "北区 1989-02-13 – in 27100"),
        ("28221", "篠山市 1999-04-01 2019-04-30 →28221\n丹波篠山市 2019-05-01 –"),
        ("38206", "西条市 – 2004-10-31 →38206\n西条市 2004-11-01 –"),
        ("44361", "野津原町 – 2004-12-31 →44201"),
        ("47322", "与那城村 – 1993-12-31 →47322\n与那城町 1994-01-01 –"),
    ] {
        assert_eq!(bodies(&import.entries, five), expected, "{five}");
    }
    assert_eq!(import.without_effect, 7, "{:?}", import.without_effect);
    let kana = |five: &str| import.entries.iter().rfind(|entry| entry.code.five() == five).map(|entry| &*entry.kana);
    assert_eq!((kana("22130"), kana("47322")), (Some("はままつし"), Some("よなしろちょう")));
}

#[test]
fn a_city_designated_before_the_list_begins_is_put_in_and_noted() {
    let import = alone(LIST);
    let notes: Vec<String> = import.notes.iter().map(|note| note.reason.ja.clone()).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with("横浜市(14100)")), "{notes:?}");
    assert_eq!(bodies(&import.entries, "14100"), "横浜市 – –");

    let import = import_mergers("list.csv", LIST, &builtin(), &mut |_| {});
    let notes: Vec<String> = import.notes.iter().map(|note| note.reason.ja.clone()).collect();
    assert_eq!(notes.len(), 1, "大阪市 is in the table: {notes:?}");
}

#[test]
fn the_list_laid_over_the_table_changes_nothing_that_both_tell() {
    let known = builtin();
    let import = import(LIST, &known);
    assert_eq!(faults(&import), [""; 0]);
    for entry in known.entries() {
        let five = entry.code.five();
        assert_eq!(bodies(&import.entries, five), bodies(known.entries(), five), "{five}");
    }
    assert!(import.entries.len() > known.entries().len());

    let again = import_mergers("list.csv", LIST, &History::parse(import.entries.clone()).expect("sound"), &mut |_| {});
    assert_eq!(again.entries, import.entries, "a second time nothing changes");
}

#[test]
fn the_file_written_is_read_back_as_it_is() {
    let import = import(LIST, &builtin());
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("municipalities")).expect("made");
    let text = municipalities_csv(&import.entries).expect("written");
    std::fs::write(folder.path().join("municipalities/builtin.csv"), text).expect("written");
    let tables = Tables::with_folder(folder.path()).expect("sound");
    assert_eq!(tables.municipalities(), &History::parse(import.entries).expect("sound"));
    let found = tables.municipalities().resolve_area(&code("19341"), "大字本栖", date(2000, 1, 1), TODAY);
    assert_eq!(found.code().map(MunicipalityCode::five), Some("19430"));
    let found = tables.municipalities().resolve_city(&code("23426"), date(2000, 1, 1), TODAY);
    let hops: Vec<&str> = found.hops().iter().map(MunicipalityCode::five).collect();
    assert_eq!((found.code().map(MunicipalityCode::five), hops), (Some("23235"), vec!["23428", "23235"]));
}

#[test]
fn later_changes_go_on_from_the_table() {
    // Only the day of the change is told: what was before is the table's.
    let text = list(&[
        ["28221", "", "丹波篠山市", "2026-04-01", "丹波篠山市(28221)が新市(28299)に名称変更"],
        ["28299", "", "新市", "2026-04-01", "丹波篠山市(28221)が新市(28299)に名称変更"],
    ]);
    let import = import(&text, &builtin());
    assert_eq!(faults(&import), [""; 0]);
    assert_eq!(
        bodies(&import.entries, "28221"),
        "篠山市 1999-04-01 2019-04-30 →28221\n丹波篠山市 2019-05-01 2026-03-31 →28299"
    );
}

#[test]
fn earlier_changes_leave_the_later_table_alone() {
    let reason = "篠山町(28661)、丹南町(28665)が合併し、篠山市(28221)を新設";
    let rows = ["28221", "28661", "28665"].map(|code| [code, "", "町", "1999-04-01", reason]);
    let import = import(&list(&rows), &builtin());
    assert_eq!(faults(&import), [""; 0]);
    let expected = "篠山市 1999-04-01 2019-04-30 →28221\n丹波篠山市 2019-05-01 –";
    assert_eq!(bodies(&import.entries, "28221"), expected);

    // A change of the table between two days of the list is not told by it: it would be lost.
    let later = "丹波篠山市(28221)が乙市(28222)に名称変更";
    let mut rows = rows.to_vec();
    rows.push(["28221", "", "丹波篠山市", "2020-01-01", later]);
    rows.push(["28222", "", "乙市", "2020-01-01", later]);
    let found = faults(&import_mergers("list.csv", &list(&rows), &builtin(), &mut |_| {}));
    assert!(found.iter().any(|fault| fault.contains("28221: the table has a change on 2019-05-01")), "{found:?}");
}

#[test]
fn both_kinds_of_header_parentheses_and_line_ends_are_read() {
    let plain = alone(LIST);
    let other = LIST.replace('･', "・").replace('（', "(").replace('）', ")").replace('\n', "\r\n");
    assert_eq!(alone(&other).entries, plain.entries);
    let other = format!("\u{feff}{}", LIST.replace('(', "（").replace(')', "）"));
    assert_eq!(alone(&other).entries, plain.entries);
}

#[test]
fn every_statement_that_is_not_understood_is_reported_with_its_line() {
    let text = list(&[
        ["28201", "", "甲市", "2001-04-01", "甲市(28201)が乙市(28202)に編入"],
        ["28202", "", "乙市", "2001-04-01", "甲市(28201)が乙市(28202)に編入\n丙町(28203)がどうにかなった"],
        ["28204", "", "丁市", "2001-04-01", "丁市(28204)、戊町が合併し、己市を新設"],
        ["2820", "", "庚市", "2001-04-01", "庚市(28205)が中核市に移行"],
        ["28206", "", "辛市", "平成13年", "辛市(28206)が中核市に移行"],
        ["28207", "", "壬市", "2001-04-01", ""],
        ["28208", "", "", "2001-04-01", "癸市(28208)が中核市に移行"],
        ["28209", "", "子市", "2001-04-01", "丑市(28210)が寅市(28211)に名称変更"],
    ]);
    let import = alone(&text);
    assert_eq!(
        faults(&import),
        [
            "list.csv:4: 改正事由: this reason is none that is understood: 丙町(28203)がどうにかなった",
            "list.csv:5: 改正事由: nothing here tells the code of 戊町",
            "list.csv:6: 標準地域コード: not an area code of five digits",
            "list.csv:7: 廃置分合等施行年月日: not a date like YYYY-MM-DD",
            "list.csv:8: 改正事由: gives no reason",
            "list.csv:9: 市区町村: gives no name",
        ]
    );
    let notes: Vec<String> = import.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["list.csv:10: 標準地域コード: the reason does not name 28209"]);
}

/// In the table `*` is everything else and `/` stands between two names: taken over, they would say what no list says.
#[test]
fn a_name_that_the_table_would_read_as_something_else_is_not_understood() {
    for (name, is_good) in [("梯", true), ("*", false), ("某/梯/古関", false), ("大字", false)] {
        let reason = format!("甲村(28301)({name})が乙市(28202)に編入");
        let text =
            list(&[["28301", "某郡", "甲村", "2001-04-01", &reason], ["28202", "", "乙市", "2001-04-01", &reason]]);
        assert_eq!(alone(&text).faults.is_empty(), is_good, "{name}");
    }
}

#[test]
fn a_list_of_another_shape_is_refused_as_a_whole() {
    let import = alone("code,name\n1,2\n");
    assert_eq!(import.faults.len(), 1);
    assert!(import.faults[0].reason.ja.contains("標準地域コード"));
    let ragged = format!("{}\n\"28201\",\"兵庫県\"", LIST.lines().next().expect("a header"));
    let found = faults(&alone(&ragged));
    assert!(found.iter().any(|fault| fault.starts_with("list.csv:2: this line cannot be read")), "{found:?}");
}

#[test]
fn changes_that_contradict_each_other_are_faults() {
    let twice = list(&[
        ["28201", "", "甲市", "2001-04-01", "甲市(28201)が乙市(28202)に編入"],
        ["28201", "", "甲市", "2005-04-01", "甲市(28201)が丙市(28203)に編入"],
    ]);
    let found = faults(&alone(&twice));
    assert!(found.iter().any(|fault| fault.contains("28201") && fault.contains("had ended before")), "{found:?}");

    let in_use = list(&[
        ["28201", "", "甲市", "2001-04-01", "丁町(28301)が甲市(28201)に市制施行"],
        ["28201", "", "甲市", "2005-04-01", "戊町(28302)が甲市(28201)に市制施行"],
    ]);
    let found = faults(&alone(&in_use));
    assert!(found.iter().any(|fault| fault.contains("while its code is in use")), "{found:?}");

    let into_the_past = list(&[
        ["28201", "", "甲市", "2001-04-01", "甲市(28201)が乙市(28202)に編入"],
        ["28201", "", "甲市", "2005-04-01", "丁町(28301)が甲市(28201)に編入"],
    ]);
    assert!(!faults(&alone(&into_the_past)).is_empty());
}

#[test]
fn other_forms_of_the_grammar() {
    for (five, district, reason, expected) in [
        (
            "27141",
            "堺市",
            "甲区(27141)を分割し、乙区(27142)、甲区を新設",
            "甲区 – 2001-03-31 →27141 →27142 in 27140\n甲区 2001-04-01 – in 27140",
        ),
        ("27141", "堺市", "甲区(27141)を乙区(27142)と丙区(27143)に分割", "甲区 – 2001-03-31 →27142 →27143 in 27140"),
        ("27141", "堺市", "甲区(27141)、乙区(27142)を再編し、丙区(27143)を新設", "甲区 – 2001-03-31 →27143 in 27140"),
        ("28301", "", "甲村(28301)が甲町に町制施行", "甲村 – 2001-03-31 →28301\n甲町 2001-04-01 –"),
        ("28301", "", "甲町(28301)が乙町に名称変更", "甲町 – 2001-03-31 →28301\n乙町 2001-04-01 –"),
        (
            "28301",
            "",
            "甲村(28301)が乙村に名称変更し、乙町(28301)に町制施行",
            "甲村 – 2001-03-31 →28301\n乙町 2001-04-01 –",
        ),
        ("28201", "", "甲市(28201)の甲市(28130)への政令指定都市移行", "甲市 – 2001-03-31 →28130"),
        ("28301", "", "甲村(28301)がつがる市(28201)に編入", "甲村 – 2001-03-31 →28201"),
        (
            "28301",
            "子郡",
            "子郡甲町(28301)、丙町(28302)が丁郡甲町(28321)、丙町(28322)に郡の区域変更",
            "甲町 – 2001-03-31 →28321",
        ),
        ("28301", "", "甲町(28301)及び乙町(28302)が合併し、丙町(28303)を新設", "甲町 – 2001-03-31 →28303"),
    ] {
        let name = &expected[..expected.find(' ').expect("a name")];
        let import = alone(&list(&[[five, district, name, "2001-04-01", reason]]));
        assert_eq!(faults(&import), [""; 0], "{reason}");
        assert_eq!(bodies(&import.entries, five), expected, "{reason}");
    }
    for reason in [
        "甲町(28301)が甲市に市制施行",
        "甲町(28301)が乙市(28201)に市制施行し、丙市(28202)に名称変更",
        "甲郡乙町(28301)、丙町(28302)が丁郡乙町(28321)に郡の区域変更",
        "甲町(28301)の廃止",
        "甲町(28301)が境界変更",
    ] {
        assert!(!alone(&list(&[["28301", "", "甲町", "2001-04-01", reason]])).faults.is_empty(), "{reason}");
    }
}

#[test]
fn a_name_may_change_in_its_reading_alone() {
    let reason = "甲町(こうちょう、28301)が甲町(かぶとちょう)に名称変更";
    let import = alone(&list(&[["28301", "", "甲町", "2001-04-01", reason]]));
    assert_eq!(faults(&import), [""; 0]);
    assert_eq!(bodies(&import.entries, "28301"), "甲町 – 2001-03-31 →28301\n甲町 2001-04-01 –");
    let kana: Vec<&str> = import.entries.iter().map(|entry| &*entry.kana).collect();
    assert_eq!(kana, ["こうちょう", "かぶとちょう"]);
}

#[test]
fn vector_10_holds_on_the_imported_table() {
    let import = import(LIST, &builtin());
    let history = History::parse(import.entries).expect("sound");
    let resolve = |five: &str, as_of: Date| match history.resolve_city(&code(five), as_of, TODAY) {
        Resolution::Ambiguous { candidates, .. } => {
            format!("?{}", candidates.iter().map(MunicipalityCode::five).collect::<Vec<_>>().join(","))
        }
        Resolution::Current { code, name, .. } => format!("={} {name}", code.five()),
        Resolution::Moved { to, .. } => format!(">{}", to.five()),
        Resolution::Unknown => "-".to_owned(),
    };
    for (five, as_of, expected) in [
        ("38324", date(1970, 6, 1), ">38206"),
        ("38324", date(1971, 6, 1), ">38206"),
        ("19341", date(2000, 1, 1), "?19201,19430"),
        ("20431", date(2000, 1, 1), ">21206"),
        ("22135", date(2020, 1, 1), "=22130 浜松市"),
        ("01104", date(1989, 11, 5), "=01100 札幌市"),
        ("23521", date(2000, 1, 1), ">23236"),
        ("28221", date(2000, 1, 1), "=28221 丹波篠山市"),
        ("22202", date(2000, 1, 1), ">22130"),
        ("27101", date(1980, 1, 1), "=27100 大阪市"),
        ("38206", date(1990, 1, 1), "=38206 西条市"),
    ] {
        assert_eq!(resolve(five, as_of), expected, "{five} as of {as_of}");
    }
}

proptest::proptest! {
    /// Whatever a list says, it is understood or reported, and what is not reported can be read back.
    #[test]
    fn no_list_breaks_the_reader(
        reasons in proptest::collection::vec("[甲乙丙市区町村郡(（）)、がとをにの\n]{0,12}(27101|27102|28201)?\\)?(が|を|の|に)?(合併し、|編入|新設|再編|分割|名称変更|から分離し、|市制施行)?", 1..6),
        date in "20(05|06)-01-0[1-3]",
    ) {
        let rows: Vec<[&str; 5]> = reasons.iter().map(|reason| ["27101", "大阪市", "甲区", &*date, &**reason]).collect();
        let import = alone(&list(&rows));
        if import.faults.is_empty() {
            proptest::prop_assert!(History::parse(import.entries).is_ok());
        }
        alone(&reasons.join(","));
    }
}
