//! The three ways to a server, behind one connection.

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, TlsCertificates,
};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::{Settings, SettingsFault};
use crate::coordinator::Form;
use crate::coordinator::redis::link::PATIENCE;

/// Where connections come from.
pub(super) enum Server {
    /// The client is made anew for each connection: it takes the sender of what is pushed.
    Cluster(Box<dyn Fn(UnboundedSender<PushInfo>) -> Result<ClusterClient, RedisError> + Send + Sync>),
    One(Box<Client>),
    /// Asked for the master each time; it remembers which Sentinel answered last.
    Sentinel(Box<Mutex<SentinelClient>>),
}

impl Server {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsFault> {
        let address = &settings.address;
        let tls = address.tls.then(|| TlsCertificates { client_tls: None, root_cert: settings.ca_pem.clone() });
        let servers: Vec<ConnectionAddr> = address
            .servers
            .iter()
            .map(|(host, port)| match address.tls {
                true => ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None },
                false => ConnectionAddr::Tcp(host.clone(), *port),
            })
            .collect();
        let made = match &address.form {
            Form::Cluster => Self::cluster(settings, servers, tls),
            Form::Sentinel { master } => Self::sentinel(settings, servers, master, tls),
            Form::Server => Self::one(settings, servers, tls),
        };
        made.map_err(|error| SettingsFault(error.to_string()))
    }

    fn one(
        settings: &Settings,
        servers: Vec<ConnectionAddr>,
        tls: Option<TlsCertificates>,
    ) -> Result<Self, RedisError> {
        let missing = || RedisError::from((redis::ErrorKind::InvalidClientConfig, "no server is named"));
        let info = info(settings, servers.into_iter().next().ok_or_else(missing)?)?;
        Ok(Self::One(Box::new(match tls {
            Some(tls) => Client::build_with_tls(info, tls)?,
            None => Client::open(info)?,
        })))
    }

    fn sentinel(
        settings: &Settings,
        servers: Vec<ConnectionAddr>,
        master: &str,
        tls: Option<TlsCertificates>,
    ) -> Result<Self, RedisError> {
        let mut builder = SentinelClientBuilder::new(servers, master, SentinelServerType::Master)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_redis_db(settings.address.database);
        if let Some(username) = &settings.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &settings.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        if let Some(tls) = tls {
            builder = builder
                .set_client_to_redis_tls_mode(redis::TlsMode::Secure)
                .set_client_to_redis_certificates(tls.clone())
                .set_client_to_sentinel_certificates(tls);
        }
        Ok(Self::Sentinel(Box::new(Mutex::new(builder.build()?))))
    }

    fn cluster(
        settings: &Settings,
        servers: Vec<ConnectionAddr>,
        tls: Option<TlsCertificates>,
    ) -> Result<Self, RedisError> {
        let nodes = servers.into_iter().map(|server| info(settings, server)).collect::<Result<Vec<_>, _>>()?;
        let make = move |pushed| {
            let mut builder = ClusterClientBuilder::new(nodes.clone())
                .use_protocol(ProtocolVersion::RESP3)
                .connection_timeout(PATIENCE)
                .response_timeout(PATIENCE)
                // Whoever asks has no time to ask again.
                .retries(1)
                .push_sender(pushed);
            if let Some(tls) = &tls {
                builder = builder.tls(redis::TlsMode::Secure).certs(tls.clone());
            }
            builder.build()
        };
        Ok(Self::Cluster(Box::new(make)))
    }

    /// A new connection; what the server says unasked goes to `pushed`.
    pub(super) async fn connect(&self, pushed: UnboundedSender<PushInfo>) -> Result<Connection, RedisError> {
        let config = || {
            AsyncConnectionConfig::new()
                .set_connection_timeout(Some(PATIENCE))
                .set_response_timeout(Some(PATIENCE))
                .set_push_sender(pushed.clone())
        };
        Ok(match self {
            Self::Cluster(make) => Connection::Cluster(make(pushed.clone())?.get_async_connection().await?),
            Self::One(client) => Connection::One(client.get_multiplexed_async_connection_with_config(&config()).await?),
            Self::Sentinel(client) => {
                Connection::One(client.lock().await.get_async_connection_with_config(&config()).await?)
            }
        })
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cluster(_) => "Cluster",
            Self::One(_) => "One",
            Self::Sentinel(_) => "Sentinel",
        })
    }
}

fn info(settings: &Settings, server: ConnectionAddr) -> Result<ConnectionInfo, RedisError> {
    let mut redis = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(settings.address.database)
        .set_skip_set_lib_name();
    if let Some(username) = &settings.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password.expose());
    }
    Ok(server.into_connection_info()?.set_redis_settings(redis))
}

/// A connection that many may ask over at once.
#[derive(Clone)]
pub(super) enum Connection {
    Cluster(ClusterConnection),
    One(MultiplexedConnection),
}

impl Connection {
    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        match self {
            Self::Cluster(connection) => command.query_async(connection).await,
            Self::One(connection) => command.query_async(connection).await,
        }
    }

    pub(super) async fn subscribe(&mut self, channel: &str) -> Result<(), RedisError> {
        match self {
            Self::Cluster(connection) => connection.subscribe(channel).await,
            Self::One(connection) => connection.subscribe(channel).await,
        }
    }

    /// True if a connection that was cut makes itself anew.
    pub(super) fn mends_itself(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}
