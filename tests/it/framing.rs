//! Where a request begins and ends has one reading only. Bytes as an attacker writes them, over real TLS.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tsunagi_tests::TestGateway;

/// What the hub says to these bytes until it closes the connection.
async fn said(hub: &TestGateway, bytes: &[u8]) -> String {
    let mut stream = hub.partner("city-oita").connect(&[b"http/1.1"]).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // The end may come without a TLS close: what matters is what came before.
    let read = tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stayed open: {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request that a lenient reader could find inside another.
const HIDDEN: &str = "GET /fhir/metadata HTTP/1.1\r\nHost: hidden\r\nConnection: close\r\n\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST /v1/mailbox/ack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_framing_is_400_and_the_end_of_the_connection() {
    let hub = TestGateway::start().await;
    let raw = |text: &str| text.to_owned();
    let cases: Vec<(&str, String)> = vec![
        ("length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("chunks and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
        ("two lengths", post("Content-Length: 2\r\nContent-Length: 30\r\n", "{}")),
        ("two equal lengths", post("Content-Length: 2\r\nContent-Length: 2\r\n", "{}")),
        ("a list of lengths", post("Content-Length: 2, 2\r\n", "{}")),
        ("a length with a sign", post("Content-Length: +2\r\n", "{}")),
        ("a length below nothing", post("Content-Length: -2\r\n", "{}")),
        ("a hexadecimal length", post("Content-Length: 0x2\r\n", "{}")),
        ("an empty length", post("Content-Length:\r\n", "{}")),
        ("a length over 64 bits", post("Content-Length: 18446744073709551618\r\n", "{}")),
        ("another coding last", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")),
        ("another coding first", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")),
        ("identity alone", post("Transfer-Encoding: identity\r\n", "{}")),
        ("chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("a word like chunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")),
        ("space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")),
        ("a tab before the colon", post("Content-Length\t: 2\r\n", "{}")),
        ("a folded header", post("X-Folded: one\r\n two\r\n", "")),
        ("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")),
        ("a fragment in the target", raw("GET /fhir/metadata#frag HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("a tunnel", raw("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n")),
        ("no host", raw("GET /fhir/metadata HTTP/1.1\r\nAccept: */*\r\n\r\n")),
        ("a host with somebody before it", raw("GET /fhir/metadata HTTP/1.1\r\nHost: a@localhost\r\n\r\n")),
        ("a list of hosts", raw("GET /fhir/metadata HTTP/1.1\r\nHost: localhost, b\r\n\r\n")),
        ("two hosts", raw("GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")),
        ("a line end of LF alone", raw("POST /v1/mailbox/ack HTTP/1.1\nHost: localhost\r\n\r\n")),
        ("a head end of LF alone", raw("GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\n")),
        ("CR in a value", post("X-Split: one\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("NUL in a value", post("X-Nul: one\0two\r\n", "")),
        ("no header name", post(": nameless\r\n", "")),
        ("a header without a colon", post("Colonless\r\n", "")),
        ("chunks in HTTP/1.0", raw("POST /v1/mailbox/ack HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("a chunk size with a sign", post("Transfer-Encoding: chunked\r\n", "+2\r\n{}\r\n0\r\n\r\n")),
        ("a chunk size with 0x", post("Transfer-Encoding: chunked\r\n", "0x2\r\n{}\r\n0\r\n\r\n")),
        ("a chunk size with space", post("Transfer-Encoding: chunked\r\n", "2 \r\n{}\r\n0\r\n\r\n")),
        ("an empty chunk size", post("Transfer-Encoding: chunked\r\n", "\r\n{}\r\n0\r\n\r\n")),
        ("a chunk size over 32 bits", post("Transfer-Encoding: chunked\r\n", "100000002\r\n{}\r\n0\r\n\r\n")),
        ("a chunk extension", post("Transfer-Encoding: chunked\r\n", "2;a=b\r\n{}\r\n0\r\n\r\n")),
        ("a chunk size line of LF alone", post("Transfer-Encoding: chunked\r\n", "2\n{}\r\n0\r\n\r\n")),
        ("a chunk longer than its size", post("Transfer-Encoding: chunked\r\n", "2\r\n{}}}\r\n0\r\n\r\n")),
        ("a trailer", post("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\nX-Late: yes\r\n\r\n")),
    ];
    for (what, bytes) in cases {
        let answer = said(&hub, format!("{bytes}{HIDDEN}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: the hidden request was answered: {answer}");
    }
    // As a later request on a connection it is no better.
    let first = "GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let doubtful = post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
    let answer = said(&hub, format!("{first}{doubtful}{HIDDEN}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{answer}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn framing_without_doubt_is_read_and_the_next_request_is_found() {
    let hub = TestGateway::start().await;
    // A body that is taken: after a refusal of one in chunks the connection ends.
    let body = "[     ]";
    let post = |headers: &str, body: &str| {
        post(headers, body).replace("/v1/mailbox/ack", "/pmh/v1/medicalSubsidy/registrationTasks")
    };
    let length = body.len();
    let (one, two) = body.split_at(5);
    let cases = [
        ("no body", "GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("an empty line first", "\r\nGET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("a length", post(&format!("Content-Length: {length}\r\n"), body)),
        ("a length in lower case", post(&format!("content-length:{length}\r\n"), body)),
        ("one chunk", post("Transfer-Encoding: chunked\r\n", &format!("{length:x}\r\n{body}\r\n0\r\n\r\n"))),
        (
            "two chunks",
            post("transfer-encoding: Chunked\r\n", &format!("5\r\n{one}\r\n{:02X}\r\n{two}\r\n0\r\n\r\n", two.len())),
        ),
    ];
    for (what, bytes) in cases {
        let answer = said(&hub, format!("{bytes}{HIDDEN}").as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{what}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 20"), "{what}: {answer}");
        // Byte for byte it is read the same.
        let mut stream = hub.partner("city-oita").connect(&[b"http/1.1"]).await.unwrap();
        for byte in format!("{bytes}{HIDDEN}").bytes() {
            stream.write_all(&[byte]).await.unwrap();
            stream.flush().await.unwrap();
        }
        let mut slowly = Vec::new();
        let _end = stream.read_to_end(&mut slowly).await;
        let slowly = String::from_utf8_lossy(&slowly);
        assert_eq!(slowly.matches("HTTP/1.1 ").count(), 2, "{what}: {slowly}");
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_a_largest_size_and_number_of_fields() {
    let hub = TestGateway::start().await;
    let get =
        |headers: &str| format!("GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    let large = get(&format!("X-Large: {}\r\n", "x".repeat(17_000)));
    let many = get(&"X-Many: x\r\n".repeat(70));
    for (what, bytes) in [("17,000 bytes", large), ("72 fields", many)] {
        let answer = said(&hub, bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{what}: {answer}");
    }
    let answer = said(&hub, get(&"X-Many: x\r\n".repeat(50)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    hub.finish().await;
}
