//! Authenticated encryption of one value in one place.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use tsunagi_core::sensitive::Sensitive;

use super::ring::KeyFault;

/// An AES-256-GCM key that is ready for use.
#[derive(Debug)]
pub(crate) struct Cipher(RandomizedNonceKey);

impl Cipher {
    pub(crate) fn new(key: &Sensitive<[u8; 32]>) -> Result<Self, KeyFault> {
        RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map(Self).map_err(|_| KeyFault::Crypto)
    }

    /// Encrypts; `place` has to be the same when it is opened.
    pub(crate) fn seal(&self, place: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, KeyFault> {
        let mut body = plain.to_vec();
        let nonce = framed(place, |place| self.0.seal_in_place_append_tag(Aad::from(place), &mut body))
            .map_err(|_| KeyFault::Crypto)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + body.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Decrypts what [`Cipher::seal`] made for the same place.
    pub(crate) fn open(&self, place: &[&[u8]], sealed: &[u8]) -> Result<Sensitive<Vec<u8>>, KeyFault> {
        let (format, rest) = sealed.split_first().ok_or(KeyFault::Unreadable)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(KeyFault::Unreadable)?;
        if *format != FORMAT {
            return Err(KeyFault::Unreadable);
        }
        let mut body = body.to_vec();
        let nonce = Nonce::from(nonce);
        let length =
            framed(place, |place| self.0.open_in_place(nonce, Aad::from(place), &mut body).map(|plain| plain.len()))
                .map_err(|_| KeyFault::Unreadable)?;
        body.truncate(length);
        Ok(Sensitive::new(body))
    }
}

/// Joins parts so that no two lists of parts give the same bytes: each with its length before it.
pub(super) fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(framed_length(parts));
    for part in parts {
        bytes.extend_from_slice(&length_of(part));
        bytes.extend_from_slice(part);
    }
    bytes
}

/// What `with` makes of the joined parts. Every value that is read or written has its place joined for it, so that what
/// is short enough, and nearly all is, is joined without taking memory.
pub(super) fn framed<T>(parts: &[&[u8]], with: impl FnOnce(&[u8]) -> T) -> T {
    let mut small = [0; 256];
    let length = framed_length(parts);
    let Some(joined) = small.get_mut(..length) else { return with(&frame(parts)) };
    let mut left = &mut *joined;
    for part in parts {
        for piece in [&length_of(part)[..], part] {
            let Some((here, rest)) = std::mem::take(&mut left).split_at_mut_checked(piece.len()) else { break };
            here.copy_from_slice(piece);
            left = rest;
        }
    }
    with(joined)
}

fn framed_length(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len() + 8).sum()
}

fn length_of(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}

/// The first byte of every ciphertext, so that a later form can be told apart.
const FORMAT: u8 = 1;
