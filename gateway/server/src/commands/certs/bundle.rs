//! `tsunagi certs bundle`.

use std::path::PathBuf;

use clap::Args;
use tsunagi_certs::{Bundle, BundleForm, Passphrase};

use super::super::init::failed;
use super::super::{CommandFault, Context, read_text};
use crate::config::Config;

/// `tsunagi certs bundle`
#[derive(Debug, Args)]
pub(in super::super) struct BundleArguments {
    /// The certificate and its chain, PEM
    certificate: PathBuf,
    /// Its key, PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The passphrase of the key, if it is under one, on this file's first line
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The password of the bundle, on this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// Where the bundle is written [default: beside the certificate, as .p12]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Triple DES and SHA-1, for Windows before 1809 and Java before 8u301; weak, delete the file once it is imported
    #[arg(long)]
    legacy: bool,
}

/// Runs the command.
pub(super) fn run(context: &Context, config: &Config, arguments: &BundleArguments) -> Result<(), CommandFault> {
    let password = Passphrase::read(&arguments.password_file).map_err(failed)?;
    let key_passphrase = arguments.passphrase_file.as_deref().map(Passphrase::read).transpose().map_err(failed)?;
    let certificates = read_text(&arguments.certificate)?;
    let key = tsunagi_core::sensitive::Sensitive::new(read_text(&arguments.key)?);
    let root = config.ca_folder.join("root.pem");
    let root = if root.exists() { Some(read_text(&root)?) } else { None };
    let stem = arguments.certificate.file_stem().and_then(|stem| stem.to_str()).unwrap_or("tsunagi");
    let bundle = Bundle {
        certificates_pem: &certificates,
        root_pem: root.as_deref(),
        key_pem: key.expose(),
        key_passphrase: key_passphrase.as_ref(),
        name: stem,
    };
    let form = if arguments.legacy { BundleForm::Legacy } else { BundleForm::Modern };
    let octets = bundle.to_pkcs12(&password, form).map_err(failed)?;
    let out = arguments.out.clone().unwrap_or_else(|| arguments.certificate.with_extension("p12"));
    tsunagi_certs::write_private(&out, &octets).map_err(failed)?;
    context.output.print(&serde_json::json!({ "bundle": out }), |_| out.display().to_string())
}
