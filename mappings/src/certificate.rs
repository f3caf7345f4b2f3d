//! The loss certificate (損失証明) of a layout: what of a record does not come back from the participant's form.

use std::fmt::Write;

use jiff::civil::Date;
use serde::Serialize;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{FieldKey, KindName, LayoutId};
use tsunagi_core::kind::{Field, Kind};
use tsunagi_core::value::ValueType;

use crate::code_table::CodeTable;
use crate::convert::{Converter, DateForm};
use crate::layout::{Layout, LayoutRow};
use crate::loss::{LossKind, TWINS, is_limited};
use crate::tables::Tables;

/// Everything that a layout loses, computed from its rows as of a day. The proof holds it against generated records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The layout.
    pub layout: LayoutId,
    /// Its name for people.
    pub label: Bilingual,
    /// The kind of its records.
    pub kind: KindName,
    /// The charset its files are written in.
    pub charset: String,
    /// How many fields the kind has.
    pub fields: usize,
    /// How many of them the layout carries.
    pub carried: usize,
    /// The fields it does not carry, as the layout declares them.
    pub lost: Vec<LostField>,
    /// What it loses of fields that it carries.
    pub losses: Vec<Loss>,
    /// The fields that must be there although the kind leaves them open.
    pub required: Vec<RequiredField>,
}

/// A field that is not carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostField {
    /// The field.
    pub field: FieldKey,
    /// Its name for people.
    pub label: Bilingual,
    /// Why.
    pub reason: Bilingual,
}

/// Something that is lost of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The field; all fields with text where there is none.
    pub field: Option<FieldKey>,
    /// Its name for people.
    pub label: Option<Bilingual>,
    /// What.
    #[serde(flatten)]
    pub kind: LossKind,
    /// In words.
    pub words: Bilingual,
}

/// A field that the layout wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequiredField {
    /// The field.
    pub field: FieldKey,
    /// Its name for people.
    pub label: Bilingual,
    /// Where it stands.
    pub path: String,
}

impl Certificate {
    /// How many losses there are, declared and computed.
    pub fn count(&self) -> usize {
        self.lost.len() + self.losses.len()
    }

    /// The losses that concern a field.
    pub(crate) fn losses_of<'a>(&'a self, field: &'a Field) -> impl Iterator<Item = &'a LossKind> {
        let is_text = field.value_type == ValueType::Text;
        let concerns = move |loss: &&Loss| loss.field.as_ref().map_or(is_text, |key| *key == field.key);
        self.losses.iter().filter(concerns).map(|loss| &loss.kind)
    }
}

impl Tables {
    /// The loss certificate of a layout, with the code pairs that hold on a day.
    pub fn certificate(&self, layout: &Layout, today: Date) -> Option<Certificate> {
        let kind = self.kind(layout.kind())?;
        let mut losses = Vec::new();
        if is_limited(&layout.charset) {
            let kind = LossKind::Charset { charset: layout.charset.clone() };
            losses.push(Loss { field: None, label: None, words: words(&kind), kind });
        }
        for row in layout.rows.iter().filter(|row| row.nth == 0) {
            let found = self.losses_of_row(layout, row, today);
            losses.extend(found.into_iter().map(|kind| Loss {
                field: Some(row.field.key.clone()),
                label: Some(row.field.label.clone()),
                words: words(&kind),
                kind,
            }));
        }
        let lost: Vec<LostField> = layout.lost().iter().filter_map(|lost| lost_field(kind, lost)).collect();
        Some(Certificate {
            layout: layout.id.clone(),
            label: layout.label.clone(),
            kind: layout.kind.clone(),
            charset: layout.charset.clone(),
            fields: kind.fields.len(),
            carried: kind.fields.len() - lost.len(),
            lost,
            losses,
            required: required(layout),
        })
    }

    fn losses_of_row(&self, layout: &Layout, row: &LayoutRow, today: Date) -> Vec<LossKind> {
        let mut losses = Vec::new();
        if row.field.derived.is_some() {
            losses.push(LossKind::Derived);
        }
        if row.field.value_type == ValueType::MyNumber {
            losses.push(LossKind::IndividualNumber);
        }
        if row.field.many && layout.is_line {
            let most = layout.rows.iter().filter(|other| other.field.key == row.field.key).count();
            losses.push(LossKind::Values { most });
        }
        losses.extend(row.default.clone().map(|default| LossKind::Absent { default }));
        losses.extend(row.chain.converters().iter().flat_map(|converter| of_converter(converter, &row.field)));
        losses.extend(row.shrink(layout).map(|characters| {
            let table = characters.name().to_owned();
            LossKind::Shrunk { table, characters: characters.clone() }
        }));
        if let Some(table) = &row.codes {
            if row.field.value_type == ValueType::Text {
                losses.push(LossKind::TextAsCode);
            }
            losses.extend(self.hub_codes_lost(&row.field, table, today));
            losses.extend(sender_codes_lost(table, today));
        }
        losses
    }

