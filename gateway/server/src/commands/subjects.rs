//! `tsunagi subjects`

use clap::Subcommand;
use serde::Serialize;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::id::{SubjectKey, TenantId};
use tsunagi_core::sensitive::Sensitive;
use tsunagi_store::{Identifier, Shredded, SubjectRef};

use super::{CommandFault, Context};
use crate::gateway::load_tables;

/// `tsunagi subjects …`
#[derive(Debug, Subcommand)]
pub(super) enum SubjectsCommand {
    /// Destroy a subject's data key, for good: records, directives and links are nobody's from then on; the log stays
    #[command(after_help = "Example:\n  tsunagi subjects shred --tenant aoi --subject 'recipient|80131016:0000001'")]
    Shred {
        /// The tenant
        #[arg(long)]
        tenant: TenantId,
        /// Whose: SYSTEM|VALUE, the system by name or URI
        #[arg(long, value_name = "SYSTEM|VALUE")]
        subject: String,
    },
}

/// The receipt.
#[derive(Serialize)]
struct Receipt {
    tenant: TenantId,
    subject: SubjectKey,
    #[serde(flatten)]
    shredded: Shredded,
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: SubjectsCommand) -> Result<(), CommandFault> {
    let SubjectsCommand::Shred { tenant, subject } = command;
    let output = &context.output;
    let tables = load_tables(&context.config()?)?;
    let store = context.store().await?;
    let (system, value) = subject.split_once('|').unwrap_or_default();
    let system = tables.identifier_system(system).ok_or_else(|| {
        CommandFault::Usage(
            output.say("--subject は 体系|値 です", "--subject is SYSTEM|VALUE, in a system this hub knows"),
        )
    })?;
    let identifier = Identifier { system: system.name.clone(), value: Sensitive::new(value.to_owned()) };
    let held = store.held(&tenant, &SubjectRef::Identifier(identifier), &[]).await?.ok_or_else(|| {
        CommandFault::Failed(output.say("その識別子は一人に定まりません", "the identifier names nobody, or several"))
    })?;
    let mut event = AuditEvent::new(context.clock.now(), Action::SubjectShredded, EventOutcome::Done, Agent::default());
    event.subject = Some(held.subject.clone());
    let shredded = store.shred(&tenant, &held.subject, event).await?;
    let receipt = Receipt { tenant, subject: held.subject, shredded };
    output.print(&receipt, |receipt| {
        let Receipt { tenant, subject, shredded } = receipt;
        let Shredded { leaf, versions, deliveries, .. } = shredded;
        let mut words = output.say(
            &format!("{subject} の鍵を消去しました（記録の版 {versions}、終わらせた配信 {deliveries}）。証明: tsunagi audit proof {tenant}/{leaf}"),
            &format!("the key of {subject} is destroyed ({versions} versions of records, {deliveries} deliveries ended); its proof: tsunagi audit proof {tenant}/{leaf}"),
        );
        if !shredded.log_is_empty {
            words.push('\n');
            words.push_str(&output.say(
                "書き込みログに古いページが残っています。次に空になるまでは、このストアの写しに消去前の鍵が含まれます",
                "the write-ahead log still has earlier pages: until it begins anew a copy of this store holds the key as it was",
            ));
        }
        words
    })
}
