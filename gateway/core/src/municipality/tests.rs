use jiff::civil::{Date, date};

use super::*;

/// The excerpt of the official history: five digits, name, from, until, successors, folds to, areas; `-` for none.
const EXCERPT: &str = "
01100 札幌市 1972-04-01 - - -
01104 白石区 1972-04-01 1989-11-05 01104,01108 01100
01104 白石区 1989-11-06 - - 01100
01108 厚別区 1989-11-06 - - 01100
01202 函館市 - - - -
13000 東京都 - - - -
13101 千代田区 - - - -
17384 志賀町 - 1970-10-31 17384 -
17384 志賀町 1970-11-01 2005-08-31 17384 -
17384 志賀町 2005-09-01 - - -
19341 上九一色村 - 2006-02-28 19201,19430 - 19201:梯/古関,19430:精進/本栖/富士ヶ嶺
19201 甲府市 - - - -
19430 富士河口湖町 2003-11-15 - - -
20431 山口村 - 2005-02-12 21206 -
21206 中津川市 - - - -
22202 浜松市 - 2007-03-31 22130 -
22130 浜松市 2007-04-01 - - -
22135 北区 2007-04-01 2023-12-31 22138,22139 22130 22138:初生町/三方原町,22139:*
22137 天竜区 2007-04-01 2023-12-31 22140 22130
22138 中央区 2024-01-01 - - 22130
22139 浜名区 2024-01-01 - - 22130
22140 天竜区 2024-01-01 - - 22130
23521 三好町 - 2010-01-03 23521 -
23521 みよし町 2010-01-04 2010-01-03 23236 -
23236 みよし市 2010-01-04 - - -
27100 大阪市 - - - -
27101 北区 - 1989-02-12 27127 27100
27112 大淀区 - 1989-02-12 27127 27100
27127 北区 1989-02-13 - - 27100
28221 篠山市 1999-04-01 2019-04-30 28221 -
28221 丹波篠山市 2019-05-01 - - -
38324 三芳町 - 1970-12-31 38325 -
38325 東予町 1971-01-01 1972-09-30 38212 -
38212 東予市 1972-10-01 2004-10-31 38206 -
38206 西条市 - 2004-10-31 38206 -
38206 西条市 2004-11-01 - - -
44361 野津原町 - 2004-12-31 44201 -
44201 大分市 - - - -
";

const TODAY: Date = date(2026, 4, 1);

fn code(five: &str) -> MunicipalityCode {
    MunicipalityCode::from_five(five).unwrap()
}

fn codes(fives: &str) -> Vec<MunicipalityCode> {
    fives.split(',').filter(|five| *five != "-").map(code).collect()
}

fn shares(text: &str) -> Vec<AreaShare> {
    let share = |text: &str| {
        let (to, names) = text.split_once(':').unwrap();
        let names: Vec<String> = names.split('/').filter(|name| *name != "*").map(str::to_owned).collect();
        AreaShare { to: code(to), rest: names.is_empty(), names }
    };
    text.split(',').map(share).collect()
}

fn entries(table: &str) -> Vec<MunicipalityEntry> {
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(' ').collect();
        let day = |text: &str| (text != "-").then(|| text.parse::<Date>().unwrap());
        MunicipalityEntry {
            code: code(cells[0]),
            name: cells[1].to_owned(),
            kana: String::new(),
            prefecture: String::new(),
            from: day(cells[2]),
            until: day(cells[3]),
            successors: codes(cells[4]),
            folds_to: codes(cells[5]).pop(),
            areas: cells.get(6).map(|text| shares(text)).unwrap_or_default(),
        }
    };
    table.lines().filter(|text| !text.is_empty()).map(line).collect()
}

fn history() -> History {
    History::parse(entries(EXCERPT)).unwrap()
}

fn faults(table: &str) -> Vec<String> {
    History::parse(entries(table)).unwrap_err().into_iter().map(|fault| fault.en).collect()
}

