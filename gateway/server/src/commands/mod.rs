//! The command line. Each command is a file; what they print is for people, or JSON with `--json`.

pub(crate) mod audit;
pub(crate) mod certs;
mod check;
mod consent;
mod deliveries;
mod exchanges;
pub mod init;
mod kinds;
mod mappings;
mod municipalities;
mod output;
mod registry;
mod schedules;
mod self_test;
mod serve;
mod store;
mod subjects;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use tsunagi_core::fault::Lang;
use tsunagi_store::{Storage, StoreError};

use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::{StartFault, has_store, open_store};
use crate::guarded;
pub use output::{Output, at, write_line};

/// つなぎ: a gateway for maternal and child health records between hospitals, municipalities and handbook apps.
#[derive(Debug, Parser)]
#[command(name = "tsunagi", version, arg_required_else_help = true)]
struct Arguments {
    /// Configuration file [default: ./tsunagi.toml, else what is compiled in]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Language of messages: ja or en [default: from LANG]
    #[arg(long, global = true, value_name = "LANG", value_parser = ["ja", "en"])]
    lang: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the whole main job over real mTLS sockets in a fresh folder
    #[command(after_help = "Example:\n  tsunagi demo --keep /tmp/tsunagi-demo")]
    Demo(crate::demo::DemoArguments),
    /// Write a commented tsunagi.toml, a hub CA, keys, a server and an operator certificate
    #[command(after_help = "Example:\n  tsunagi init ./hub --name hub.example.jp")]
    Init(init::InitArguments),
    /// Run the gateway; SIGHUP reloads, SIGTERM drains
    #[command(after_help = "Example:\n  tsunagi --config ./hub/tsunagi.toml serve")]
    Serve,
    /// Check configuration, kinds, layouts, codes and policy: all faults at once
    #[command(after_help = "Example:\n  tsunagi --config ./hub/tsunagi.toml check")]
    Check,
    /// The hub's CA: init, issue, renew, revoke, crl, list, forecast, bundle
    #[command(subcommand, after_help = "Example:\n  tsunagi certs issue --participant hospital-1 --out ./hospital-1")]
    Certs(certs::CertsCommand),
    /// Tenants, participants, endpoints, channels: import, list, show
    #[command(subcommand, after_help = "Example:\n  tsunagi registry import registry.toml --dry-run")]
    Registry(registry::RegistryCommand),
    /// Municipality codes and their history
    #[command(subcommand, after_help = "Example:\n  tsunagi municipalities resolve 193411 --as-of 2026-04-01")]
    Municipalities(municipalities::MunicipalitiesCommand),
    /// Record kinds: list, show
    #[command(subcommand, after_help = "Example:\n  tsunagi kinds show vaccination")]
    Kinds(kinds::KindsCommand),
    /// When a dose may be given: show, next
    #[command(subcommand, after_help = "Example:\n  tsunagi schedules next bcg --born 2026-01-15 --as-of 2026-05-01")]
    Schedules(schedules::SchedulesCommand),
    /// Mapping tables: check, coverage, loss, try
    #[command(subcommand, after_help = "Example:\n  tsunagi mappings try municipal_csv/vaccination_legacy file.csv")]
    Mappings(mappings::MappingsCommand),
    /// What came in: list, show, rejections
    #[command(subcommand, after_help = "Example:\n  tsunagi exchanges list --limit 20")]
    Exchanges(exchanges::ExchangesCommand),
    /// What the hub promises, tried on the hub itself: isolation
    #[command(name = "self-test", subcommand, after_help = "Example:\n  tsunagi self-test isolation")]
    SelfTest(self_test::SelfTestCommand),
    /// The outbox and its dead letters: list, show, redrive
    #[command(subcommand, after_help = "Example:\n  tsunagi deliveries list --state dead")]
    Deliveries(deliveries::DeliveriesCommand),
    /// Why a decision came out as it did, and what it would be: explain, decide, what-if
    #[command(subcommand, after_help = "Example:\n  tsunagi consent explain ex-0199…")]
    Consent(consent::ConsentCommand),
    /// What is stored: copy, purge
    #[command(subcommand, after_help = "Example:\n  tsunagi store purge --dry-run")]
    Store(store::StoreCommand),
    /// Subjects: shred
    #[command(
        subcommand,
        after_help = "Example:\n  tsunagi subjects shred --tenant aoi --subject 'recipient|80131016:0000001'"
    )]
    Subjects(subjects::SubjectsCommand),
    /// The Merkle logs: verify, show, proof, export, key
    #[command(subcommand, after_help = "Example:\n  tsunagi audit verify")]
    Audit(audit::AuditCommand),
}

/// How a command ended badly; the variant is the exit code.
#[derive(Debug)]
pub enum CommandFault {
    /// 1
    Failed(String),
    /// 65: input data refused
    Refused(String),
    /// 69: a needed service is not there
    Unavailable(String),
    /// 64: usage or configuration
    Usage(String),
}

