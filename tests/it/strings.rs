//! A copy of the store, or of the logs, tells nothing of anybody: no name, number, address or date of birth that went
//! through the hub is in any byte of them, in any of the spellings that the field uses.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use http::Method;
use jiff::civil::Date;
use serde_json::Value;
use tsunagi_tests::process::{KeptHub, Served, partner, run};

/// What went through the demo and is in none of the samples that it leaves: its checkups, certificate and sign-in.
const ELSEWHERE: [&str; 16] = [
    "里見帰子",
    "サトミカエリコ",
    "ｻﾄﾐｶｴﾘｺ",
    "架空一郎",
    "2026-000777",
    "A000900001",
    "H07.05.20",
    "平成7年5月20日",
    "1995-05-20",
    "19950520",
    "guardian-0001",
    "V-0001",
    "V-0002",
    "I-0001",
    "M-0001",
    "B-0001",
];

/// Its version is a date and stands in the log beside every decision: a day on which nobody is born here.
const POLICY: &str = include_str!("../../mappings/policy/default.toml");

/// Shorter byte strings turn up by chance among a few million random bytes.
const SHORTEST: usize = 6;

/// What must not be there.
#[derive(Default)]
struct Secrets(BTreeSet<String>);

impl Secrets {
    fn of_demo(samples: &Path) -> Self {
        let mut secrets = Self(ELSEWHERE.map(str::to_owned).into());
        let rows: Value = serde_json::from_slice(&std::fs::read(samples.join("entitlements.json")).unwrap()).unwrap();
        for row in rows.as_array().unwrap() {
            let person = &row["basicFiveInfo"];
            for value in [&person["name"], &person["nameKana"], &person["address"], &row["myNumber"]] {
                secrets.add(value.as_str().unwrap());
            }
            secrets.add_number(row["medicalSubsidyRecipientNumber"].as_str().unwrap());
            secrets.add_date(person["dateOfBirth"].as_str().unwrap().parse().unwrap());
        }
        let csv = std::fs::read(samples.join("entitlements.csv")).unwrap();
        let (csv, _, broken) = encoding_rs::SHIFT_JIS.decode(&csv);
        assert!(!broken);
        for line in csv.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            // 宛名番号, 個人番号, 漢字氏名, ｶﾅ氏名, 生年月日, _, 住所, _, _, 受給者番号
            for cell in [0, 1, 2, 3, 4, 6] {
                secrets.add(cells[cell]);
            }
            secrets.add_number(cells[9]);
            secrets.add_date(date_of(cells[4]));
        }
        let shot: Value = serde_json::from_slice(&std::fs::read(samples.join("immunization.json")).unwrap()).unwrap();
        secrets.add(shot["identifier"][0]["value"].as_str().unwrap());
        secrets
    }

    fn add(&mut self, text: &str) {
        self.0.insert(text.to_owned());
    }

    /// A number so short that its digits turn up within others: as it is joined to the payer's, and as a cell.
    fn add_number(&mut self, number: &str) {
        self.add(&format!("81440018:{number}"));
        self.add(&format!("\"{number}\""));
        self.add(&format!(",{number},"));
    }

    /// A date of birth in ISO, 和暦 long and short; the compact one as a cell, for its digits turn up within others.
    fn add_date(&mut self, date: Date) {
        let (year, month, day) = (date.year(), date.month(), date.day());
        if !POLICY.contains(&format!("version = \"{date}\"")) {
            self.add(&date.to_string());
        }
        self.add(&format!("\"{year:04}{month:02}{day:02}\""));
        self.add(&format!(",{year:04}{month:02}{day:02},"));
        self.add(&format!("{year}年{month}月{day}日"));
        let (era, letter, first) = if year >= 2020 { ("令和", 'R', 2018) } else { ("平成", 'H', 1988) };
        self.add(&format!("{era}{}年{month}月{day}日", year - first));
        self.add(&format!("{letter}{:02}.{month:02}.{day:02}", year - first));
    }
}