/// One line for each resolution: `=code name`, `>code name`, `?code,code` or `-`; then `via` the hops and `!` if
/// the code was asked for outside its validity.
fn shown(resolution: &Resolution) -> String {
    let fives = |codes: &[MunicipalityCode]| codes.iter().map(MunicipalityCode::five).collect::<Vec<_>>().join(",");
    let mut text = match resolution {
        Resolution::Ambiguous { candidates, .. } => format!("?{}", fives(candidates)),
        Resolution::Current { code, name, .. } => format!("={} {name}", code.five()),
        Resolution::Moved { to, name, .. } => format!(">{} {name}", to.five()),
        Resolution::Unknown => "-".to_owned(),
    };
    if !resolution.hops().is_empty() {
        text.push_str(&format!(" via {}", fives(resolution.hops())));
    }
    if resolution.is_outside_validity() {
        text.push('!');
    }
    text
}

#[test]
fn codes_hold_by_their_check_digit() {
    for six in [
        "010006", "020001", "100005", "011002", "130001", "131016", "142018", "193411", "221350", "221384", "271276",
        "442011", "470007",
    ] {
        let parsed = MunicipalityCode::parse(six).unwrap();
        assert_eq!(parsed.as_str(), six);
        assert_eq!(parsed.to_string(), six);
        assert_eq!(MunicipalityCode::from_five(&six[..5]), Ok(parsed.clone()));
        assert_eq!((parsed.five(), parsed.prefecture()), (&six[..5], &six[..2]));
    }
    for wrong in ["010005", "011003", "221351"] {
        assert_eq!(MunicipalityCode::parse(wrong), Err(MunicipalityFault::CheckDigit), "{wrong}");
    }
}

#[test]
fn a_lost_zero_is_a_fault_and_never_padded() {
    for text in
        ["", "1100", "11002", "01100", "0110021", "０１１００２", "01100２", "01100x", "x11002", " 11002", "札幌市"]
    {
        assert_eq!(MunicipalityCode::parse(text), Err(MunicipalityFault::Shape), "{text}");
    }
    for text in ["", "1100", "011002", "０１１００"] {
        assert_eq!(MunicipalityCode::from_five(text), Err(MunicipalityFault::Shape), "{text}");
    }
    assert!(MunicipalityCode::try_from("11002".to_owned()).is_err(), "serde comes in this way");
}

#[test]
fn old_codes_lead_to_the_body_in_charge() {
    let history = history();
    for (five, as_of, expected) in [
        ("01202", date(1980, 1, 1), "=01202 函館市"),
        ("13101", TODAY, "=13101 千代田区"),
        ("38324", date(1970, 6, 1), ">38206 西条市 via 38325,38212,38206"),
        ("38324", date(1971, 6, 1), ">38206 西条市 via 38325,38212,38206!"),
        ("38324", TODAY, ">38206 西条市 via 38325,38212,38206!"),
        ("38206", date(1990, 1, 1), "=38206 西条市 via 38206"),
        ("38206", TODAY, "=38206 西条市"),
        ("17384", date(1970, 1, 1), "=17384 志賀町 via 17384,17384"),
        ("17384", date(1970, 11, 1), "=17384 志賀町 via 17384"),
        ("19341", date(2000, 1, 1), "?19201,19430 via 19201,19430"),
        ("20431", date(2000, 1, 1), ">21206 中津川市 via 21206"),
        ("22202", date(2000, 1, 1), ">22130 浜松市 via 22130"),
        ("22130", date(2000, 1, 1), "=22130 浜松市!"),
        ("23521", date(2000, 1, 1), ">23236 みよし市 via 23521,23236"),
        ("23521", date(2010, 1, 3), ">23236 みよし市 via 23521,23236"),
        ("23521", date(2010, 1, 4), ">23236 みよし市 via 23236!"),
        ("28221", date(2010, 1, 1), "=28221 丹波篠山市 via 28221"),
        ("28221", date(2019, 5, 1), "=28221 丹波篠山市"),
        ("28221", date(1990, 1, 1), "=28221 丹波篠山市 via 28221!"),
        ("44361", date(2004, 12, 31), ">44201 大分市 via 44201"),
        ("47201", TODAY, "-"),
    ] {
        assert_eq!(shown(&history.resolve(&code(five), as_of, TODAY)), expected, "{five} as of {as_of}");
        assert_eq!(shown(&history.resolve_city(&code(five), as_of, TODAY)), expected, "{five} city, as of {as_of}");
    }
}

