//! Where a Redis is: one server, a Cluster, or what Sentinels watch over.

/// What a URL says, without a password: that is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host and port of each server to begin with.
    pub servers: Vec<(String, u16)>,
    /// Over TLS.
    pub tls: bool,
    /// What the servers are.
    pub form: Form,
    /// The number of the database; always 0 in a Cluster.
    pub database: i64,
}

/// What the servers of an address are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Some nodes of a Cluster.
    Cluster,
    /// Sentinels, which know where the master of this name is.
    Sentinel {
        /// The name.
        master: String,
    },
    /// The server itself.
    Server,
}

impl Address {
    /// Reads `redis://host:port/database`, `redis-cluster://host:port,host:port` or
    /// `redis-sentinel://host:port,host:port/database#master`; with `rediss` for TLS.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("begins with redis:// or rediss://")?;
        let (rest, master) = match rest.split_once('#') {
            Some((rest, master)) => (rest, Some(master)),
            None => (rest, None),
        };
        if rest.contains('@') || rest.contains('?') {
            return Err("holds no user, password or option: they have keys of their own");
        }
        let (servers, database) = match rest.split_once('/') {
            Some((servers, "")) => (servers, 0),
            Some((servers, number)) => (servers, number.parse().map_err(|_| "the database is a number")?),
            None => (rest, 0),
        };
        let (tls, form, port) = match (scheme, master) {
            ("redis", None) => (false, Form::Server, 6379),
            ("rediss", None) => (true, Form::Server, 6379),
            ("redis-cluster", None) => (false, Form::Cluster, 6379),
            ("rediss-cluster", None) => (true, Form::Cluster, 6379),
            ("redis-sentinel", Some(master)) => (false, Form::Sentinel { master: named(master)? }, 26379),
            ("rediss-sentinel", Some(master)) => (true, Form::Sentinel { master: named(master)? }, 26379),
            ("redis-sentinel" | "rediss-sentinel", None) => return Err("ends with # and the master's name"),
            (_, Some(_)) => return Err("names a master, which only Sentinels know"),
            _ => return Err("begins with redis:// or rediss://, -cluster or -sentinel behind the first word"),
        };
        let servers = servers.split(',').map(|server| host_and_port(server, port)).collect::<Result<Vec<_>, _>>()?;
        if form == Form::Server && servers.len() != 1 {
            return Err("names several servers: those of a Cluster begin with redis-cluster://");
        }
        if form == Form::Cluster && database != 0 {
            return Err("a Cluster has one database, 0");
        }
        Ok(Self { servers, tls, form, database })
    }
}

fn named(master: &str) -> Result<String, &'static str> {
    if master.is_empty() { Err("ends with # and the master's name") } else { Ok(master.to_owned()) }
}

/// `host`, `host:port`, `[2001:db8::1]:port`
fn host_and_port(text: &str, default: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("an IPv6 address stands in brackets")?,
        None => text.split_once(':').map_or((text, ""), |(host, _)| (host, text.get(host.len()..).unwrap_or(""))),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| "a port is a number up to 65535")?,
        None if port.is_empty() => default,
        None => return Err("behind a host comes : and its port"),
    };
    if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c == '/') {
        return Err("a host has a name or an address");
    }
    Ok((host.to_owned(), port))
}
