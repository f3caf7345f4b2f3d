//! Files on their way in (仮置き): too large to be held, and read twice. What is spooled never rests readable on a disk:
//! it is encrypted under a key that exists only in this process and ends with it.

use std::io::{Error, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use tempfile::SpooledTempFile;
use tsunagi_core::sensitive::Sensitive;

/// How much is encrypted at once, and held in memory of a body that is being written or read.
const PIECE: usize = 64 * 1024;
/// A piece with its tag.
const SEALED: usize = PIECE + 16;
/// What does not go to a disk at all.
const SMALL: usize = 4 * SEALED;

/// A body being taken in.
pub struct SpoolWriter {
    file: SpooledTempFile,
    key: LessSafeKey,
    piece: Vec<u8>,
    pieces: u64,
    length: u64,
    digest: Context,
}

/// A body that was taken in whole: read from its beginning, as often as needed. It is gone when this is dropped.
pub struct Spool {
    file: SpooledTempFile,
    key: LessSafeKey,
    length: u64,
    digest: [u8; 32],
    position: u64,
    /// The piece that is open, and which it is.
    piece: Vec<u8>,
    open: Option<u64>,
}

impl SpoolWriter {
    /// An empty one; what does not stay in memory goes to a file without a name in `folder`.
    pub fn new(folder: &Path) -> Result<Self> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| Error::other("no random numbers"))?;
        let secret = Sensitive::new(secret);
        let key = UnboundKey::new(&AES_256_GCM, secret.expose()).map_err(|_| Error::other("no key"))?;
        Ok(Self {
            file: tempfile::spooled_tempfile_in(SMALL, folder),
            key: LessSafeKey::new(key),
            piece: Vec::new(),
            pieces: 0,
            length: 0,
            digest: Context::new(&SHA256),
        })
    }

    /// Adds to the body. An error means that the disk does not take it.
    pub fn write(&mut self, mut data: &[u8]) -> Result<()> {
        self.digest.update(data);
        self.length += data.len() as u64;
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            data = later;
            if self.piece.len() == PIECE {
                self.seal()?;
            }
        }
        Ok(())
    }

    /// Its length so far, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The body, ready to be read.
    pub fn finish(mut self) -> Result<Spool> {
        self.seal()?;
        let digest = self.digest.finish().as_ref().try_into().unwrap_or_default();
        let Self { file, key, length, mut piece, .. } = self;
        piece.clear();
        Ok(Spool { file, key, length, digest, position: 0, piece, open: None })
    }

    /// A piece is sealed once under its number, so no nonce is used twice under this key.
    fn seal(&mut self) -> Result<()> {
        let nonce = nonce(self.pieces);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.piece)
            .map_err(|_| Error::other("not encrypted"))?;
        self.file.write_all(&self.piece)?;
        self.piece.clear();
        self.pieces += 1;
        Ok(())
    }
}

impl Spool {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the whole body.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn load(&mut self, number: u64) -> Result<()> {
        if self.open == Some(number) {
            return Ok(());
        }
        self.open = None;
        self.file.seek(SeekFrom::Start(number * SEALED as u64))?;
        self.piece.clear();
        Read::by_ref(&mut self.file).take(SEALED as u64).read_to_end(&mut self.piece)?;
        let opened = self.key.open_in_place(nonce(number), Aad::empty(), &mut self.piece);
        let length = opened.map_err(|_| Error::other("the spooled body is not what was written"))?.len();
        self.piece.truncate(length);
        self.open = Some(number);
        Ok(())
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.position >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        let (number, at) = (self.position / PIECE as u64, (self.position % PIECE as u64) as usize);
        self.load(number)?;
        let rest = self.piece.get(at..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..read), rest.get(..read)) {
            to.copy_from_slice(from);
        }
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Spool {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| Error::other("before the beginning"))?;
        Ok(self.position)
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes.iter_mut().skip(4).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;

    use super::*;

    fn body(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 / 7) as u8).collect()
    }

    #[test]
    fn what_was_written_is_read_twice() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE + 17] {
            let body = body(length);
            let mut writer = SpoolWriter::new(folder.path()).unwrap();
            body.chunks(10_007).for_each(|chunk| writer.write(chunk).unwrap());
            assert_eq!(writer.length(), length as u64);
            let mut spool = writer.finish().unwrap();
            assert_eq!(spool.digest(), digest::digest(&SHA256, &body).as_ref());
            for _ in 0..2 {
                spool.seek(SeekFrom::Start(0)).unwrap();
                let mut read = Vec::new();
                spool.read_to_end(&mut read).unwrap();
                assert!(read == body, "{length} bytes");
            }
            let half = spool.seek(SeekFrom::End(-(length as i64 / 2))).unwrap();
            let mut rest = Vec::new();
            spool.read_to_end(&mut rest).unwrap();
            assert!(rest == body[half as usize..]);
        }
    }

    #[test]
    fn nothing_readable_is_in_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SpoolWriter::new(folder.path()).unwrap();
        let line = "青葉 ひなた,2026-01-10\n".as_bytes();
        (0..40_000).for_each(|_| writer.write(line).unwrap());
        let mut spool = writer.finish().unwrap();
        spool.file.seek(SeekFrom::Start(0)).unwrap();
        let mut stored = Vec::new();
        spool.file.read_to_end(&mut stored).unwrap();
        assert!(stored.len() > 40_000 * line.len());
        assert!(!stored.windows(9).any(|window| line.windows(9).any(|plain| plain == window)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn a_changed_piece_is_not_given_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SpoolWriter::new(folder.path()).unwrap();
        writer.write(&body(2 * PIECE)).unwrap();
        let mut spool = writer.finish().unwrap();
        spool.file.seek(SeekFrom::Start(SEALED as u64 + 5)).unwrap();
        spool.file.write_all(&[0xff, 0x00, 0xff]).unwrap();
        let mut read = Vec::new();
        assert!(spool.read_to_end(&mut read).is_err());
        assert!(read == body(PIECE), "what was sound comes, and nothing else");
    }
}
