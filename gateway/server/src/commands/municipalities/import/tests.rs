use jiff::civil::date;
use tempfile::TempDir;
use tsunagi_core::fault::Lang;
use tsunagi_core::municipality::MunicipalityCode;
use tsunagi_mappings::Tables;

use super::*;
use crate::clock::Clock;

const LIST: &str = include_str!("../../../../../../mappings/fixtures/municipal_changes.csv");

/// A hub's folder with a configuration, with or without a folder for tables, and a list to import.
fn given(tables: &str, list: &[u8]) -> (TempDir, Context) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("tsunagi.toml");
    std::fs::write(&config, format!("version = 1\n[tables]\nfolder = \"{tables}\"\n")).expect("written");
    std::fs::create_dir_all(folder.path().join("tables")).expect("made");
    std::fs::write(folder.path().join("list.csv"), list).expect("written");
    let output = Output { lang: Lang::En, json: false };
    (folder, Context { config_file: Some(config), clock: Clock::system(), output })
}

fn import(folder: &TempDir, context: &Context, dry_run: bool) -> Result<(), CommandFault> {
    run(context, &folder.path().join("list.csv"), dry_run)
}

fn usage(result: Result<(), CommandFault>) -> String {
    match result {
        Err(CommandFault::Usage(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_table_written_is_the_one_that_counts() {
    let (cp932, _, unmappable) = SHIFT_JIS.encode(LIST);
    assert!(!unmappable);
    for list in [LIST.as_bytes(), &cp932] {
        let (folder, context) = given("tables", list);
        import(&folder, &context, false).expect("imported");
        let tables = Tables::with_folder(&folder.path().join("tables")).expect("sound");
        // 40305 is in the list and not in the compiled-in table.
        let code = MunicipalityCode::from_five("40305").expect("a code");
        let found = tables.municipalities().resolve_city(&code, date(2000, 1, 1), date(2026, 4, 1));
        assert_eq!(found.code().map(MunicipalityCode::five), Some("40231"));
        let names = std::fs::read_dir(folder.path().join("tables/municipalities")).expect("there").count();
        assert_eq!(names, 1, "no part of a file is left");
        // Once more on top of itself.
        import(&folder, &context, false).expect("imported");
    }
}

#[test]
fn a_dry_run_writes_nothing_and_needs_no_folder() {
    let (folder, context) = given("tables", LIST.as_bytes());
    import(&folder, &context, true).expect("sound");
    assert!(!folder.path().join("tables/municipalities").exists());

    let (folder, context) = given("", LIST.as_bytes());
    import(&folder, &context, true).expect("sound");
    assert!(usage(import(&folder, &context, false)).contains("[tables] folder"));
}

#[test]
fn a_list_with_faults_is_refused_and_nothing_is_written() {
    let damaged = LIST.replacen("に編入", "にどうにかなった", 1);
    let (folder, context) = given("tables", damaged.as_bytes());
    for dry_run in [true, false] {
        assert!(matches!(import(&folder, &context, dry_run), Err(CommandFault::Refused(_))));
    }
    assert!(!folder.path().join("tables/municipalities").exists());

    let (folder, context) = given("tables", b"\xff\xfe\x81");
    assert!(
        matches!(import(&folder, &context, true), Err(CommandFault::Refused(message)) if message.contains("CP932"))
    );
}

#[test]
fn other_tables_of_municipalities_in_the_folder_are_in_the_way() {
    let (folder, context) = given("tables", LIST.as_bytes());
    let other = folder.path().join("tables/municipalities/own.csv");
    std::fs::create_dir_all(other.parent().expect("a folder")).expect("made");
    std::fs::write(&other, "code,name,kana,prefecture,from,until,successors,folds_to\n").expect("written");
    assert!(usage(import(&folder, &context, false)).contains("own.csv"));
}
