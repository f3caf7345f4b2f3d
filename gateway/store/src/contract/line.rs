//! A line between a store and its PostgreSQL, which a test cuts in the middle of a commit, stops, or leads elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is true after a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server got the commit; its answer is lost.
    After,
    /// The server never got it.
    Before,
}

/// Listens on 127.0.0.1.
#[derive(Debug)]
pub struct Line {
    /// Where stores come to it: the URL that it was made for, with another address.
    pub url: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: Mutex<String>,
    /// What happens to commits from now on.
    cut: Mutex<Option<Cut>>,
    cuts: watch::Sender<u64>,
    /// True while nothing goes through.
    stopped: watch::Sender<bool>,
    /// Grows when every connection is to end.
    led: watch::Sender<u64>,
}

impl Line {
    /// A line to the server that a URL names.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (head, rest) = url.split_once('@').expect("a URL with a role");
        let (server, database) = rest.split_once('/').expect("a URL with a database");
        let server = if server.contains(':') { server.to_owned() } else { format!("{server}:5432") };
        let state = Arc::new(State {
            server: Mutex::new(server),
            cut: Mutex::default(),
            cuts: watch::Sender::default(),
            stopped: watch::Sender::default(),
            led: watch::Sender::default(),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let address = locked(&shared.server).clone();
                // Where nobody listens the client finds its connection closed.
                if let Ok(server) = TcpStream::connect(address).await {
                    tokio::spawn(carry(client, server, shared.clone()));
                }
            }
        });
        Self { url: format!("{head}@127.0.0.1:{port}/{database}"), state }
    }

    /// Every commit that is sent from now on is cut so, or none is.
    pub fn cut(&self, how: Option<Cut>) {
        *locked(&self.state.cut) = how;
    }

    /// How many commits were cut.
    pub fn cuts(&self) -> u64 {
        *self.state.cuts.borrow()
    }

    /// Waits until so many were.
    pub async fn until_cut(&self, so_many: u64) {
        let mut cuts = self.state.cuts.subscribe();
        cuts.wait_for(|cuts| *cuts >= so_many).await.expect("the line is there");
    }

    /// Nothing goes through until it goes on.
    pub fn stop(&self, is_stopped: bool) {
        self.state.stopped.send_replace(is_stopped);
    }

    /// Ends every connection; the next ones lead to another server of 127.0.0.1.
    pub fn lead_to(&self, port: u16) {
        *locked(&self.state.server) = format!("127.0.0.1:{port}");
        self.state.led.send_modify(|times| *times += 1);
    }
}

async fn carry(client: TcpStream, server: TcpStream, state: Arc<State>) {
    let mut led = state.led.subscribe();
    tokio::select! {
        () = both_ways(client, server, &state) => {}
        _ = led.changed() => {}
    }
}

async fn both_ways(client: TcpStream, server: TcpStream, state: &State) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut stopped, mut stopped_there) = (state.stopped.subscribe(), state.stopped.subscribe());
    let back = AbortOnDrop(tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            let goes_on = stopped_there.wait_for(|stopped| !stopped).await.is_ok();
            if !goes_on || to_client.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    }));
    let mut buffer = vec![0; 65_536];
    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
        if stopped.wait_for(|stopped| !stopped).await.is_err() {
            return;
        }
        let is_commit = buffer[..read].windows(7).any(|bytes| bytes == b"COMMIT\0");
        let cut = *locked(&state.cut);
        match cut.filter(|_| is_commit) {
            None if to_server.write_all(&buffer[..read]).await.is_ok() => {}
            None => return,
            Some(how) => {
                if how == Cut::After {
                    // Nothing of the answer gets back, whatever the server does with this.
                    back.0.abort();
                    if to_server.write_all(&buffer[..read]).await.is_ok() {
                        // The server ends the connection when it has done what it was told.
                        drop(to_server.shutdown().await);
                    }
                }
                state.cuts.send_modify(|cuts| *cuts += 1);
                return;
            }
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
