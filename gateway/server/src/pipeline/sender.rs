//! What a record may hold, depending on who sends it.

use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::kind::{Field, Kind};
use tsunagi_core::record::Record;
use tsunagi_core::registry::{Participant, Role};
use tsunagi_core::value::ValueType;

/// 番号法20条: nobody but a municipality may hand the number in, whatever a layout has a place for.
pub fn check_my_number(sender: &Participant, kind: &Kind, record: &Record, row: u64) -> Result<(), RowFault> {
    let carries = |field: &&Field| field.value_type == ValueType::MyNumber && record.first(&field.key).is_some();
    let field = kind.fields.iter().find(carries).filter(|_| sender.role != Role::Municipality);
    let Some(field) = field else { return Ok(()) };
    Err(RowFault {
        row,
        column: field.key.to_string(),
        code: RowCode::NotPermitted,
        reason: Bilingual::new(
            "個人番号は市町村以外からは受け付けません（番号法20条）。この項目を除いて送り直してください",
            "the individual number is taken from municipalities only; send again without it",
        ),
    })
}

/// The sender a record names must be the one of the certificate; from a hospital it is never taken on trust.
pub fn check_sender(sender: &Participant, kind: &Kind, record: &Record, row: u64) -> Result<(), RowFault> {
    let Some(key) = kind.sender.as_ref().filter(|_| sender.role == Role::Hospital) else { return Ok(()) };
    if record.text(key).is_none() || record.text(key) == sender.organization_code {
        return Ok(());
    }
    Err(RowFault {
        row,
        column: key.to_string(),
        code: RowCode::NotPermitted,
        reason: Bilingual::new(
            "本文が名乗る送信元は、証明書の参加機関ではありません",
            "the sender named in the body is not the participant of the certificate",
        ),
    })
}
