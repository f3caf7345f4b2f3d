//! Why the gateway is as it is: the defaults, the failure each of them answers, and what it costs.
//!
//! This module holds words alone. Each section names the type or the setting that carries the decision.
//!
//! # No is the default
//!
//! [`decide`](crate::policy::decide) permits what a statute or a person's directive permits and nothing else. A field
//! without a disclosure class cannot be loaded, a class that the policy does not declare is never visible, a flow
//! without an entry denies, and a caller that states no purpose gets what needs none. Gateways that list what is
//! forbidden disclose every new field until someone remembers to forbid it; here a new field is invisible until
//! someone says who may see it and by which law.
//!
//! The order is fixed: non-disclosure flag, statute that forbids, explicit deny, statute that permits, directive that
//! permits. A deny therefore stops even a flow that a statute permits. It costs a municipality a delivery until the
//! person or the office lifts it; the other order would cost a person in hiding her address.
//!
//! # One answer for every kind of no
//!
//! No record, no consent, no right, a set flag and "nothing left after filtering" are
//! [`Refusal::NotAvailable`](crate::refusal::Refusal::NotAvailable): the same status, headers and bytes. Systems that
//! tell "no consent" from "no record" let anyone with a certificate learn who is pregnant, who moved, and who is being
//! hidden. The reason is in the audit log, where `tsunagi consent explain` finds it. The cost is a caller who cannot
//! tell a typing error from a refusal and has to ask. A lapsed right is the one exception: with a valid consent and no
//! flag it is answered as lapsed, because the desk needs it and the person has agreed.
//!
//! Nor does the time tell them apart. Whoever is known takes longer to be read than nobody does, and longer the more is
//! held of them; work that is made alike for one record is not for forty. So what tells nothing leaves on a beat, ten
//! milliseconds after its request or twenty: it costs a refused caller that much, and nobody who is answered anything.
//!
//! # A permit is a thing
//!
//! A [`Permit`](crate::policy::Permit) is made by the decision alone, cannot be copied and is used up by one
//! [`Disclosure`](crate::disclosure::Disclosure), which drops what it does not cover. Bytes leave as a
//! [`PermittedCall`](crate::disclosure::PermittedCall) or not at all. Where a check is a function that returns true,
//! one forgotten call is a leak that no test looks for; here it does not compile.
//!
//! # The audit leaf comes before the answer
//!
//! A lookup is answered after its audit event is durable. If that commit fails the answer is 503 and no data: an
//! answer that nobody can account for is worse than none. Logs that are written afterwards, or by another system, lose
//! exactly the events of the minute in which something went wrong. The cost is one commit of waiting for each answer.
//!
//! Events hold who, whose, what, why and with what outcome, and never a value, a name or a number, so the log may be
//! kept as long as the law asks and shown to those it concerns, even after a subject's data key was destroyed. Each
//! tenant's log is a Merkle tree ([`merkle`](crate::merkle)) with signed heads ([`checkpoint`](crate::checkpoint)) in
//! formats that others publish tools for: who distrusts the operator need not trust the operator's verifier.
//!
//! Leaves are durable with the data they speak of; the tree is built over them in batches. A gateway whose sealing
//! lags past its tolerance stops taking requests rather than going on with a log that is not yet tamper-evident.
//!
//! # Group commit
//!
//! Every command is durable when it returns, and a disk makes a few thousand commits a second. So commands that wait
//! at the same moment share one transaction; one that comes alone does not wait for company. Acknowledging from memory
//! would be faster and would, on the day the power fails, lose vaccinations that hospitals believe delivered.
//!
//! A record, its deliveries, its idempotency key and its audit event are one transaction. Commit-then-enqueue as two
//! writes is the classic way to have a record that is never delivered, or a delivery of nothing.
//!
//! # A subject's deliveries wait behind a dead one
//!
//! Within one channel the deliveries of one subject keep their order, and a later one waits while an earlier one is
//! unsettled, dead letters included ([`DeliveryState::Dead`](crate::exchange::DeliveryState::Dead)). Queues that let
//! the rest overtake deliver a correction before what it corrects, or a withdrawal before the registration, and the
//! receiver ends with the wrong state for good. The cost is that a dead letter needs a person; it holds up one subject
//! and no other, and `tsunagi deliveries redrive` puts it back.
//!
//! # Sending again is always safe
//!
//! The same idempotency key with the same body is answered with the same receipt for as long as the log is kept; the
//! same key with another body is refused. Keys that are forgotten after a day turn Monday's resending of Friday's file
//! into duplicates. The same business key is a new version of the same record, and the same content is no version at
//! all. Deliveries are at least once, since no protocol between two parties gives more.
//!
//! # Nothing is guessed
//!
//! - **Dates** stay as partial as they came ([`PartialDate`](crate::partial_date::PartialDate)). A first of January
//!   that stands for "unknown" becomes a wrong age, a wrong interval and a wrong letter to a parent.
//! - **Codes** without an entry in a table are refused row by row, and the sender gets the row back to repair. Passing
//!   them through moves the fault into the receiver's data, where nobody knows where it came from.
//! - **Characters** that a receiver's charset cannot hold hold the delivery up or are replaced by a table; never `?`.
//!   A name that was wrong once is wrong in every register that copies it.
//! - **Municipalities** that were divided have several successors ([`municipality`](crate::municipality)), and a row
//!   that names one is refused with the list of them. Wards are folded into their city first, so that this happens
//!   where a person has to decide and not each time a city redraws its wards.
//! - **Subjects** are matched by identifiers and never by name and date of birth; what fits two waits for review.
//!
//! # Warnings instead of errors
//!
//! A wrong check digit is taken with a warning ([`identifier`](crate::identifier)): the samples of the official
//! interface fail their own, and four prefectures number their institutions by another rule. An error would refuse
//! real records of real people for a rule that the field does not keep. Municipality codes are the exception, because
//! they decide where data goes. A channel can make it an error for a sender that is known to be exact.
//!
//! # What caches may cost
//!
//! Whatever a decision was read from carries the subject's version, and the audit transaction looks at the version
//! again. A stale cache costs a second attempt; it cannot disclose under a consent that was withdrawn. For the same
//! reason Redis may be emptied at any moment: it wakes and counts, and nothing is true only there.
//!
//! # What is not offered
//!
//! There is no emergency access that overrides consent (`ETREAT` is a purpose that no shipped policy permits), no
//! diagnosis computed from raw values, no matching across tenants by anything the asked tenant does not hold, and no
//! switch that turns the audit log off.
