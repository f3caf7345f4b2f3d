//! The folder on disk: one process at a time, each file whole or not there.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::CertsError;

/// Mode of what anyone may read.
pub(crate) const PUBLIC: u32 = 0o644;
/// Mode of what only the owner may read.
pub(crate) const PRIVATE: u32 = 0o600;

/// How long a folder that another process works in is waited for. Commands are done with it in less.
const PATIENCE: Duration = Duration::from_secs(5);

/// A folder that this process alone works in, until the value is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    // The system releases the lock with the file, also when the process is killed.
    lock: File,
}

impl Drop for Folder {
    /// Unlocks by name: closing the file is not enough while a process that was started meanwhile still holds a copy of
    /// its descriptor. Where unlocking fails the end of this process does it.
    fn drop(&mut self) {
        drop(self.lock.unlock());
    }
}

impl Folder {
    /// Makes the folder, or takes one that is empty; closes it to others and locks it.
    ///
    /// A folder that holds anything is left alone: its mode may be as it is for the sake of what lies in it.
    pub(crate) fn create(path: &Path) -> Result<Self, CertsError> {
        let parent = path.parent().unwrap_or(path);
        fs::create_dir_all(parent).map_err(CertsError::io("make", parent))?;
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => sync_folder(parent)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => refuse_unless_empty(path)?,
            Err(error) => return Err(CertsError::io("make", path)(error)),
        }
        fs::set_permissions(path, PermissionsExt::from_mode(0o700)).map_err(CertsError::io("close", path))?;
        let folder = Self::open(path)?;
        // Another process may have filled the folder before the lock was ours.
        refuse_unless_empty(path)?;
        Ok(folder)
    }

    /// Locks a folder that is there, once whoever works in it is done; refused if that takes long.
    pub(crate) fn open(path: &Path) -> Result<Self, CertsError> {
        Self::open_within(path, PATIENCE, || {})
    }

    /// The same with the time it may take. `when_held` is called if the folder is not free at once.
    pub(crate) fn open_within(path: &Path, patience: Duration, when_held: impl FnOnce()) -> Result<Self, CertsError> {
        let file = path.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(&file)
            .map_err(CertsError::io("open", &file))?;
        let lock = match lock.try_lock() {
            Ok(()) => lock,
            Err(TryLockError::WouldBlock) => {
                when_held();
                let locked = locked_within(lock, patience).ok_or_else(|| CertsError::Busy { dir: path.to_owned() })?;
                locked.map_err(CertsError::io("lock", &file))?
            }
            Err(TryLockError::Error(error)) => return Err(CertsError::io("lock", &file)(error)),
        };
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Where a file of the folder is.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Text of a file, or `None` if there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, CertsError> {
        let file = self.at(name);
        match fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CertsError::io("read", &file)(error)),
        }
    }

    /// Text of a key file. Refused if others can read it, as `ssh` does.
    pub(crate) fn read_key(&self, name: &str) -> Result<Zeroizing<String>, CertsError> {
        let file = self.at(name);
        let missing = || CertsError::NotInitialised { file: file.clone() };
        let text = Zeroizing::new(self.read(name)?.ok_or_else(missing)?);
        let mode = fs::metadata(&file).map_err(CertsError::io("read", &file))?.permissions().mode();
        if mode & 0o077 == 0 { Ok(text) } else { Err(CertsError::Exposed { file }) }
    }

    /// Puts a file in place of the one before it. After a crash at any point there is the old text or the new one.
    pub(crate) fn replace(&self, name: &str, text: &str, mode: u32) -> Result<(), CertsError> {
        let file = self.at(name);
        // One fixed name is enough under the lock; what a crash leaves of it is written over here.
        let fresh = self.at(&format!(".{name}.new"));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&fresh)
            .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()));
        written.map_err(CertsError::io("write", &fresh))?;
        fs::rename(&fresh, &file).map_err(CertsError::io("replace", &file))?;
        sync_folder(&self.path)
    }
}

