//! Secrets in files: keys and passwords.
//!
//! One that others on the machine can read is refused, as `ssh` does and the CA with its own keys.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tsunagi_core::sensitive::Sensitive;

use crate::gateway::StartFault;

/// A key: 32 bytes in hexadecimal.
pub(crate) fn read_key(path: &Path) -> Result<Sensitive<[u8; 32]>, StartFault> {
    let text = read(path, "; `tsunagi init` makes the keys of a new hub")?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.expose().trim(), &mut bytes)
        .map_err(|_| fault(path, "expected 64 hexadecimal digits"))?;
    Ok(Sensitive::new(bytes))
}

/// A password: the first line.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) fn read_password(path: &Path) -> Result<Sensitive<String>, StartFault> {
    let text = read(path, "")?;
    Ok(Sensitive::new(text.expose().lines().next().unwrap_or_default().to_owned()))
}

fn read(path: &Path, otherwise: &str) -> Result<Sensitive<String>, StartFault> {
    let missing = |error| fault(path, format_args!("{error}{otherwise}"));
    let file = File::open(path).map_err(missing)?;
    if file.metadata().map_err(missing)?.permissions().mode() & 0o077 != 0 {
        let exposed = "can be read by others: run chmod 600 on it, and replace what it holds if they may have";
        return Err(fault(path, exposed));
    }
    std::io::read_to_string(file).map(Sensitive::new).map_err(missing)
}

fn fault(path: &Path, why: impl std::fmt::Display) -> StartFault {
    StartFault::Setting(format!("{}: {why}", path.display()))
}
