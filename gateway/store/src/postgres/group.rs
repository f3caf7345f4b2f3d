//! Group commit: what waits for the same tenant at the same time on this node shares a transaction.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tsunagi_core::id::{ExchangeId, ParticipantId, SubjectKey, TenantId};

use super::exchanges::{self, Entered};
use super::faults::first_fault;
use super::flush;
use super::load;
use super::picture::{Loaded, Picture, Wanted};
use super::pool::{Scope, Tx};
use super::tenancy::{Common, Tenancy};
use crate::command::{Accept, Accepted, Intake};
use crate::error::StoreError;
use crate::tables::{LeafContent, Leaves, Tables, keep_rows, prepare};

/// What can share a transaction.
pub(super) enum Command {
    Accept(Box<Accept>),
    Note { contents: Vec<LeafContent>, rests_on: Vec<(SubjectKey, u64)> },
}

/// What became of it.
pub(super) enum Answer {
    Accepted(Accepted),
    Noted(Vec<u64>),
}

type Outcome = Result<Answer, StoreError>;

struct Work {
    command: Command,
    reply: oneshot::Sender<Outcome>,
}

/// The commands that wait, by tenant. A tenant is in here as long as somebody works for it.
pub(super) struct Group {
    common: Arc<Common>,
    waiting: Mutex<HashMap<TenantId, VecDeque<Work>>>,
    commits: AtomicU64,
}

impl Group {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self { common, waiting: Mutex::default(), commits: AtomicU64::new(0) }
    }

    /// How many transactions were committed.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Runs a command; `Ok` means committed. A caller that goes away does not stop its command.
    pub(super) async fn run(self: &Arc<Self>, tenant: &TenantId, command: Command) -> Outcome {
        let (reply, answer) = oneshot::channel();
        if self.enqueue(tenant, Work { command, reply }) {
            let (group, tenant) = (Arc::clone(self), tenant.clone());
            tokio::spawn(async move { group.serve(tenant).await });
        }
        answer.await.map_err(|_| StoreError::Unavailable("the store has stopped".to_owned()))?
    }

    /// True if nobody works for the tenant yet.
    fn enqueue(&self, tenant: &TenantId, work: Work) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.get_mut(tenant) {
            Some(queue) => {
                queue.push_back(work);
                false
            }
            None => {
                waiting.insert(tenant.clone(), [work].into());
                true
            }
        }
    }

    /// Works until nothing waits any more.
    async fn serve(self: Arc<Self>, tenant: TenantId) {
        let mut turn = Turn { group: &self, tenant: &tenant, is_over: false };
        while let Some(batch) = turn.next() {
            self.commit(&tenant, batch).await;
        }
    }

    async fn commit(&self, tenant: &TenantId, batch: Vec<Work>) {
        let (mut commands, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|work| (work.command, work.reply)).unzip();
        let outcomes = match self.transact(tenant, &mut commands).await {
            Ok(outcomes) => outcomes,
            // One of them cannot be done, and nothing was: each by itself, so that it harms nobody else.
            Err(error) if commands.len() > 1 && !matches!(error, StoreError::Unavailable(_)) => {
                let mut outcomes = Vec::with_capacity(commands.len());
                for command in &mut commands {
                    let outcome = self.transact(tenant, std::slice::from_mut(command)).await;
                    outcomes.push(outcome.and_then(|mut one| one.pop().unwrap_or_else(|| Err(lost()))));
                }
                outcomes
            }
            Err(error) => commands.iter().map(|_| Err(error.clone())).collect(),
        };
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // The caller may have gone away; what it asked for is done all the same.
            drop(reply.send(outcome));
        }
    }

    /// One transaction for all. An error is one after which nothing of it has happened, unless it is `Unavailable`.
    async fn transact(&self, tenant: &TenantId, commands: &mut [Command]) -> Result<Vec<Outcome>, StoreError> {
        let senders: BTreeSet<&str> = commands.iter().filter_map(|command| command.sender()).collect();
        let senders = senders.into_iter().collect::<Vec<_>>().join(",");
        let connections = &self.common.connections;
        let outcomes = connections
            .within(async {
                let tx = connections.begin(Scope { tenant: tenant.as_str(), senders: &senders }).await?;
                let outcome = Box::pin(all(&tx, &self.common, tenant, commands)).await;
                tx.end(outcome).await
            })
            .await?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(outcomes)
    }
}

