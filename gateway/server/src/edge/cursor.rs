//! Where a caller's next page begins, as the caller carries it. A place in a log may tell of leaves that the caller is
//! not told of, and a search names what it was made with: so both are encrypted, and open for nobody but the
//! participant they were given to, on whichever node of the hub.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tsunagi_core::id::ParticipantId;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::sensitive::Sensitive;

/// Texts are filled up to a multiple of this, so that their length tells neither how far one has come nor in how many
/// logs.
const LENGTH: usize = 256;

/// Makes cursors, and reads them.
pub struct Cursors {
    key: LessSafeKey,
    nonce: hmac::Key,
}

impl Cursors {
    /// With keys of its own, made from the master key. `None` if the cryptographic library fails.
    pub fn new(master: &Sensitive<[u8; 32]>) -> Option<Self> {
        let master = hmac::Key::new(hmac::HMAC_SHA256, master.expose());
        let own = |label: &[u8]| hmac::sign(&master, label);
        let key = UnboundKey::new(&AES_256_GCM, own(b"tsunagi: cursors").as_ref()).ok()?;
        let nonce = hmac::Key::new(hmac::HMAC_SHA256, own(b"tsunagi: nonces of cursors").as_ref());
        Some(Self { key: LessSafeKey::new(key), nonce })
    }

    /// A text as a cursor. The same text makes the same cursor: its nonce is made from it, and no other text has it.
    pub(super) fn write(&self, whose: &ParticipantId, text: &str) -> Result<String, Refusal> {
        self.seal(whose, text).ok_or(Refusal::Internal)
    }

    fn seal(&self, whose: &ParticipantId, text: &str) -> Option<String> {
        let mut body = text.as_bytes().to_vec();
        body.resize(body.len().next_multiple_of(LENGTH), b' ');
        let tag = hmac::sign(&self.nonce, &[whose.as_str().as_bytes(), b"\n", &body].concat());
        let nonce = *tag.as_ref().first_chunk::<NONCE_LEN>()?;
        let place = Aad::from(whose.as_str().as_bytes());
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), place, &mut body).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &body].concat()))
    }

    /// The text of a cursor that was made for this participant.
    pub(super) fn read(&self, whose: &ParticipantId, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let (nonce, mut body) = (Nonce::assume_unique_for_key(*nonce), body.to_vec());
        let place = Aad::from(whose.as_str().as_bytes());
        let text = self.key.open_in_place(nonce, place, &mut body).ok()?;
        Some(std::str::from_utf8(text).ok()?.trim_end_matches(' ').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_by_whom_it_was_made_for_and_tells_nothing() {
        let with = |byte: u8| Cursors::new(&Sensitive::new([byte; 32])).unwrap();
        let (ours, whose) = (with(1), ParticipantId::parse("hospital-1").unwrap());
        let (near, far) = ("_place=oita/7/0".to_owned(), format!("_place=oita/{}/0,hub/3/1", u64::MAX));
        let cursor = ours.write(&whose, &near).unwrap();
        for text in [&near, &far, &"x".repeat(LENGTH), &"x".repeat(LENGTH + 1), &String::new()] {
            let cursor = ours.write(&whose, text).unwrap();
            assert_eq!(ours.read(&whose, &cursor).as_ref(), Some(text));
        }
        assert_eq!(cursor.len(), ours.write(&whose, &far).unwrap().len(), "its length tells nothing");
        assert!(!cursor.contains("oita"));
        assert_eq!(with(1).read(&whose, &cursor), Some(near), "on another node");
        // Another participant, another hub, and what was changed or never made.
        assert_eq!(ours.read(&ParticipantId::parse("hospital-2").unwrap(), &cursor), None);
        assert_eq!(with(2).read(&whose, &cursor), None);
        let (first, rest) = cursor.split_at(20);
        let changed = format!("{first}{}{}", if rest.starts_with('A') { 'B' } else { 'A' }, &rest[1..]);
        for bad in [changed.as_str(), "", "x", "oita/7/0", &cursor[1..]] {
            assert_eq!(ours.read(&whose, bad), None, "{bad}");
        }
    }
}