    fn hub_codes_lost(&self, field: &Field, table: &CodeTable, today: Date) -> Vec<LossKind> {
        let list = field.code_system.as_ref().and_then(|name| self.code_list(name));
        let codes = list.into_iter().flat_map(|list| list.codes());
        codes
            .filter_map(|(code, _)| {
                let code = code.to_owned();
                let Some(theirs) = table.write(&code, today) else { return Some(LossKind::CodeUnwritable { code }) };
                match table.read(theirs, today) {
                    Some(back) if back == code => None,
                    Some(back) => Some(LossKind::CodeMerged { code, becomes: back.to_owned() }),
                    // A pair that can be written can be read on the same day.
                    None => None,
                }
            })
            .collect()
    }
}

fn sender_codes_lost(table: &CodeTable, today: Date) -> Vec<LossKind> {
    let mut codes: Vec<&str> = table.pairs().iter().map(|pair| pair.from.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
        .into_iter()
        .filter_map(|code| {
            let becomes = table.read(code, today).and_then(|hub| table.write(hub, today))?;
            (becomes != code).then(|| LossKind::SenderCodeMerged { code: code.to_owned(), becomes: becomes.to_owned() })
        })
        .collect()
}

/// What a converter loses of the values of a field.
pub(crate) fn of_converter(converter: &Converter, field: &Field) -> Vec<LossKind> {
    match converter {
        Converter::Date(form) => match form {
            DateForm::Compact => vec![LossKind::DateSpelling { notation: "compact" }],
            // Whoever reads eras reads every notation of the hub, but an era that had ended is never written.
            DateForm::Era | DateForm::EraDotted => vec![LossKind::EraOverlong],
            DateForm::Fhir => vec![LossKind::DateSpelling { notation: "fhir" }, LossKind::DateUnknown],
            DateForm::Iso => vec![LossKind::DateSpelling { notation: "iso" }],
            DateForm::Slash => vec![LossKind::DateSpelling { notation: "slash" }],
        },
        Converter::DateTime { offset: true } => vec![LossKind::Seconds],
        Converter::FullWidth | Converter::HalfWidth => vec![LossKind::Width],
        Converter::JsonText => vec![LossKind::JsonText],
        Converter::KanaFull => vec![LossKind::Kana],
        Converter::LeftPad { width, pad } => vec![LossKind::Padding { width: *width, pad: *pad }],
        Converter::Quantity(shift) if shift.least_decimals() > 0 && field.value_type == ValueType::Decimal => {
            vec![LossKind::Places { places: shift.least_decimals() }]
        }
        Converter::Trim if field.value_type == ValueType::Text => vec![LossKind::Space],
        Converter::Bool { .. }
        | Converter::DateTime { offset: false }
        | Converter::Decimal
        | Converter::Integer
        | Converter::Prefix(_)
        | Converter::Quantity(_)
        | Converter::Trim => Vec::new(),
    }
}

fn lost_field(kind: &Kind, lost: &crate::layout::Lost) -> Option<LostField> {
    let field = kind.field(&lost.field)?;
    Some(LostField { field: lost.field.clone(), label: field.label.clone(), reason: lost.reason.clone() })
}

fn required(layout: &Layout) -> Vec<RequiredField> {
    let beyond = layout.rows.iter().filter(|row| row.required && !row.field.required && row.field.derived.is_none());
    beyond
        .map(|row| RequiredField {
            field: row.field.key.clone(),
            label: row.field.label.clone(),
            path: row.column.clone(),
        })
        .collect()
}

fn words(kind: &LossKind) -> Bilingual {
    match kind {
        LossKind::Absent { default } => Bilingual::new(
            format!("何も書かれていない場合は「{default}」と読みます"),
            format!("nothing at its place is read as \"{default}\""),
        ),
        LossKind::Charset { charset } => charset_words(charset),
        LossKind::CodeMerged { code, becomes } => Bilingual::new(
            format!("コード {code} は {becomes} として戻ります（相手側では同じコード）"),
            format!("the code {code} comes back as {becomes}: they are one code there"),
        ),
        LossKind::CodeUnwritable { code } => Bilingual::new(
            format!("コード {code} に当たるコードが相手側にありません。配信は保留されます"),
            format!("the code {code} has no counterpart there; a delivery with it is held"),
        ),
        LossKind::DateSpelling { .. } => Bilingual::new(
            "一部が不明な日付は、分かる部分だけが戻ります。送り手の表記は、この様式で書けるときだけ残ります",
            "of a date that is not whole what is known comes back; its spelling only where this notation has it",
        ),
        LossKind::DateUnknown => {
            Bilingual::new("まったく不明な日付は書かれません", "a date of which nothing is known is left out")
        }
        LossKind::Derived => Bilingual::new(
            "ゲートウェイが計算して書き、読むときは計算し直します",
            "computed by the gateway: written, and computed again when read",
        ),
        LossKind::EraOverlong => Bilingual::new(
            "終わった元号で書かれた、一部が不明な日付は、その時の元号で戻ります",
            "a date that is not whole and was written in an era that had ended comes back in the era of its time",
        ),
        LossKind::IndividualNumber => {
            Bilingual::new("読み取るだけで、書き出すことはありません", "read, and never written")
        }
        LossKind::JsonText => Bilingual::new(
            "JSONだけを書けます（空白は詰められます）。それ以外の文字列の配信は保留されます",
            "only JSON can stand here, without the space between its parts; a delivery with other text is held",
        ),
        LossKind::Kana => Bilingual::new(
            "半角カナは全角カナとして、全角空白は半角空白として戻ります",
            "half-width kana come back as full-width kana, the wide space as the narrow one",
        ),
        LossKind::Padding { width, pad } => Bilingual::new(
            format!("{width}文字に満たない値は左を「{pad}」で埋めて戻ります"),
            format!("a value shorter than {width} comes back filled up with \"{pad}\" from the left"),
        ),
        LossKind::Places { places } => Bilingual::new(
            format!("小数が{places}桁に満たない数値は、0を補って{places}桁で戻ります"),
            format!("a number with fewer than {places} decimals comes back with {places}"),
        ),
        LossKind::Seconds => {
            Bilingual::new("秒のない時刻は0秒として戻ります", "a time without seconds comes back with zero seconds")
        }
        LossKind::SenderCodeMerged { code, becomes } => Bilingual::new(
            format!("相手側のコード {code} は {becomes} として書き戻されます"),
            format!("the participant's code {code} is written back as {becomes}"),
        ),
        LossKind::Shrunk { table, .. } => Bilingual::new(
            format!("文字コードにない文字は characters/{table}.csv のとおり置き換えて書かれ、配信の記録に残ります"),
            format!(
                "characters outside the charset are written as characters/{table}.csv says, and the log tells of it"
            ),
        ),
        LossKind::Space => Bilingual::new("前後の空白は戻りません", "the space around a text does not come back"),
        LossKind::TextAsCode => Bilingual::new(
            "相手側のコードと同じ文字列は、そのコードの意味として戻ります",
            "a text that is one of the participant's codes comes back as what the code stands for",
        ),
        LossKind::Values { most } => Bilingual::new(
            format!("値は{most}個まで書けます。超える記録の配信は保留されます"),
            format!("there is room for {most} values; a delivery with more is held"),
        ),
        LossKind::Width => Bilingual::new(
            "全角・半角の英数字は、この様式の幅に揃って戻ります",
            "letters and digits come back in the width of this form",
        ),
    }
}

fn charset_words(charset: &str) -> Bilingual {
    let charset = if charset == "cp932" { "CP932" } else { "ISO-2022-JP (JIS X 0208)" };
    let mut pairs = String::new();
    for (from, to) in TWINS {
        let between = if pairs.is_empty() { "" } else { " " };
        // Writing into a String cannot fail.
        let _infallible = write!(pairs, "{between}{from}→{to}");
    }
    Bilingual::new(
        format!("{charset} にない文字を含む記録の配信は保留されます。次の文字は対応する文字として戻ります: {pairs}"),
        format!("a delivery with a character outside {charset} is held; these come back as their twins: {pairs}"),
    )
}
