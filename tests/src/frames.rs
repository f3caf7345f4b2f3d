//! HTTP/2 frames as an attacker writes them (RFC 9113), with no library that would keep to the rules.

use tokio::io::{AsyncRead, AsyncReadExt};

/// What a client says first, with empty settings.
pub fn preface() -> Vec<u8> {
    preface_with(&[])
}

/// What a client says first, with settings by their identifiers.
pub fn preface_with(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()).collect();
    bytes.extend(frame(SETTINGS, 0, 0, &payload));
    bytes
}

/// Frame types.
pub const HEADERS: u8 = 1;
/// `RST_STREAM`
pub const RST_STREAM: u8 = 3;
/// `SETTINGS`
pub const SETTINGS: u8 = 4;
/// `PING`
pub const PING: u8 = 6;
/// `GOAWAY`
pub const GOAWAY: u8 = 7;
/// `CONTINUATION`
pub const CONTINUATION: u8 = 9;
/// The flags of a request without a body, whole in one frame.
pub const END_STREAM_AND_HEADERS: u8 = 5;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small payload").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `GET PATH` of `localhost`, HPACK without a dynamic table; the path is shorter than 127 bytes.
pub fn get(path: &str) -> Vec<u8> {
    let literal =
        |index: u8, text: &str| [&[index, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    // :method GET and :scheme https are in the static table; :path and :authority are names of it.
    [vec![0x82, 0x87], literal(0x04, path), literal(0x01, "localhost")].concat()
}

/// The next frame: type, stream, payload. `None` at the end of the connection.
pub async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}
