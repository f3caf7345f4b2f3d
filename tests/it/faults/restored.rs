//! A hub is lost, and goes on from a backup that was made while it served, by the commands of docs/operating.md as they
//! stand there. What was kept verifies; what came later is lost, is found out by whoever holds a newer checkpoint, and is
//! there again once those who sent it have sent it again.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::Method;
use tempfile::TempDir;
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_tests::own_server::OwnServer;
use tsunagi_tests::{Log, MadeHub, Setup};

use super::load::{Load, Sender, Task, Told, Way};
use super::server::on;
use super::sheets::{SUBMITTERS, Sheet};
use super::town::Town;
use crate::readme::blocks;

/// What goes well between two of the things that happen.
const SOME: u64 = 60;

/// The commands of the page, in order.
struct Page {
    keep_file: String,
    restore_file: String,
    server_settings: String,
    keep_server: String,
    restore_server: String,
    afterwards: String,
}

impl Page {
    fn read() -> Self {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");
        let page = std::fs::read_to_string(page).unwrap();
        let section = page.split("\n## ").find(|section| section.starts_with("Backup and restore\n")).unwrap();
        let found: Vec<(&str, String)> =
            blocks(section).into_iter().map(|block| (block.language, block.text)).collect();
        let [
            ("sh", keep_file),
            ("sh", restore_file),
            ("text", server_settings),
            ("sh", keep_server),
            ("sh", restore_server),
            ("sh", afterwards),
        ] = <[_; 6]>::try_from(found).unwrap()
        else {
            panic!("other commands than these")
        };
        Self { keep_file, restore_file, server_settings, keep_server, restore_server, afterwards }
    }
}

/// Files that others have of a hub's log.
struct Held(TempDir);

impl Held {
    fn export(&self, hub: &MadeHub, name: &str) -> PathBuf {
        let file = self.0.path().join(name);
        hub.run(&["audit", "export", "--tenant", "oita", file.to_str().unwrap()]).ended(0);
        file
    }

    /// The checkpoint of an export, in a file of its own, and its size.
    fn checkpoint(export: &Path) -> (PathBuf, u64) {
        let text = std::fs::read_to_string(export).unwrap();
        let head: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let file = export.with_extension("checkpoint");
        std::fs::write(&file, head["checkpoint"].as_str().unwrap()).unwrap();
        (file, head["to"].as_u64().unwrap())
    }
}

/// Waits until so many leaves are sealed.
async fn sealed(hub: &MadeHub, leaves: u64) {
    let (store, oita) = (hub.store().await, "oita".parse().unwrap());
    while store.newest_checkpoint(&oita).await.unwrap().is_none_or(|checkpoint| checkpoint.size < leaves) {
        tokio::task::yield_now().await;
    }
}

async fn length(hub: &MadeHub) -> u64 {
    Log::read(hub.store().await.as_ref(), "oita").await.events.len() as u64
}

