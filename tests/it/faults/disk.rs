//! The disk is full under a live hub: it says so, acknowledges nothing that it cannot keep, and goes on by itself when
//! there is room again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;

use serde_json::json;
use tsunagi_tests::Setup;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, eligibility, immunization};
use tsunagi_tests::process::Served;

use super::ledger::check;
use super::load::Load;
use super::town::{READ, REPORTED, Town, today};

/// A disk of the store's own.
const DISK_BYTES: u64 = 48 << 20;

/// How often it is full.
const TIMES: usize = 3;

/// How the store's room is bounded.
enum Room {
    /// A small disk of its own, and the file that fills it.
    Disk(PathBuf),
    /// No file of the process may grow.
    Limit,
}

impl Room {
    /// A disk where this user may mount one.
    fn beside(folder: &Path) -> Self {
        let disk = folder.join("data");
        std::fs::create_dir_all(&disk).unwrap();
        let size = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&disk).output();
        if mounted.is_ok_and(|ran| ran.status.success()) { Self::Disk(disk) } else { Self::Limit }
    }

    /// Nothing can be written any more.
    fn fill(&self, served: &Served) {
        match self {
            Self::Disk(disk) => {
                // Whatever is left, to the last byte.
                let filled = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(ballast(disk)).output();
                assert!(filled.is_ok_and(|ran| !ran.status.success()), "the disk has no end");
            }
            // One byte: what is longer is every file that it writes to.
            Self::Limit => limit(served, "1"),
        }
    }

    /// There is room again.
    fn make_room(&self, served: &Served) {
        match self {
            Self::Disk(disk) => std::fs::remove_file(disk.join("ballast")).unwrap(),
            Self::Limit => limit(served, "unlimited"),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Self::Disk(disk) = self {
            // Lazily: what is open there still closes.
            let _unmounted = Command::new("umount").arg("--lazy").arg(disk).status();
        }
    }
}

fn ballast(disk: &Path) -> String {
    format!("of={}", disk.join("ballast").display())
}

/// Bounds the size of every file that the process writes, while it runs.
fn limit(served: &Served, bytes: &str) {
    let (process, size) = (format!("--pid={}", served.id()), format!("--fsize={bytes}:unlimited"));
    let set = Command::new("prlimit").args([process, size]).status();
    assert!(set.is_ok_and(|status| status.success()), "prlimit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_nothing_is_lost_and_it_goes_on_when_there_is_room() {
    if super::backend() == "postgres" {
        println!("not run: a full disk on PostgreSQL (its server's disk is not the hub's; see docs/faults.md)");
        return;
    }
    let (made, rooms) = channel();
    let setup = Setup::new().prepare(move |folder, _, _| made.send(Room::beside(folder)).unwrap());
    let town = Town::new(setup).await;
    let room = rooms.recv().unwrap();
    if matches!(room, Room::Limit) && Command::new("prlimit").arg("--version").output().is_err() {
        println!("not run: a full disk (this user may not mount a small one, and prlimit is not installed)");
        return;
    }
    let launched = town.hub.launch_heedless();
    let served = tokio::task::spawn_blocking(|| launched.until_ready()).await.unwrap();
    let senders = town.people(served.edge).await;
    let edge = served.edge;
    let load = Load::begin(senders, |sender, _| town.way(sender, &[edge], 0));
    let hospital = town.hub.partner("hospital-oita", edge);
    for n in 0..TIMES {
        load.goes_on(60).await;
        let person = Person::number(REPORTED.start, today());
        let shot = immunization(&person, HOSPITAL_OITA, OITA, &format!("D-{n}"), today());
        let question = eligibility(&Person::number(READ.start, today()).joined(), None);
        let path = "/fhir/CoverageEligibilityRequest/$submit";
        room.fill(&served);
        let (status, told) = town.becomes(&served, 503).await;
        assert_eq!((status, &told["ready"]), (503, &json!(false)), "{told}");
        assert_ne!(told["store"], "ok", "{told}");
        // No receipt, and no data without a leaf. What was written to before may have a little room in it, and what fits
        // there is on the disk as ever.
        let replies = [hospital.post("/fhir/Immunization", &shot).await, hospital.post(path, &question).await];
        for reply in replies.iter().filter(|reply| !reply.status.is_success()) {
            assert_eq!((reply.status.as_u16(), reply.code().as_str()), (503, "unavailable"), "{}", reply.text());
            assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|secs| secs > 0));
        }
        room.make_room(&served);
        town.becomes(&served, 200).await;
        hospital.post(path, &question).await.expect(200);
    }
    let senders = load.end().await;
    let told = town.settle(senders, &[edge]).await;
    assert!(told.refusals > 0, "nobody of the load met the full disk");
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert_eq!(code, 0, "{log}");
    check(&town, &told, &format!("{TIMES} times a full disk")).await;
    drop((town, room));
}