/// One task's work for one tenant. If it ends before its time, those who wait are told, and the next one starts anew.
struct Turn<'g> {
    group: &'g Group,
    tenant: &'g TenantId,
    is_over: bool,
}

impl Turn<'_> {
    fn next(&mut self) -> Option<Vec<Work>> {
        let mut waiting = self.group.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let batch: Vec<Work> = waiting
            .get_mut(self.tenant)
            .map(|queue| queue.drain(..queue.len().min(BATCH)).collect())
            .unwrap_or_default();
        if batch.is_empty() {
            waiting.remove(self.tenant);
            self.is_over = true;
            return None;
        }
        Some(batch)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.group.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(self.tenant);
        }
    }
}

impl Command {
    fn sender(&self) -> Option<&str> {
        match self {
            Self::Accept(accept) => Some(accept.head.sender.as_str()),
            Self::Note { .. } => None,
        }
    }

    fn accept(&self) -> Option<&Accept> {
        match self {
            Self::Accept(accept) => Some(accept),
            Self::Note { .. } => None,
        }
    }

    fn accept_mut(&mut self) -> Option<&mut Accept> {
        match self {
            Self::Accept(accept) => Some(accept),
            Self::Note { .. } => None,
        }
    }
}

/// Runs the commands in their order.
async fn all(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    commands: &mut [Command],
) -> Result<Vec<Outcome>, StoreError> {
    let heads: Vec<_> = commands.iter().filter_map(|command| command.accept()).map(|accept| &accept.head).collect();
    // Exchanges first, the tenant's head after them: in the same order on every node.
    let entered = if heads.is_empty() { Vec::new() } else { exchanges::enter(tx, common.hub()?, &heads).await? };
    let writes = entered.iter().any(|one| matches!(one, Entered::Exchange { is_complete: false, .. }))
        || commands.iter().any(|command| matches!(command, Command::Note { rests_on, .. } if rests_on.is_empty()));
    let tenancy = match Tenancy::lock(tx, common, tenant).await? {
        None if writes => Some(Tenancy::enter(tx, common, tenant).await?),
        known => known,
    };
    match tenancy {
        Some(tenancy) => {
            prepare_what_is_not(&tenancy, commands, &entered)?;
            Box::pin(decide(tenancy, commands, &entered)).await
        }
        // Nothing is known of the tenant and nothing is to be: decisions rest on something else, and exchanges are told
        // as they were.
        None => unmet(tx, commands, &entered).await,
    }
}

/// Makes the drafts that nobody could make before, of rows of a tenant that this node has not met: what is read is read by
/// the names in them. So are those made anew whose leaf tells of another exchange than it turned out to be.
fn prepare_what_is_not(tenancy: &Tenancy<'_>, commands: &mut [Command], entered: &[Entered]) -> Result<(), StoreError> {
    let accepts = commands.iter_mut().filter_map(Command::accept_mut);
    for (accept, entered) in accepts.zip(entered) {
        let Entered::Exchange { id, is_complete: false, .. } = entered else { continue };
        for row in &mut accept.rows {
            if row.event.exchange.as_ref() != Some(id) {
                row.draft = None;
            }
            prepare(&tenancy.common.keyring, &tenancy.keys, id, row)?;
        }
    }
    Ok(())
}