/// A hub under load of which something is `kept`, after which more is acknowledged, and which is then killed and
/// `restored`. What `restored` gives has to live as long as the hub.
async fn goes_on_from_a_backup<K>(
    setup: Setup,
    what: &str,
    kept: impl AsyncFnOnce(&Town, &Load),
    restored: impl AsyncFnOnce(&mut MadeHub) -> K,
) {
    let afterwards = Page::read().afterwards;
    let mut town = Town::new(setup).await;
    let key = town.hub.run(&["audit", "key"]).ended(0);
    std::fs::write(town.hub.folder.path().join("hub.key"), key.stdout).unwrap();
    let held = Held(tempfile::tempdir().unwrap());
    let served = town.serve(&[]).await;
    let (edge, senders) = (served.edge, town.people(served.edge).await);
    sealed(&town.hub, 1).await;
    let before = held.export(&town.hub, "before.jsonl");
    let load = Load::begin(senders, |sender, _| town.way(sender, &[edge], 0));
    load.goes_on(SOME).await;
    kept(&town, &load).await;
    load.goes_on(SOME).await;
    sealed(&town.hub, length(&town.hub).await).await;
    let newer = held.export(&town.hub, "newer.jsonl");
    let (checkpoint, size) = Held::checkpoint(&newer);
    tokio::task::spawn_blocking(|| served.kill()).await.unwrap();
    let mut told = Told::default();
    load.end().await.into_iter().for_each(|sender| told.add(sender.told));

    let _place = restored(&mut town.hub).await;
    let first = length(&town.hub).await;
    assert!(first < size, "{what}: {first} leaves were kept of {size}, so none was lost");
    let check = |earlier: &Path| {
        let variables = [("TENANT", "oita"), ("HELD", earlier.to_str().unwrap())];
        let ran = town.hub.shell(&afterwards, &variables);
        std::fs::remove_file(town.hub.folder.path().join("now.jsonl")).unwrap();
        ran
    };
    check(&before).ended(0);
    for held in [&newer, &checkpoint] {
        let said = check(held).ended(1).err();
        assert!(said.contains("forked or cut") && said.contains(&format!("< {size}")), "{said}");
    }

    let served = town.serve(&[]).await;
    let edge = served.edge;
    let back = withdrawn_again(&town, &told, edge).await;
    let (same, new) = sent_again(&town, &told, edge).await;
    assert!(same > 0 && new > 0, "{what}: {same} writes were kept, and {new} were not");
    // It goes on, past what it was: another log with the same key.
    let others = (0..SUBMITTERS).map(|n| Sender::new(Sheet::of(n, 0).sender, Task::Submit(n, 1_000)));
    let others =
        others.chain([Sender::new("hospital-oita", Task::Ask(0)), Sender::new("city-oita", Task::Collect(None))]);
    let load = Load::begin(others.collect(), |sender, _| town.way(sender, &[edge], 0));
    load.goes_on(SOME).await;
    while length(&town.hub).await <= size {
        load.goes_on(SOME).await;
    }
    sealed(&town.hub, size + 1).await;
    let said = check(&newer).ended(1).err();
    let parted = said.split("from leaf ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(said.contains("forked or cut") && parted == Some(first), "{first}: {said}");
    assert!(check(&checkpoint).ended(1).err().contains("forked or cut"));
    check(&before).ended(0);
    town.settle(load.end().await, &[edge]).await;
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert_eq!(code, 0, "{log}");
    town.hub.run(&["audit", "verify"]).ended(0);
    town.hub.check().await;
    println!(
        "{what}: {first} of {size} leaves were in it, and {same} of {} acknowledged writes; {new} were sent again, and {back} \
         of {} withdrawals made again",
        told.receipts.len(),
        told.withdrawn.len(),
    );
}

/// Everyone withdraws again what they were told is withdrawn; gives how many of these consents held again.
async fn withdrawn_again(town: &Town, told: &Told, edge: SocketAddr) -> usize {
    let log = Log::read(town.hub.store().await.as_ref(), "oita").await;
    let said = |action| -> BTreeSet<&str> {
        let done = log.events.iter().filter(|event| event.action == action && event.outcome == EventOutcome::Done);
        done.filter_map(|event| Some(event.directive.as_ref()?.as_str())).collect()
    };
    let (given, withdrawn) = (said(Action::DirectiveRecorded), said(Action::DirectiveWithdrawn));
    let app = town.hub.partner("app-techo", edge);
    let mut back = 0;
    for one in &told.withdrawn {
        let path = format!("/app/v1/consents/{}", one.id);
        let reply = app.send(Method::DELETE, &path, &[("authorization", &one.bearer)], "").await;
        // One that was given after the backup is not there to be withdrawn.
        reply.expect(if given.contains(one.id.as_str()) { 200 } else { 404 });
        back += usize::from(given.contains(one.id.as_str()) && !withdrawn.contains(one.id.as_str()));
    }
    back
}

/// Every submit that has a receipt, sent again as it stood: how many got the same receipt, and how many a new one.
async fn sent_again(town: &Town, told: &Told, edge: SocketAddr) -> (usize, usize) {
    let (mut same, mut new) = (0, 0);
    for (submitter, n, exchange) in &told.receipts {
        let sheet = Sheet::of(*submitter, *n);
        let sender = town.hub.partner(sheet.sender, edge);
        let known = sender.get(&format!("/v1/exchanges/{exchange}")).await;
        let mut way = Way::over(vec![sender], 0);
        let receipt = sheet.send(&mut way).await.unwrap_or_else(|_| panic!("{}: no answer", sheet.key));
        let is_kept = sheet.is_kept(&mut way, &receipt).await;
        assert!(is_kept.is_ok(), "{}: no answer", sheet.key);
        let is_new = receipt != *exchange;
        known.expect(if is_new { 404 } else { 200 });
        new += usize::from(is_new);
        same += usize::from(!is_new);
    }
    (same, new)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_on_sqlite_goes_on_from_a_backup_and_what_it_lost_is_found_out_and_sent_again() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        println!("not run: a hub restored from a backup of SQLite (sqlite3 is not installed)");
        return;
    }
    let (page, backup) = (Page::read(), tempfile::tempdir().unwrap());
    let place = [("BACKUP", backup.path().to_str().unwrap())];
    let kept = async |town: &Town, _: &Load| drop(town.hub.shell(&page.keep_file, &place).ended(0));
    let restored = async |hub: &mut MadeHub| {
        let gone = hub.move_without_data(&[]);
        hub.shell(&page.restore_file, &place).ended(0);
        gone
    };
    let setup = Setup::new().set("store.backend", "sqlite");
    goes_on_from_a_backup(setup, "a backup of SQLite", kept, restored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_on_postgres_goes_on_from_base_backup_and_archive_and_what_it_lost_is_found_out_and_sent_again() {
    let Some(first) = OwnServer::make("a hub restored from a base backup and an archive") else { return };
    let page = Page::read();
    let second = first.another();
    let backup = second.beside("backup");
    let place = [("BACKUP", backup.to_str().unwrap())];
    first.shell("mkdir -p \"$BACKUP/wal\"", &place);
    let settings = page.server_settings.replace("$BACKUP", place[0].1);
    first.configure(&settings);
    // What is archived when is this test's to say.
    let by_hand = ["archive_timeout=0".to_owned()];
    first.start(&by_hand);
    let url = |server: &OwnServer| format!("postgres://postgres@127.0.0.1:{}/postgres", server.port);
    let kept = async |_: &Town, load: &Load| {
        first.shell(&page.keep_server, &place);
        load.goes_on(SOME).await;
        // All of that is archived; what comes now is not.
        let archived = "name=$(psql -Atc 'SELECT pg_walfile_name(pg_switch_wal())')
                        until [ \"$(psql -Atc \"SELECT last_archived_wal >= '$name' FROM pg_stat_archiver\")\" = t ]
                        do :; done";
        first.shell(archived, &place);
    };
    let restored = async |hub: &mut MadeHub| {
        first.stop();
        second.shell(&page.restore_server, &place);
        second.start(&by_hand);
        second.shell("until [ \"$(psql -Atc 'SELECT pg_is_in_recovery()')\" = f ]; do :; done", &place);
        hub.move_without_data(&[("TSUNAGI__STORE__POSTGRES_URL", &url(&second))])
    };
    goes_on_from_a_backup(on(&url(&first)), "a base backup and an archive of PostgreSQL", kept, restored).await;
}