/// The file with its lock held, or `None` if that took too long. The system's lock waits without a limit, so a thread
/// does the waiting; one that waits in vain gives the lock back as soon as it has it, or ends with the process.
fn locked_within(lock: File, patience: Duration) -> Option<std::io::Result<File>> {
    // Without room in the channel nothing is handed over that nobody takes.
    let (hand_over, handed) = sync_channel(0);
    std::thread::spawn(move || {
        let locked = lock.lock().map(|()| lock);
        if let Err(too_late) = hand_over.send(locked) {
            drop(too_late.0.map(|lock| lock.unlock()));
        }
    });
    handed.recv_timeout(patience).ok()
}

/// Writes a private key to a new file that only the owner can read, and waits until it is on disk.
///
/// Never overwrites: a key that is gone cannot be made again.
pub fn write_key(path: &Path, pem: &str) -> Result<(), CertsError> {
    write_private(path, pem.as_bytes())
}

/// The same for octets: a bundle holds a key too.
pub fn write_private(path: &Path, octets: &[u8]) -> Result<(), CertsError> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(CertsError::KeyExists { file: path.to_owned() });
        }
        Err(error) => return Err(CertsError::io("write", path)(error)),
    };
    if let Err(error) = file.write_all(octets).and_then(|()| file.sync_all()) {
        // Half a key is no key, and it would stand in the way of the next try.
        let doing = if fs::remove_file(path).is_ok() { "write" } else { "finish or remove the key in" };
        return Err(CertsError::io(doing, path)(error));
    }
    sync_folder(path.parent().unwrap_or(path))
}

/// Makes names that were added to a folder last through a power cut.
fn sync_folder(path: &Path) -> Result<(), CertsError> {
    // The parent of a bare file name is the empty path, which cannot be opened.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|folder| folder.sync_all()).map_err(CertsError::io("sync", path))
}

fn refuse_unless_empty(path: &Path) -> Result<(), CertsError> {
    for entry in fs::read_dir(path).map_err(CertsError::io("read", path))? {
        let file = entry.map_err(CertsError::io("read", path))?.path();
        if !file.ends_with("lock") {
            return Err(CertsError::AlreadyInitialised { file });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_written_once_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("participant.key");
        write_key(&path, "first").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(matches!(write_key(&path, "second"), Err(CertsError::KeyExists { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }

    #[test]
    fn a_replaced_file_is_whole_and_what_a_crash_left_is_no_hindrance() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("ca")).unwrap();
        fs::write(folder.at(".crl.pem.new"), "half of a list that was never finished").unwrap();
        folder.replace("crl.pem", "one", PUBLIC).unwrap();
        folder.replace("crl.pem", "two", PUBLIC).unwrap();
        assert_eq!(folder.read("crl.pem").unwrap().as_deref(), Some("two"));
        assert!(!folder.at(".crl.pem.new").exists());
    }

    #[test]
    fn an_empty_folder_is_closed_and_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let folder = Folder::create(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        let mut was_held = false;
        let refused = Folder::open_within(&path, Duration::ZERO, || was_held = true);
        assert!(was_held && matches!(refused, Err(CertsError::Busy { .. })));
        drop(folder);
        assert!(Folder::open(&path).is_ok());
    }

    #[test]
    fn a_folder_in_use_is_waited_for_and_what_waited_in_vain_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca");
        let folder = Folder::create(&path).unwrap();
        assert!(Folder::open_within(&path, Duration::ZERO, || {}).is_err());
        // The other is done with it after this one has found it taken.
        let taken = Folder::open_within(&path, PATIENCE, || drop(folder)).unwrap();
        let seen = Folder::open_within(&path, PATIENCE, || drop(taken));
        assert!(seen.is_ok());
    }

    #[test]
    fn a_folder_in_other_use_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(dir.path().join("notes"), "").unwrap();
        assert!(matches!(Folder::create(dir.path()), Err(CertsError::AlreadyInitialised { .. })));
        assert_eq!(mode(dir.path()), 0o755);
        assert!(!dir.path().join("lock").exists());
    }
}