/// `令和7年1月26日` or ISO, as the demo's CSV has them.
fn date_of(cell: &str) -> Date {
    let Some(rest) = cell.strip_prefix("令和") else { return cell.parse().unwrap() };
    let numbers: Vec<i16> = rest.split(['年', '月', '日']).filter_map(|part| part.parse().ok()).collect();
    Date::new(numbers[0] + 2018, numbers[1] as i8, numbers[2] as i8).unwrap()
}

/// Byte strings, found by their first bytes.
struct Scanner {
    by_head: HashMap<[u8; 4], Vec<(Vec<u8>, String)>>,
}

impl Scanner {
    fn new(secrets: &Secrets) -> Self {
        let mut by_head: HashMap<[u8; 4], Vec<(Vec<u8>, String)>> = HashMap::new();
        for text in &secrets.0 {
            for bytes in tsunagi_tests::spellings(text).into_iter().filter(|bytes| bytes.len() >= SHORTEST) {
                let head = bytes[..4].try_into().unwrap();
                by_head.entry(head).or_default().push((bytes, text.clone()));
            }
        }
        Self { by_head }
    }

    /// All that is found in the bytes.
    fn find(&self, haystack: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, head) in haystack.windows(4).enumerate() {
            let head: [u8; 4] = head.try_into().unwrap();
            for (bytes, text) in self.by_head.get(&head).into_iter().flatten() {
                if haystack[at..].starts_with(bytes) {
                    found.insert(text.as_str());
                }
            }
        }
        found
    }
}

fn store_files(hub: &Path) -> Vec<PathBuf> {
    tsunagi_tests::files_below(&hub.join("data"))
}

/// What a hub holds that nobody has sent anything to: words of its registry are no secrets.
fn innocent(scanner: &Scanner) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[], &["init"]).ended(0);
    let registry = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/server/src/demo/registry.toml");
    run(folder.path(), &[], &["registry", "import", registry.to_str().unwrap()]).ended(0);
    let mut found = BTreeSet::new();
    for file in store_files(folder.path()) {
        found.extend(scanner.find(&std::fs::read(file).unwrap()).into_iter().map(str::to_owned));
    }
    found
}

#[test]
fn a_copy_of_the_store_shows_nobody() {
    let kept = KeptHub::shared();
    let hub = kept.path();
    let secrets = Secrets::of_demo(&hub.join("samples"));
    let scanner = Scanner::new(&secrets);
    assert!(secrets.0.len() > 5_000, "{} values went through the demo", secrets.0.len());
    // The scanner would see them: it finds them in what was sent, in each of the encodings.
    let sent = scanner.find(&std::fs::read(hub.join("samples/entitlements.csv")).unwrap()).len();
    assert!(sent > 1_000, "only {sent} found in the CP932 file");
    let sent = scanner.find(&std::fs::read(hub.join("samples/entitlements.json")).unwrap()).len();
    assert!(sent > 1_500, "only {sent} found in the UTF-8 file");
    let wide: Vec<u8> = "里見帰子".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(scanner.find(&wide).len(), 1);

    let innocent = innocent(&scanner);
    let mut scanned = 0;
    for file in store_files(&hub) {
        let bytes = std::fs::read(&file).unwrap();
        scanned += bytes.len();
        let found: Vec<&str> = scanner.find(&bytes).into_iter().filter(|text| !innocent.contains(*text)).collect();
        assert!(found.is_empty(), "{} holds {found:?}", file.display());
    }
    assert!(scanned > 1_000_000, "a thousand entitlements are more than {scanned} bytes");
    let said = [kept.demo.stdout.as_slice(), &kept.demo.stderr].concat();
    assert_eq!(scanner.find(&said), BTreeSet::new(), "the demo prints what it sent");
    // The numbers that are too short to be looked for among random bytes: in the cells of every table.
    assert_cells_show_nobody(&hub, &secrets);
}

