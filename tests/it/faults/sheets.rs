//! What the load submits: the same sheet for the same number, so that it can be sent again as it stands.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use tsunagi_tests::papers::{HOSPITAL_OITA, MODERN_HEADER, OITA, Person, batch, entitlement, immunization, modern_row};

use super::load::{Unanswered, Way};
use super::town::{CHILDREN, FHIR, JSON, REGISTER, REPORTED, today};

const FILE: &str = "/v1/files/municipal_csv/subsidy_entitlement_modern";

/// Rows of one registration and of one file.
const ROWS: usize = 5;
/// Vaccinations of one batch.
const DOSES: usize = 3;
/// Senders who submit.
pub(super) const SUBMITTERS: usize = 4;

/// One thing that is sent, and sent again as it stands.
pub(super) struct Sheet {
    pub(super) sender: &'static str,
    pub(super) key: String,
    path: &'static str,
    media_type: &'static str,
    body: String,
    /// How many records come of it.
    pub(super) rows: usize,
    /// The document numbers in it, each of which is delivered.
    pub(super) documents: Vec<String>,
}

impl Sheet {
    /// The `n`-th of one of the submitters: of every other one the municipality's, of the others a hospital's; and each
    /// changes between single messages and many rows at once.
    pub(super) fn of(submitter: usize, n: usize) -> Self {
        let key = format!("sheet-{submitter}-{n}");
        let today = today();
        let new = |row: usize| Person::number(CHILDREN + (n * SUBMITTERS + submitter) * ROWS + row, today);
        let number = |dose: usize| format!("S-{submitter}-{n}-{dose}");
        let shot = |dose: usize| {
            let child = REPORTED.start + (n + dose) % REPORTED.len();
            immunization(&Person::number(child, today), HOSPITAL_OITA, OITA, &number(dose), today)
        };
        let doses = if n.is_multiple_of(2) { 1 } else { DOSES };
        match (submitter % 2, n % 2) {
            (0, 0) => {
                let body = json!((0..ROWS).map(|row| entitlement(&new(row))).collect::<Vec<_>>()).to_string();
                Self {
                    sender: "city-oita",
                    key,
                    path: REGISTER,
                    media_type: JSON.1,
                    body,
                    rows: ROWS,
                    documents: vec![],
                }
            }
            (0, _) => {
                let rows = (0..ROWS).map(|row| modern_row(&new(row), OITA)).collect::<Vec<_>>().join("\n");
                let (body, media_type) = (format!("{MODERN_HEADER}\n{rows}\n"), "text/csv; charset=utf-8");
                Self { sender: "city-oita", key, path: FILE, media_type, body, rows: ROWS, documents: vec![] }
            }
            _ => {
                let shots: Vec<Value> = (0..doses).map(shot).collect();
                let (path, body) = match &shots[..] {
                    [shot] => ("/fhir/Immunization", shot.to_string()),
                    many => ("/fhir/Bundle", batch(many).to_string()),
                };
                let documents = (0..doses).map(number).collect();
                Self { sender: "hospital-oita", key, path, media_type: FHIR.1, body, rows: doses, documents }
            }
        }
    }

    /// Sends it; gives the exchange that its receipt quotes. Every row of it must have been taken.
    pub(super) async fn send(&self, way: &mut Way) -> Result<String, Unanswered> {
        let headers = [("content-type", self.media_type), ("idempotency-key", &self.key)];
        let reply = way.ask(Method::POST, self.path, &headers, &self.body).await?;
        let is_taken = |row: &&Value| ["200", "201"].iter().any(|good| row["response"]["status"] == **good);
        let body = reply.json();
        let taken = match self.path {
            "/fhir/Immunization" => usize::from(matches!(reply.status.as_u16(), 200 | 201)),
            "/fhir/Bundle" => body["entry"].as_array().map_or(0, |rows| rows.iter().filter(is_taken).count()),
            FILE => body["accepted"].as_u64().unwrap_or(0) as usize,
            _ => body["results"]
                .as_array()
                .map_or(0, |rows| rows.iter().filter(|row| row["status"] == "registered").count()),
        };
        assert_eq!(taken, self.rows, "{}: {} {}", self.key, reply.status, reply.text());
        Ok(reply.exchange().to_owned())
    }

    /// Reads it back by its receipt: there, complete, each of its rows a record.
    pub(super) async fn is_kept(&self, way: &mut Way, exchange: &str) -> Result<(), Unanswered> {
        let kept = way.ask(Method::GET, &format!("/v1/exchanges/{exchange}"), &[], "").await?.expect(200).json();
        let rows = kept["rows"].as_array().unwrap();
        let records: BTreeSet<&str> = rows.iter().filter_map(|row| row["record"].as_str()).collect();
        assert_eq!((rows.len(), records.len()), (self.rows, self.rows), "{}: {kept}", self.key);
        assert_eq!(kept["state"], "complete", "{kept}");
        Ok(())
    }
}
