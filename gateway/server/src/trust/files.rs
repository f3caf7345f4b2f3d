//! Where papers of trust lie: single files, and folders of which every file is read, so that what is put into one
//! counts without a change of settings.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::gateway::StartFault;

/// The first octet of DER, as no PEM begins.
pub(super) const DER: u8 = 0x30;

/// Every file that the paths name, in order. A path that is a folder stands for the files in it, by name, without those
/// whose names begin with a dot; one that is written as a folder (`trust/crl/`) need not be there.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, StartFault> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            all.extend(in_folder(path).map_err(|error| fault(path, error))?);
        } else if !path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            all.push(path.clone());
        }
    }
    Ok(all)
}

fn in_folder(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A link is followed: lists that another CA keeps fresh are put here as links. One that leads nowhere is a file
        // that is missing, and said to be.
        let is_file = entry.path().is_file() || (entry.path().is_symlink() && !entry.path().exists());
        if is_file && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the certificates of a file, in PEM or alone in DER; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartFault> {
    let bytes = std::fs::read(path).map_err(|error| fault(path, error))?;
    if bytes.first() == Some(&DER) {
        return Ok(vec![CertificateDer::from(bytes)]);
    }
    let read = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(fault(path, "holds no certificate")),
        Err(error) => Err(fault(path, error)),
    }
}

/// What is held in a file that may not be there yet.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StartFault> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault(path, error)),
    }
}

/// A fault with its file.
pub(super) fn fault(path: &Path, why: impl std::fmt::Display) -> StartFault {
    StartFault::Setting(format!("{}: {why}", path.display()))
}