/// Looks into every cell of every table, where a number stands alone.
fn assert_cells_show_nobody(hub: &Path, secrets: &Secrets) {
    let numbers: BTreeSet<&str> = secrets.0.iter().filter_map(|text| text.strip_prefix("81440018:")).collect();
    let store = rusqlite::Connection::open(hub.join("data/tsunagi.db")).unwrap();
    let tables = store.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables: Vec<String> = names(tables);
    assert!(tables.len() > 5);
    let mut cells = 0;
    for table in tables {
        let mut select = store.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = select.column_count();
        let mut rows = select.query(()).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                let text = match row.get_ref(column).unwrap() {
                    rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => bytes,
                    _ => continue,
                };
                cells += 1;
                let words = text.split(|byte| !byte.is_ascii_alphanumeric());
                let shown = words.filter_map(|word| std::str::from_utf8(word).ok()).find(|word| numbers.contains(word));
                assert_eq!(shown, None, "{table}: a recipient number");
            }
        }
    }
    assert!(cells > 5_000, "{cells} cells");
}

fn names(mut select: rusqlite::Statement<'_>) -> Vec<String> {
    select.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// While it runs, and at its most talkative: neither the write-ahead log nor the technical log shows anybody.
#[tokio::test(flavor = "multi_thread")]
async fn neither_the_write_ahead_log_nor_the_technical_log_shows_anybody() {
    let copy = tokio::task::spawn_blocking(|| KeptHub::shared().copy()).await.unwrap();
    let hub = copy.path().to_owned();
    let samples = hub.join("samples");
    let filter =
        "info,tsunagi_gateway=trace,tsunagi_store=trace,tsunagi_mappings=trace,tsunagi_adapters=trace,hyper=debug";
    let served = tokio::task::spawn_blocking({
        let hub = hub.clone();
        move || Served::start(&hub, &[("TSUNAGI__LOG__FILTER", filter)])
    });
    let served = served.await.unwrap();
    let (city, hospital) = (partner(&hub, "city-oita", served.edge), partner(&hub, "hospital-oita", served.edge));
    // A changed row for each child, so that everything is written again.
    let rows =
        std::fs::read_to_string(samples.join("entitlements.json")).unwrap().replace("子ども医療費", "こども医療費");
    let json = [("content-type", "application/json")];
    let task = city.send(Method::POST, "/pmh/v1/medicalSubsidy/registrationTasks", &json, rows).await.expect(202);
    assert!(task.json()["results"].as_array().unwrap().len() > 500);
    let csv = [("content-type", "text/csv; charset=Shift_JIS")];
    let file = std::fs::read(samples.join("entitlements.csv")).unwrap();
    city.send(Method::POST, "/v1/files/municipal_csv/subsidy_entitlement_legacy", &csv, file).await.expect(202);
    let fhir = [("content-type", "application/fhir+json")];
    for (path, sample) in
        [("/fhir/Immunization", "immunization.json"), ("/fhir/CoverageEligibilityRequest/$submit", "eligibility.json")]
    {
        let sent = hospital.send(Method::POST, path, &fhir, std::fs::read(samples.join(sample)).unwrap()).await;
        assert!(sent.status.is_success(), "{}", sent.text());
    }
    // A search by number, a body that breaks off in the middle of a name, and what the mailbox gives.
    hospital.get("/fhir/Immunization?patient.identifier=urn:tsunagi:identifier:recipient|81440018:0001008").await;
    let broken = "[{\"basicFiveInfo\":{\"name\":\"高橋花子";
    city.send(Method::POST, "/pmh/v1/medicalSubsidy/registrationTasks", &json, broken).await.expect(400);
    city.get("/v1/mailbox").await.expect(200);

    let wal = hub.join("data/tsunagi.db-wal");
    assert!(std::fs::metadata(&wal).unwrap().len() > 100_000, "the write-ahead log is empty");
    let log = tokio::task::spawn_blocking(|| served.kill()).await.unwrap();
    let scanner = Scanner::new(&Secrets::of_demo(&samples));
    let innocent = innocent(&scanner);
    for file in store_files(&hub) {
        let bytes = std::fs::read(&file).unwrap();
        let found: Vec<&str> = scanner.find(&bytes).into_iter().filter(|text| !innocent.contains(*text)).collect();
        assert!(found.is_empty(), "{} holds {found:?}", file.display());
    }
    assert!(log.contains(" ready "));
    assert_eq!(scanner.find(log.as_bytes()), BTreeSet::new(), "the technical log names somebody");
}