#[test]
fn wards_are_folded_before_ambiguity_is_judged() {
    let history = history();
    for (five, as_of, ward, city) in [
        ("22135", date(2020, 1, 1), "?22138,22139 via 22138,22139", "=22130 浜松市 via 22138,22139"),
        ("22137", date(2020, 1, 1), ">22140 天竜区 via 22140", "=22130 浜松市 via 22140"),
        ("22140", TODAY, "=22140 天竜区", "=22130 浜松市"),
        ("01104", date(1989, 11, 5), "?01104,01108 via 01104,01108", "=01100 札幌市 via 01104,01108"),
        ("01104", date(1989, 11, 6), "=01104 白石区", "=01100 札幌市"),
        ("27101", date(1980, 1, 1), ">27127 北区 via 27127", "=27100 大阪市 via 27127"),
        ("27101", date(2020, 1, 1), ">27127 北区 via 27127!", "=27100 大阪市 via 27127!"),
        ("27112", date(1989, 2, 12), ">27127 北区 via 27127", "=27100 大阪市 via 27127"),
    ] {
        assert_eq!(shown(&history.resolve(&code(five), as_of, TODAY)), ward, "{five} as of {as_of}");
        assert_eq!(shown(&history.resolve_city(&code(five), as_of, TODAY)), city, "{five} city, as of {as_of}");
    }
}

#[test]
fn a_walk_stops_at_the_body_in_charge_on_the_day() {
    let history = history();
    for (five, today, expected) in [
        ("38324", date(1970, 12, 31), "=38324 三芳町"),
        ("38324", date(1971, 1, 1), ">38325 東予町 via 38325"),
        ("38324", date(2004, 10, 31), ">38212 東予市 via 38325,38212"),
        ("23521", date(2010, 1, 3), "=23521 三好町"),
        ("23521", date(2010, 1, 4), ">23236 みよし市 via 23521,23236"),
        ("28221", date(2019, 4, 30), "=28221 篠山市"),
    ] {
        let as_of = date(1970, 6, 1).max(if five == "28221" { date(2000, 1, 1) } else { Date::MIN });
        assert_eq!(shown(&history.resolve(&code(five), as_of, today)), expected, "{five} on {today}");
    }
}

#[test]
fn the_destination_is_the_city_of_today() {
    let history = history();
    for (five, expected, outside) in [
        ("22135", Some("22130"), true),
        ("22138", Some("22130"), false),
        ("13101", Some("13101"), false),
        ("28221", Some("28221"), false),
        ("44361", Some("44201"), true),
        ("19341", None, true),
        ("47201", None, false),
        ("13000", None, false),
    ] {
        let found = history.destination(&code(five), TODAY);
        assert_eq!(found.code().map(MunicipalityCode::five), expected, "{five}");
        assert_eq!(found.is_outside_validity(), outside, "{five}");
    }
    assert_eq!(history.destination(&code("13000"), TODAY), Resolution::Unknown, "in the table, and no destination");
}

#[test]
fn entries_that_chains_would_break_on_are_refused_all_at_once() {
    let found = faults(
        "01101 中央区 - - - 01100\n\
         13101 千代田区 - - - 13100\n\
         38206 西条市 - - 38212 -\n\
         38212 東予市 - 2004-10-31 - -\n\
         38324 三芳町 - 1970-12-31 38325 -\n\
         38325 東予町 1971-01-02 1999-12-31 38000 -\n",
    );
    for words in [
        "folds to 011002, which is not in the table",
        "folds to a code that is no city",
        "has successors but no last day",
        "has a last day but no successor",
        "is succeeded by 383252, which is not in the table for the day after",
        "is succeeded by a code that is no municipality",
    ] {
        assert!(found.iter().any(|fault| fault.contains(words)), "{words}: {found:?}");
    }
    assert_eq!(found.len(), 6, "{found:?}");
}

