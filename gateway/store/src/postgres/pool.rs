//! Connections, each with deadlines, and transactions on them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::ClientConfig;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, Row};
use tsunagi_core::sensitive::Sensitive;

use super::tls::Tls;
use crate::error::StoreError;

/// Which server, and how long it may take.
#[derive(Debug)]
pub struct Server {
    /// `postgres://USER@HOST:PORT/DATABASE`, without a password.
    pub url: String,
    /// The password, where the server asks for one.
    pub password: Option<Sensitive<String>>,
    /// The schema in which the tables are; the server's first choice where there is none.
    pub schema: Option<String>,
    /// How the server proves its name. Without it connections are in the clear, which is for loopback alone.
    pub tls: Option<Arc<ClientConfig>>,
    /// How many connections at most.
    pub connections: usize,
    /// How long a connection is waited for, and how long it may take to make one.
    pub connect_timeout: Duration,
    /// How long a transaction may take.
    pub timeout: Duration,
}

/// The connections of one store.
pub(super) struct Connections {
    pool: Pool,
    timeout: Duration,
}

impl Connections {
    /// A pool without a connection yet.
    pub(super) fn new(server: &Server) -> Result<Self, StoreError> {
        // The error may quote the text, in which somebody may have put a password after all.
        let mut config: Config = server
            .url
            .parse()
            .map_err(|_| StoreError::Unavailable("the URL of the server cannot be read".to_owned()))?;
        if let Some(password) = &server.password {
            config.password(password.expose());
        }
        let millis = server.timeout.as_millis();
        let mut options = format!(
            "-c statement_timeout={millis} -c lock_timeout={millis} -c idle_in_transaction_session_timeout={millis} \
             -c client_min_messages=warning"
        );
        if let Some(schema) = &server.schema {
            options.push_str(&format!(" -c search_path={schema}"));
        }
        config
            .application_name("tsunagi")
            .options(options)
            .connect_timeout(server.connect_timeout)
            .tcp_user_timeout(server.timeout)
            .keepalives_idle(server.timeout);
        let recycle = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &server.tls {
            Some(tls) => Manager::from_config(config.ssl_mode(SslMode::Require).clone(), Tls(Arc::clone(tls)), recycle),
            None => Manager::from_config(config.ssl_mode(SslMode::Disable).clone(), NoTls, recycle),
        };
        let wait = Some(server.connect_timeout);
        let pool = Pool::builder(manager)
            .max_size(server.connections)
            .timeouts(Timeouts { wait, create: wait, recycle: wait })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool, timeout: server.timeout })
    }

    /// Whatever takes longer than a transaction may is given up, its connection with it: a server that hangs is one that
    /// is not there.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Unavailable("the server does not answer in time".to_owned())),
        }
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(&self, scope: Scope<'_>) -> Result<Tx, StoreError> {
        self.begin_as("BEGIN", scope).await
    }

    /// Begins one that sees one state of the database and changes nothing.
    pub(super) async fn look(&self, scope: Scope<'_>) -> Result<Tx, StoreError> {
        self.begin_as("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", scope).await
    }

    async fn begin_as(&self, begin: &str, scope: Scope<'_>) -> Result<Tx, StoreError> {
        let tx = Tx { client: Some(self.pool.get().await?) };
        let client = tx.client()?;
        // Ready before the transaction begins, so that nothing in it can come before this.
        let set = client
            .prepare_cached("SELECT set_config('tsunagi.tenant', $1, true), set_config('tsunagi.senders', $2, true)")
            .await?;
        let parameters: [&(dyn ToSql + Sync); 2] = [&scope.tenant, &scope.senders];
        tokio::try_join!(biased; client.batch_execute(begin), client.query(&set, &parameters))?;
        Ok(tx)
    }
}

/// What a transaction may see.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope<'s> {
    /// The rows of this tenant.
    pub(super) tenant: &'s str,
    /// And the rows of the exchanges of these senders, separated by commas, in whatever tenant.
    pub(super) senders: &'s str,
}

/// In place of a tenant: which logs there are, and nothing else. No tenant's name has this form.
pub(super) const EVERY_LOG: &str = "*";

/// A transaction. One that is let go before its end takes its connection with it, and the server takes back what was
/// done.
pub(super) struct Tx {
    client: Option<Object>,
}

impl Tx {
    pub(super) async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, parameters).await?)
    }

    pub(super) async fn one(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    pub(super) async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, parameters).await?)
    }

    /// From here on the transaction sees another tenant's rows.
    pub(super) async fn turn_to(&self, tenant: &str) -> Result<(), StoreError> {
        self.query("SELECT set_config('tsunagi.tenant', $1, true)", &[&tenant]).await.map(drop)
    }

    /// From here on the transaction sees what another scope has.
    pub(super) async fn show(&self, scope: Scope<'_>) -> Result<(), StoreError> {
        let sql = "SELECT set_config('tsunagi.tenant', $1, true), set_config('tsunagi.senders', $2, true)";
        self.query(sql, &[&scope.tenant, &scope.senders]).await.map(drop)
    }

    /// Statements without parameters.
    pub(super) async fn run(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.client()?.batch_execute(sql).await?)
    }

    /// Commits what went well and takes back what did not. Where the answer to the commit does not come, nobody knows
    /// whether it happened: the caller is told [`StoreError::Unavailable`] and may repeat the call.
    pub(super) async fn end<T>(mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let ended = self.run(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
        match (outcome, ended) {
            (outcome, Ok(())) => {
                drop(self.client.take());
                outcome
            }
            (Ok(_), Err(error)) => Err(error),
            // What could not be taken back is taken back with the connection.
            (refused, Err(_)) => refused,
        }
    }

    fn client(&self) -> Result<&Object, StoreError> {
        self.client.as_ref().ok_or_else(|| StoreError::Unavailable("the transaction is over".to_owned()))
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}