async fn unmet(tx: &Tx, commands: &[Command], entered: &[Entered]) -> Result<Vec<Outcome>, StoreError> {
    let mut wanted = Wanted::default();
    want_rows(&mut wanted, commands, entered);
    let rows: HashMap<_, _> = exchanges::rows(tx, &wanted.rows).await?.into_iter().collect();
    let mut entered = entered.iter();
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        let Some(accept) = command.accept() else {
            outcomes.push(Err(StoreError::Stale));
            continue;
        };
        outcomes.push(Ok(Answer::Accepted(match entered.next().ok_or_else(lost)? {
            Entered::Exchange { id, repeated, .. } => {
                let key = |row: u64| (accept.head.sender.clone(), id.clone(), row);
                let rows = accept.rows.iter().filter_map(|row| rows.get(&key(row.row)).cloned()).collect();
                Accepted::Durable { exchange: id.clone(), rows, repeated: *repeated }
            }
            Entered::Reused => Accepted::KeyReused,
        })));
    }
    Ok(outcomes)
}

/// Reads what the rules will ask for, asks them, and reads what they found missing, until they miss nothing.
async fn decide(
    mut tenancy: Tenancy<'_>,
    commands: &[Command],
    entered: &[Entered],
) -> Result<Vec<Outcome>, StoreError> {
    let mut loaded = Loaded::default();
    let mut wanted = Wanted::default();
    want_rows(&mut wanted, commands, entered);
    want_people(&mut wanted, commands);
    if !entered.is_empty() {
        loaded.somebody_waits = load::somebody_waits(&tenancy).await?;
    }
    load::load(&tenancy, &wanted, &mut loaded).await?;
    let mut wanted = Wanted::default();
    want_known(&mut wanted, &tenancy, &loaded, commands)?;
    loop {
        if !wanted.is_empty() {
            load::load(&tenancy, &wanted, &mut loaded).await?;
        }
        let picture = Picture::new(&tenancy.tenant, (&tenancy.common.keyring, &tenancy.keys), &loaded, tenancy.head);
        let decided = in_picture(&picture, commands, entered);
        let lacks_something = picture.lacks_something();
        let (drawn, missing) = picture.done();
        if lacks_something {
            #[cfg(test)]
            tenancy.common.asked_in_vain.fetch_add(1, Ordering::Relaxed);
            wanted = missing;
            continue;
        }
        let (outcomes, complete) = decided?;
        let (flushed, completed) = tokio::join!(flush::flush(&tenancy, &drawn), flush::complete(&tenancy, &complete));
        first_fault([flushed, completed])?;
        tenancy.head = drawn.head;
        tenancy.close().await?;
        return Ok(outcomes);
    }
}

type Decided = (Vec<Outcome>, Vec<(ParticipantId, ExchangeId)>);

fn in_picture(picture: &Picture<'_>, commands: &[Command], entered: &[Entered]) -> Result<Decided, StoreError> {
    let mut entered = entered.iter();
    let (mut outcomes, mut complete) = (Vec::with_capacity(commands.len()), Vec::new());
    for command in commands {
        outcomes.push(match command {
            Command::Accept(accept) => {
                let entered = entered.next().ok_or_else(lost)?;
                Ok(Answer::Accepted(accepted(picture, accept, entered, &mut complete)?))
            }
            Command::Note { contents, rests_on } => match noted(picture, contents, rests_on) {
                // It has written nothing.
                Err(StoreError::Stale) => Err(StoreError::Stale),
                other => Ok(Answer::Noted(other?)),
            },
        });
    }
    Ok((outcomes, complete))
}

fn noted(
    picture: &Picture<'_>,
    contents: &[LeafContent],
    rests_on: &[(SubjectKey, u64)],
) -> Result<Vec<u64>, StoreError> {
    for (subject, version) in rests_on {
        if picture.subject(subject)?.map(|subject| subject.version) != Some(*version) {
            return Err(StoreError::Stale);
        }
    }
    let mut leaves = Leaves::open(picture)?;
    let indexes = contents.iter().map(|content| leaves.write(content)).collect::<Result<_, _>>()?;
    leaves.close();
    Ok(indexes)
}