#[test]
fn times_that_cannot_be_are_refused() {
    for (table, words) in [
        ("38206 西条市 2004-11-02 2004-10-31 38212 -\n38212 東予市 - - - -", "ends before it begins"),
        ("38206 西条市 - - - -\n38206 西条市 2004-11-01 - - -", "overlaps"),
        ("38206 西条市 - 2004-11-01 38206 -\n38206 西条市 2004-11-01 - - -", "overlaps"),
        ("38206 西条市 - - - -\n38206 西条市 - - - -", "overlaps"),
        ("38206 西条市 - 2004-10-31 38206 -", "not in the table for the day after"),
        ("01100 札幌市 - - - 01100", "no city"),
        ("01101 中央区 - - - 01102\n01102 北区 - - - 01100\n01100 札幌市 - - - -", "is a ward itself"),
    ] {
        let found = faults(table);
        assert!(found.iter().any(|fault| fault.contains(words)), "{words}: {found:?}");
    }
    assert!(History::parse(Vec::new()).is_ok());
}

#[test]
fn two_steps_of_one_day_under_one_code_are_both_taken() {
    let table = "38206 甲町 - 2000-03-31 38206 -\n\
                 38206 乙町 2000-04-01 2000-03-31 38206 -\n\
                 38206 丙市 2000-04-01 - - -";
    let history = History::parse(entries(table)).unwrap();
    let found = history.resolve(&code("38206"), date(1999, 1, 1), TODAY);
    assert_eq!(shown(&found), "=38206 丙市 via 38206,38206");
}

#[test]
fn a_ward_that_ended_without_successor_falls_to_its_city() {
    let table = "01101 中央区 - 2000-03-31 - 01100\n01100 札幌市 - - - -";
    let history = History::parse(entries(table)).unwrap();
    assert_eq!(shown(&history.resolve(&code("01101"), date(1999, 1, 1), TODAY)), ">01100 札幌市");
    assert_eq!(shown(&history.resolve_city(&code("01101"), date(1999, 1, 1), TODAY)), "=01100 札幌市");
}

#[test]
fn an_area_tells_the_successors_of_a_divided_body_apart() {
    let history = history();
    let day = date(2000, 1, 1);
    for (five, area, ward, city) in [
        ("19341", "大字本栖", ">19430 富士河口湖町 via 19430", ">19430 富士河口湖町 via 19430"),
        ("19341", "本栖", ">19430 富士河口湖町 via 19430", ">19430 富士河口湖町 via 19430"),
        ("19341", " 字古関 ", ">19201 甲府市 via 19201", ">19201 甲府市 via 19201"),
        ("19341", "大字本", "?19201,19430 via 19201,19430", "?19201,19430 via 19201,19430"),
        ("19341", "", "?19201,19430 via 19201,19430", "?19201,19430 via 19201,19430"),
        ("22135", "初生町", ">22138 中央区 via 22138!", "=22130 浜松市 via 22138!"),
        ("22135", "細江町", ">22139 浜名区 via 22139!", "=22130 浜松市 via 22139!"),
        ("22135", "", "?22138,22139 via 22138,22139!", "=22130 浜松市 via 22138,22139!"),
        // A body that was not divided needs no area, and an area does no harm.
        ("20431", "大字本栖", ">21206 中津川市 via 21206", ">21206 中津川市 via 21206"),
    ] {
        assert_eq!(shown(&history.resolve_area(&code(five), area, day, TODAY)), ward, "{five} {area}");
        assert_eq!(shown(&history.resolve_area_city(&code(five), area, day, TODAY)), city, "{five} {area}, city");
    }
}

#[test]
fn an_area_of_two_successors_decides_nothing() {
    let table = "19341 村 - 2006-02-28 19201,19430 - 19201:本栖,19430:本栖\n19201 市 - - - -\n19430 町 - - - -";
    let history = History::parse(entries(table)).unwrap();
    let found = history.resolve_area(&code("19341"), "本栖", date(2000, 1, 1), TODAY);
    assert_eq!(shown(&found), "?19201,19430 via 19201,19430");

    let found = faults("19341 村 - 2006-02-28 19201 - 19430:本栖\n19201 市 - - - -");
    assert!(found.iter().any(|fault| fault.contains("not among its successors")), "{found:?}");
}
