//! What the audience sees: each step, what was sent, what came back, how long it took; and the first thing that is not
//! as it should be.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, Reply};
use crate::commands::Output;

/// A step that did not come out as it should.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Flop(pub String);

impl From<String> for Flop {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<std::io::Error> for Flop {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<crate::gateway::StartFault> for Flop {
    fn from(fault: crate::gateway::StartFault) -> Self {
        Self(fault.to_string())
    }
}

impl From<crate::commands::CommandFault> for Flop {
    fn from(fault: crate::commands::CommandFault) -> Self {
        Self(fault.message().to_owned())
    }
}

impl From<tsunagi_store::StoreError> for Flop {
    fn from(error: tsunagi_store::StoreError) -> Self {
        Self(error.to_string())
    }
}

/// The stage.
pub(super) struct Stage {
    output: Output,
    steps: Vec<Value>,
    act: usize,
    started: Instant,
}

impl Stage {
    /// An empty one.
    pub(super) fn new(output: Output) -> Self {
        Self { output, steps: Vec::new(), act: 0, started: Instant::now() }
    }

    /// Begins the next act.
    pub(super) fn act(&mut self, ja: &str, en: &str) {
        self.act += 1;
        if !self.output.json {
            self.show(&format!("\n{}. {}", self.act, self.output.say(ja, en)));
        }
    }

    /// Sends one request, shows it, and gives the reply if its status is the expected one.
    pub(super) async fn send(
        &mut self,
        who: &str,
        client: &Client,
        expected: StatusCode,
        call: Outgoing<'_>,
    ) -> Result<Reply, Flop> {
        let length = call.body.len();
        let (method, path) = (call.method.clone(), call.path);
        let reply = client.send(call.method, call.path, call.headers, call.body).await;
        let reply = reply.map_err(|error| Flop(format!("{who} {method} {path}: {error}")))?;
        let sent = if length == 0 { format!("{method} {path}") } else { format!("{method} {path} ({length} B)") };
        let came = format!("{} ({} B)", reply.status, reply.body.len());
        self.row(who, &sent, &came, reply.took);
        if reply.status != expected {
            let body = String::from_utf8_lossy(&reply.body);
            return Err(Flop(format!("{who} {sent}: expected {expected}, got {}: {body}", reply.status)));
        }
        Ok(reply)
    }

    /// Shows what was seen, and ends the play if it is not as it should be.
    pub(super) fn expect(&mut self, holds: bool, ja: &str, en: &str) -> Result<(), Flop> {
        let words = self.output.say(ja, en);
        if !holds {
            return Err(Flop(format!("{}: {words}", self.output.say("そうなりませんでした", "this does not hold"))));
        }
        if !self.output.json {
            self.show(&format!("     ✓ {words}"));
        }
        self.steps.push(json!({ "act": self.act, "holds": words }));
        Ok(())
    }

    /// Shows an exchange that was not made by [`Stage::send`].
    pub(super) fn row(&mut self, who: &str, sent: &str, came: &str, took: Duration) {
        let millis = took.as_secs_f64() * 1000.0;
        if !self.output.json {
            self.show(&format!("   {who:<18} {sent}\n     → {came}  {millis:.1} ms"));
        }
        self.steps.push(json!({ "act": self.act, "who": who, "sent": sent, "came": came, "ms": millis }));
    }

    /// The last line, or all of it as JSON.
    pub(super) fn curtain(&self, kept: Option<&std::path::Path>) -> Result<(), crate::commands::CommandFault> {
        let seconds = self.started.elapsed().as_secs_f64();
        let value = json!({ "steps": self.steps, "seconds": seconds, "kept": kept });
        self.output.print(&value, |_| {
            let mut text = self.output.say(
                &format!("\nすべての手順が正しく終わりました（{seconds:.1} 秒）"),
                &format!("\nevery step came out as it should ({seconds:.1} s)"),
            );
            if let Some(kept) = kept {
                let kept = kept.display();
                text.push('\n');
                text.push_str(&self.output.say(
                    &format!("残したハブ: tsunagi --config {kept}/tsunagi.toml serve"),
                    &format!("the hub is kept: tsunagi --config {kept}/tsunagi.toml serve"),
                ));
            }
            text
        })
    }

    fn show(&self, text: &str) {
        // A reader that went away does not stop the play: its exit code still tells.
        let _gone = crate::commands::write_line(text);
    }
}

/// One request of a partner.
pub(super) struct Outgoing<'a> {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// Headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: Bytes,
}

impl<'a> Outgoing<'a> {
    /// `GET`
    pub(super) fn get(path: &'a str, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::GET, path, headers, body: Bytes::new() }
    }

    /// `POST`
    pub(super) fn post(path: &'a str, headers: &'a [(&'a str, &'a str)], body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path, headers, body: body.into() }
    }
}