fn accepted(
    picture: &Picture<'_>,
    accept: &Accept,
    entered: &Entered,
    complete: &mut Vec<(ParticipantId, ExchangeId)>,
) -> Result<Accepted, StoreError> {
    let (id, repeated, is_complete) = match entered {
        Entered::Reused => return Ok(Accepted::KeyReused),
        Entered::Exchange { id, repeated, is_complete } => (id.clone(), *repeated, *is_complete),
    };
    let of = (accept.head.sender.clone(), id.clone());
    let known = |row: u64| picture.row_result(&of.0, &of.1, row);
    // A command before this one may have completed it.
    if is_complete || complete.contains(&of) {
        let rows = accept.rows.iter().map(|row| known(row.row)).filter_map(Result::transpose);
        return Ok(Accepted::Durable { exchange: id, rows: rows.collect::<Result<_, _>>()?, repeated });
    }
    let mut decided = BTreeSet::new();
    for row in &accept.rows {
        if known(row.row)?.is_some() {
            decided.insert(row.row);
        }
    }
    let rows = keep_rows(picture, of.clone(), decided, accept.rows.clone())?;
    if accept.complete {
        complete.push(of);
    }
    Ok(Accepted::Durable { exchange: id, rows, repeated })
}

/// The rows that may have their results already.
fn want_rows(wanted: &mut Wanted, commands: &[Command], entered: &[Entered]) {
    let accepts = commands.iter().filter_map(|command| command.accept());
    for (accept, entered) in accepts.zip(entered) {
        if let Entered::Exchange { id, .. } = entered {
            let key = |row: u64| (accept.head.sender.clone(), id.clone(), row);
            wanted.rows.extend(accept.rows.iter().map(|row| key(row.row)));
        }
    }
}

/// Those whom identifiers name, those who wait for them, and the subjects that decisions rest on.
fn want_people(wanted: &mut Wanted, commands: &[Command]) {
    for command in commands {
        match command {
            Command::Note { rests_on, .. } => {
                wanted.subjects.extend(rests_on.iter().map(|(subject, _)| subject.clone()))
            }
            Command::Accept(accept) => {
                for draft in accept.rows.iter().filter_map(|row| row.draft.as_ref()) {
                    wanted.owners.extend(draft.names.iter().map(|name| name.blind));
                    wanted.waiting.extend(draft.names.iter().map(|name| name.blind));
                }
            }
        }
    }
}

/// What is there of those who are known.
fn want_known(
    wanted: &mut Wanted,
    tenancy: &Tenancy<'_>,
    loaded: &Loaded,
    commands: &[Command],
) -> Result<(), StoreError> {
    let rows = commands.iter().filter_map(|command| command.accept()).flat_map(|accept| &accept.rows);
    for row in rows {
        let (Intake::Record(new), Some(draft)) = (&row.intake, &row.draft) else { continue };
        for owner in draft.names.iter().filter_map(|name| loaded.owners.get(&name.blind)?.as_ref()) {
            wanted.subjects.insert(owner.clone());
            if draft.names.iter().any(|name| name.is_single) {
                wanted.names.insert(owner.clone());
            }
            let business = tenancy.keys.business_key(owner, &new.business_key);
            wanted.newest.insert((owner.clone(), new.record.kind().clone(), business));
            wanted.lines.extend(new.deliveries.iter().map(|delivery| (owner.clone(), delivery.channel.clone())));
        }
    }
    Ok(())
}

fn lost() -> StoreError {
    StoreError::Corrupt("a command of a transaction has no outcome".to_owned())
}

/// How many commands share a transaction at most: beyond this the gain is small and the first one waits longer.
const BATCH: usize = 256;
