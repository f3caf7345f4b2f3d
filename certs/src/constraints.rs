//! Name constraints (RFC 5280 section 4.2.1.10) of the two issuing authorities.
//!
//! Only what is *excluded* is said, and only in forms that verifiers agree on. The participants' authority may certify no
//! DNS name and no IP address. The servers' authority may certify no `urn:`: it excludes a URI host, and the section
//! demands that a verifier which meets any URI constraint reject every URI without a host, whichever host it was. So
//! rustls and OpenSSL do. What would say more is not to be had: rustls refuses each chain in which a URI or a directory
//! name is *permitted*, and the DNS names below a hub are not known when its authorities are made.

use rcgen::CustomExtension;
use yasna::{DERWriter, Tag};

use crate::ledger::Usage;

const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
const EXCLUDED: Tag = Tag { tag_class: yasna::TagClass::ContextSpecific, tag_number: 1 };

/// GeneralName: `dNSName`, `uniformResourceIdentifier`, `iPAddress`.
const DNS: u64 = 2;
const URI: u64 = 6;
const ADDRESS: u64 = 7;

/// A host that can never be (RFC 2606): what counts is that URIs are constrained at all.
const NO_HOST: &[u8] = b".uri.invalid";

/// The extension, critical.
pub(crate) fn excluding_names_of_the_other(usage: Usage) -> CustomExtension {
    // An empty DNS name is above all others; an address with an empty mask is every address.
    let subtrees: &[(u64, &[u8])] = match usage {
        Usage::Participant => &[(DNS, b""), (ADDRESS, &[0; 8]), (ADDRESS, &[0; 32])],
        Usage::Server => &[(URI, NO_HOST)],
    };
    let content = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_tagged_implicit(EXCLUDED, |writer| {
                writer.write_sequence(|writer| {
                    for (form, name) in subtrees {
                        writer.next().write_sequence(|writer| subtree(writer.next(), *form, name));
                    }
                });
            });
        });
    });
    let mut extension = CustomExtension::from_oid_content(NAME_CONSTRAINTS, content);
    extension.set_criticality(true);
    extension
}

fn subtree(writer: DERWriter<'_>, form: u64, name: &[u8]) {
    writer.write_tagged_implicit(Tag::context(form), |writer| writer.write_bytes(name));
}