impl CommandFault {
    /// What the user reads.
    pub fn message(&self) -> &str {
        match self {
            Self::Failed(text) | Self::Refused(text) | Self::Unavailable(text) | Self::Usage(text) => text,
        }
    }

    /// The exit code.
    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Refused(_) => 65,
            Self::Unavailable(_) => 69,
            Self::Usage(_) => 64,
        }
    }
}

impl From<StoreError> for CommandFault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            StoreError::Corrupt(_) | StoreError::NotFound | StoreError::Stale => Self::Failed(error.to_string()),
        }
    }
}

impl From<StartFault> for CommandFault {
    fn from(fault: StartFault) -> Self {
        match fault {
            StartFault::Setting(text) => Self::Usage(text),
            StartFault::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

impl From<std::io::Error> for CommandFault {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Opens a file that the user named; a fault says which.
pub fn open_file(path: &std::path::Path) -> Result<std::fs::File, CommandFault> {
    std::fs::File::open(path).map_err(|error| CommandFault::Usage(format!("{}: {error}", path.display())))
}

/// Reads a file that the user named; a fault says which.
pub fn read_file(path: &std::path::Path) -> Result<Vec<u8>, CommandFault> {
    std::fs::read(path).map_err(|error| CommandFault::Usage(format!("{}: {error}", path.display())))
}

/// As [`read_file`], for text in UTF-8.
pub fn read_text(path: &std::path::Path) -> Result<String, CommandFault> {
    let text = String::from_utf8(read_file(path)?);
    text.map_err(|_| CommandFault::Refused(format!("{}: not UTF-8", path.display())))
}

/// What every command gets.
pub struct Context {
    /// `--config`, or `./tsunagi.toml` if it is there.
    pub config_file: Option<PathBuf>,
    /// Now.
    pub clock: Clock,
    /// Where results go.
    pub output: Output,
}

impl Context {
    /// The configuration, with all its faults at once.
    pub fn config(&self) -> Result<Config, CommandFault> {
        self.config_of(self.config_file.as_deref())
    }

    /// The configuration that a file makes, in the same way.
    fn config_of(&self, file: Option<&std::path::Path>) -> Result<Config, CommandFault> {
        Config::load(file, std::env::vars()).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.place, fault.reason)).collect();
            CommandFault::Usage(lines.join("\n"))
        })
    }

    /// The store that the configuration names; it must be there already.
    pub async fn store(&self) -> Result<Arc<dyn Storage>, CommandFault> {
        let config = self.config()?;
        if !has_store(&config).await? {
            let path = match &config.postgres {
                Some(server) => server.url.clone(),
                None => config.store_path.display().to_string(),
            };
            return Err(CommandFault::Unavailable(self.output.say(
                &format!("ストア {path} がありません。--config を確かめてください"),
                &format!("there is no store at {path}; check --config"),
            )));
        }
        let store = open_store(&config).await?;
        store.migrate().await?;
        Ok(store)
    }
}

/// Runs one command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let shown = error.print();
            let usage = error.use_stderr() || shown.is_err();
            return if usage { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let lang = match arguments.lang.as_deref() {
        Some("en") => Lang::En,
        Some(_) => Lang::Ja,
        None => lang_of_environment(),
    };
    let local = PathBuf::from("tsunagi.toml");
    let context = Context {
        config_file: arguments.config.or_else(|| local.exists().then_some(local)),
        clock: Clock::system(),
        output: Output { lang, json: arguments.json },
    };
    // Before any key is read.
    let refused = guarded::keep_memory_private();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tsunagi: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(&context, arguments.command, refused)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            if !fault.message().is_empty() {
                eprintln!("tsunagi: {}", fault.message());
            }
            ExitCode::from(fault.code())
        }
    }
}

async fn dispatch(context: &Context, command: Command, refused: guarded::Refused) -> Result<(), CommandFault> {
    match command {
        Command::Audit(command) => audit::run(context, command).await,
        Command::Certs(command) => certs::run(context, command).await,
        Command::Check => check::run(context),
        Command::Consent(command) => consent::run(context, command).await,
        Command::Deliveries(command) => deliveries::run(context, command).await,
        Command::Demo(arguments) => Box::pin(crate::demo::run(context, arguments)).await,
        Command::Exchanges(command) => exchanges::run(context, command).await,
        Command::Init(arguments) => init::run(context, &arguments).await,
        Command::Kinds(command) => kinds::run(context, &command),
        Command::Mappings(command) => mappings::run(context, &command).await,
        Command::Municipalities(command) => municipalities::run(context, &command),
        Command::Registry(command) => registry::run(context, command).await,
        Command::Schedules(command) => schedules::run(context, &command),
        Command::SelfTest(command) => Box::pin(self_test::run(context, command)).await,
        Command::Serve => serve::run(context, refused).await,
        Command::Store(command) => store::run(context, &command).await,
        Command::Subjects(command) => subjects::run(context, command).await,
    }
}

fn lang_of_environment() -> Lang {
    let set =
        ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    match set {
        Some(value) if value.starts_with("ja") => Lang::Ja,
        _ => Lang::En,
    }
}
