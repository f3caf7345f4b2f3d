//! A schema or a database of its own for each test, on the PostgreSQL server that the environment names or that answers
//! on this machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::postgres::Server;

/// Names the server by a role that may make databases and roles there.
pub const URL: &str = "TSUNAGI_TEST_PG_URL";
const HERE: &str = "postgres://postgres@127.0.0.1:5432/postgres";
/// The role that tests work as, one that row-level security binds; and the database of tests that share one.
const NAME: &str = "tsunagi_test";

static PLACES: AtomicU64 = AtomicU64::new(0);

/// Where one test keeps its tables; it vanishes with this.
pub struct Place {
    /// The database's URL, for the role that tests work as.
    pub url: String,
    /// The schema, where the database is shared.
    pub schema: Option<String>,
    vanish: (String, String),
}

impl Place {
    /// A schema in a database that tests share. Nothing where no server answers, after saying so.
    pub async fn schema() -> Option<Self> {
        operator().await?;
        let url = as_tester(NAME);
        let name = name();
        let client = connect(&url).await.expect("the tests' own database");
        client.batch_execute(&format!("CREATE SCHEMA {name}")).await.expect("a schema");
        let vanish = (url.clone(), format!("DROP SCHEMA {name} CASCADE"));
        Some(Self { url, schema: Some(name), vanish })
    }

    /// A database. Nothing where no server answers, after saying so.
    pub async fn database() -> Option<Self> {
        let operator = operator().await?;
        let name = name();
        operator.batch_execute(&format!("CREATE DATABASE {name} OWNER {NAME}")).await.expect("a database");
        let vanish = (operator_url(), format!("DROP DATABASE {name} WITH (FORCE)"));
        Some(Self { url: as_tester(&name), schema: None, vanish })
    }

    /// What a store is opened with.
    pub fn server(&self) -> Server {
        Server {
            url: self.url.clone(),
            password: None,
            schema: self.schema.clone(),
            tls: None,
            connections: 8,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
        }
    }

    /// A connection beside the store's.
    pub async fn connect(&self) -> Client {
        let client = connect(&self.url).await.expect("the tests' own database");
        if let Some(schema) = &self.schema {
            client.batch_execute(&format!("SET search_path TO {schema}")).await.expect("a schema");
        }
        client
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (url, sql) = self.vanish.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(drop)?;
            runtime.block_on(async { connect(&url).await.map_err(drop)?.batch_execute(&sql).await.map_err(drop) })
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("{} was not run: what a test made on the server stays behind", self.vanish.1);
        }
    }
}

/// A connection of the role that may make what tests need; that is made by whoever comes first.
async fn operator() -> Option<Client> {
    let client = match connect(&operator_url()).await {
        Ok(client) => client,
        Err(error) => {
            assert!(std::env::var(URL).is_err(), "the server that {URL} names does not answer: {error}");
            println!("not run: no PostgreSQL answers at {HERE}; set {URL} to one that does");
            return None;
        }
    };
    client.execute("SELECT pg_advisory_lock(7)", &[]).await.expect("a lock");
    let exists = async |sql: &str| !client.query(sql, &[&NAME]).await.expect("a list").is_empty();
    if !exists("SELECT 1 FROM pg_roles WHERE rolname = $1").await {
        client.batch_execute(&format!("CREATE ROLE {NAME} LOGIN")).await.expect("a role");
    }
    if !exists("SELECT 1 FROM pg_database WHERE datname = $1").await {
        client.batch_execute(&format!("CREATE DATABASE {NAME} OWNER {NAME}")).await.expect("a database");
    }
    client.execute("SELECT pg_advisory_unlock(7)", &[]).await.expect("the lock");
    Some(client)
}

fn operator_url() -> String {
    std::env::var(URL).unwrap_or_else(|_| HERE.to_owned())
}

/// The same server as the tests' role in a database.
fn as_tester(database: &str) -> String {
    let url = operator_url();
    let address = url.rsplit_once('@').map_or(url.as_str(), |(_, rest)| rest);
    let host = address.split_once('/').map_or(address, |(host, _)| host);
    format!("postgres://{NAME}@{host}/{database}")
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn name() -> String {
    format!("tsunagi_test_{}_{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed))
}
