//! Refusals and faults as callers see them: a closed set, each with its code, and the words for it.

use crate::fault::Bilingual;

/// Every answer that is not a success. The edge turns it into a status and a body in one exhaustive match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The body came with a content coding (RFC 9110 section 8.4), compressed above all.
    CodingUnsupported,
    /// Idempotency key used for another body.
    KeyReused,
    /// Record kind or content type not on this channel.
    KindUnsupported,
    /// The body, or the request, cannot be read; where, in words without a value.
    Malformed(Bilingual),
    /// The one answer to a lookup that yields nothing, whatever the cause.
    NotAvailable,
    /// The path does not exist here, or not with this method.
    NotFound,
    /// No channel, consent or legal basis permits this submission or request.
    NotPermitted,
    /// Certificate known, participant suspended or not registered.
    PeerUnknown,
    /// Over the rate.
    RateLimited {
        /// Seconds to wait.
        retry_after_secs: u32,
    },
    /// The gateway's own deadline passed.
    Timeout,
    /// Body over the limit.
    TooLarge,
    /// Store down, disk full, or audit sealing behind.
    Unavailable,
    /// The one row of a submission was refused: its first fault.
    Row(crate::fault::RowFault),
    /// A bug of ours; the exchange id joins the caller's message to the technical log.
    Internal,
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CodingUnsupported => "coding_unsupported",
            Self::Internal => "internal",
            Self::KeyReused => "key_reused",
            Self::KindUnsupported => "kind_unsupported",
            Self::Malformed(_) => "malformed",
            Self::NotAvailable => "not_available",
            Self::NotFound => "not_found",
            Self::NotPermitted => "not_permitted",
            Self::PeerUnknown => "peer_unknown",
            Self::RateLimited { .. } => "rate_limited",
            Self::Row(fault) => fault.code.as_str(),
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
        }
    }

    /// True if the caller may send the same again later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::CodingUnsupported
            | Self::Internal
            | Self::KeyReused
            | Self::KindUnsupported
            | Self::Malformed(_)
            | Self::NotAvailable
            | Self::NotFound
            | Self::NotPermitted
            | Self::PeerUnknown
            | Self::Row(_)
            | Self::TooLarge => false,
            Self::RateLimited { .. } | Self::Timeout | Self::Unavailable => true,
        }
    }

    /// What the caller reads.
    pub fn words(&self) -> Bilingual {
        match self {
            Self::CodingUnsupported => Bilingual::new(
                "圧縮などの Content-Encoding は受け付けません。本文をそのまま送ってください",
                "no Content-Encoding is taken; send the body as it is",
            ),
            Self::Internal => Bilingual::new(
                "ゲートウェイの内部で障害が起きました。連携番号を添えて運用者にお知らせください",
                "the gateway failed; give the operator the exchange id",
            ),
            Self::KeyReused => Bilingual::new(
                "この冪等キーは別の内容で使われています",
                "this idempotency key was used for another body",
            ),
            Self::KindUnsupported => Bilingual::new(
                "この記録種別または形式は、このチャネルでは受け付けていません",
                "this record kind or content type is not on this channel",
            ),
            Self::Malformed(words) => words.clone(),
            Self::NotAvailable => Bilingual::new("提供できる情報はありません", "no information is available"),
            Self::NotFound => {
                Bilingual::new("この宛先または操作はありません", "there is nothing at this path or method")
            }
            Self::NotPermitted => Bilingual::new(
                "この登録または依頼を許すチャネル・同意・法的根拠がありません",
                "no channel, consent or legal basis permits this",
            ),
            Self::PeerUnknown => Bilingual::new(
                "この証明書の参加機関は登録されていないか、停止されています",
                "the participant of this certificate is not registered or is suspended",
            ),
            Self::RateLimited { .. } => {
                Bilingual::new("要求が多すぎます。時間をおいて再送してください", "too many requests; send again later")
            }
            Self::Row(fault) => fault.reason.clone(),
            Self::Timeout => Bilingual::new(
                "処理の期限を過ぎました。同じ冪等キーで再送すると結果が分かります",
                "the deadline passed; send again with the same idempotency key to learn the result",
            ),
            Self::TooLarge => Bilingual::new("本文が大きすぎます", "the body is too large"),
            Self::Unavailable => Bilingual::new(
                "いまは受け付けられません。時間をおいて再送してください",
                "not able to serve now; send again later",
            ),
        }
    }
}
