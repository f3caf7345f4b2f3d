//! Where a record belongs: from the municipality it names to the tenant in charge today. Never a guess.

use jiff::civil::Date;
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::{LayoutId, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::municipality::{History, MunicipalityCode, Resolution};
use tsunagi_core::record::Record;
use tsunagi_core::registry::Registry;

/// The tenant in charge, and the codes that led there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The tenant.
    pub tenant: TenantId,
    /// The code as sent and as resolved, where they differ.
    pub municipalities: Vec<String>,
}

/// Finds the tenant of a record's responsible municipality as of a date. A record that names none is its sender's own,
/// where the sender is a municipality: its certificate says which.
pub fn place(
    history: &History,
    registry: &Registry,
    kind: &Kind,
    record: &Record,
    row: u64,
    own: Option<&TenantId>,
    today: Date,
) -> Result<Place, RowFault> {
    place_named(history, registry, kind, record.text(&kind.responsible), row, own, today)
}

/// As [`place`], from the municipality that a row names.
pub fn place_named(
    history: &History,
    registry: &Registry,
    kind: &Kind,
    named: Option<String>,
    row: u64,
    own: Option<&TenantId>,
    today: Date,
) -> Result<Place, RowFault> {
    let fault = |code, reason| RowFault { row, column: kind.responsible.to_string(), code, reason };
    let named = match (named, own) {
        (Some(named), _) => named,
        (None, Some(own)) => return Ok(Place { tenant: own.clone(), municipalities: Vec::new() }),
        (None, None) => {
            return Err(fault(
                RowCode::Incomplete,
                Bilingual::new("宛先の団体コードがありません", "the municipality it is for is missing"),
            ));
        }
    };
    let code = MunicipalityCode::parse(&named).map_err(|_| {
        fault(
            RowCode::InvalidIdentifier,
            Bilingual::new(
                "団体コードは検査数字を含む6桁です",
                "a municipality code has six digits with its check digit",
            ),
        )
    })?;
    let resolved = match history.destination(&code, today) {
        Resolution::Current { code, .. } => code,
        Resolution::Moved { to, .. } => to,
        Resolution::Ambiguous { candidates, .. } => {
            let list = candidates.iter().map(MunicipalityCode::as_str).collect::<Vec<_>>().join(", ");
            return Err(fault(
                RowCode::DestinationAmbiguous,
                Bilingual::new(
                    format!("この団体は複数に分かれました（{list}）。現在の団体コードで送り直してください"),
                    format!("this municipality was divided ({list}); send again with the present code"),
                ),
            ));
        }
        // A code that the history does not list may still be a municipality of this hub: history holds changes.
        Resolution::Unknown => code.clone(),
    };
    let tenant = registry.tenant_of(&resolved).ok_or_else(|| {
        fault(
            RowCode::DestinationUnknown,
            Bilingual::new(
                "この団体は登録されていません。団体コードを確かめてください",
                "this municipality is not registered here; check the code",
            ),
        )
    })?;
    let municipalities = if resolved == code { Vec::new() } else { vec![code.to_string(), resolved.to_string()] };
    Ok(Place { tenant: tenant.id.clone(), municipalities })
}

/// The fault of a row whose sender has no channel for it.
pub fn no_channel(row: u64, layout: &LayoutId) -> RowFault {
    RowFault {
        row,
        column: String::new(),
        code: RowCode::NotPermitted,
        reason: Bilingual::new(
            format!("この団体への登録を許すチャネルがありません（{layout}）"),
            format!("no channel permits this submission to that municipality ({layout})"),
        ),
    }
}
