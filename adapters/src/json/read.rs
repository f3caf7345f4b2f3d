//! RFC 8259 text into a tree.

use tsunagi_core::document::Node;

#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
use crate::fault::unread;
use crate::fault::unreadable;
use crate::plug::PayloadFault;
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
use crate::plug::{Payload, Source};

/// Reads the body of a request. JSON is UTF-8 whatever is declared, so another charset is refused, not guessed at.
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
pub(crate) fn read_payload(payload: &Payload<'_>) -> Result<Node, PayloadFault> {
    let is_utf8 = |label: &str| ["utf-8", "utf8"].iter().any(|known| label.trim().eq_ignore_ascii_case(known));
    if payload.charset.is_some_and(|label| !is_utf8(label)) {
        return Err(unreadable(
            "JSONの文字コードはUTF-8です。Content-Typeには別の文字コードが宣言されています",
            "JSON is UTF-8, but Content-Type declares another charset",
        ));
    }
    read(payload.bytes).map_err(PayloadFault::from)
}

/// Takes a whole body into memory: JSON is one tree, and half a tree says nothing.
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
pub(crate) fn read_all(mut source: Box<dyn Source + '_>) -> Result<Vec<u8>, PayloadFault> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|_| unread())?;
    Ok(bytes)
}

/// Reads one JSON value that fills `bytes`. A byte order mark is passed over.
pub(crate) fn read(bytes: &[u8]) -> Result<Node, Misread> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(fault) => return Err(Misread::at(bytes, fault.valid_up_to(), Defect::NotUtf8)),
    };
    let mut reader =
        Reader { text, at: if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 } };
    let root = reader.document();
    root.map_err(|(at, defect)| Misread::at(bytes, at, defect))
}

/// Where a text stops being JSON, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misread {
    /// From 0.
    byte: usize,
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    defect: Defect,
}

impl Misread {
    fn at(bytes: &[u8], byte: usize, defect: Defect) -> Self {
        let before = String::from_utf8_lossy(bytes.get(..byte).unwrap_or(bytes));
        let line = before.matches('\n').count() + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        let column = last.chars().filter(|c| *c != BYTE_ORDER_MARK).count() + 1;
        Self { byte, line, column, defect }
    }
}

impl From<Misread> for PayloadFault {
    /// The place and the defect for people.
    fn from(misread: Misread) -> Self {
        let Misread { byte, line, column, defect } = misread;
        let (ja, en) = defect.words();
        unreadable(
            format!("{line}行{column}文字目（{byte}バイト目）：{ja}"),
            format!("line {line}, column {column} (byte {byte}): {en}"),
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    EndsEarly,
    LoneSurrogate,
    NotUtf8,
    Syntax,
    TooDeep,
    Trailing,
    TwinNames,
}

impl Defect {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::EndsEarly => ("JSONが途中で終わっています", "the JSON ends before it is complete"),
            Self::LoneSurrogate => ("片方だけのサロゲートがあります", "half of a surrogate pair stands alone"),
            Self::NotUtf8 => ("UTF-8として読めないバイトです", "a byte that is not UTF-8"),
            Self::Syntax => ("JSONの文法に合いません", "not JSON"),
            Self::TooDeep => ("入れ子が64段を超えています", "nested more than 64 deep"),
            Self::Trailing => ("JSONの後に余分な文字があります", "something follows the JSON"),
            Self::TwinNames => {
                ("ここから始まるオブジェクトに同じ名前が二度あります", "the object that begins here has one name twice")
            }
        }
    }
}

type Read<T> = Result<T, (usize, Defect)>;

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Read<Node> {
        let root = self.value(0)?;
        self.skip_space();
        if self.at < self.text.len() { self.fail(Defect::Trailing) } else { Ok(root) }
    }

    fn value(&mut self, depth: usize) -> Read<Node> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Node::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Node::Number(self.number()?.to_owned())),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            _ => self.unexpected(),
        }
    }

    fn object(&mut self, depth: usize) -> Read<Node> {
        let start = self.open(depth)?;
        let mut members = Vec::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Node::Map(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.unexpected();
            }
            let name = self.string()?;
            self.skip_space();
            if !self.eat(b':') {
                return self.unexpected();
            }
            members.push((name, self.value(depth)?));
            self.skip_space();
            if self.eat(b'}') {
                break;
            }
            if !self.eat(b',') {
                return self.unexpected();
            }
        }
        if has_twins(&members) { Err((start, Defect::TwinNames)) } else { Ok(Node::Map(members)) }
    }

    fn array(&mut self, depth: usize) -> Read<Node> {
        self.open(depth)?;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Node::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Node::List(items));
            }
            if !self.eat(b',') {
                return self.unexpected();
            }
        }
    }

    /// Steps over the opening bracket and gives its place. The bound on `depth` is what keeps this recursion, and
    /// every later walk over the tree, off the end of the stack.
    fn open(&mut self, depth: usize) -> Read<usize> {
        if depth > DEPTH_LIMIT {
            return self.fail(Defect::TooDeep);
        }
        let start = self.at;
        self.at += 1;
        Ok(start)
    }

    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let Some(run) = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20) else {
                self.at = self.text.len();
                return self.fail(Defect::EndsEarly);
            };
            text.push_str(rest.get(..run).unwrap_or_default());
            self.at += run;
            if self.eat(b'"') {
                return Ok(text);
            }
            if !self.eat(b'\\') {
                return self.fail(Defect::Syntax);
            }
            text.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Read<char> {
        let plain = match self.peek() {
            Some(mark @ (b'"' | b'\\' | b'/')) => char::from(mark),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.escaped_unit(),
            _ => return self.unexpected(),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `uXXXX`, or the two of them that name a character beyond the basic plane.
    fn escaped_unit(&mut self) -> Read<char> {
        let start = self.at;
        let mut units = vec![self.unit()?];
        if matches!(units.first(), Some(0xD800..=0xDBFF)) && self.rest().starts_with("\\u") {
            self.at += 1;
            units.push(self.unit()?);
        }
        match char::decode_utf16(units).collect::<Result<Vec<_>, _>>().as_deref() {
            Ok([one]) => Ok(*one),
            _ => Err((start, Defect::LoneSurrogate)),
        }
    }

    fn unit(&mut self) -> Read<u16> {
        self.at += 1;
        let digits = self.text.get(self.at..self.at + 4).filter(|four| four.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|four| u16::from_str_radix(four, 16).ok()) {
            Some(unit) => {
                self.at += 4;
                Ok(unit)
            }
            None => self.fail(Defect::Syntax),
        }
    }

    fn number(&mut self) -> Read<&'t str> {
        let rest = self.rest();
        let length = number_length(rest);
        match rest.get(..length) {
            Some(number) if length > 0 => {
                self.at += length;
                Ok(number)
            }
            _ => self.fail(Defect::Syntax),
        }
    }

    fn word(&mut self, word: &str, node: Node) -> Read<Node> {
        if !self.rest().starts_with(word) {
            return self.fail(Defect::Syntax);
        }
        self.at += word.len();
        Ok(node)
    }

    fn skip_space(&mut self) {
        let space = self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += space;
    }

    fn eat(&mut self, mark: u8) -> bool {
        let found = self.peek() == Some(mark);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn unexpected<T>(&self) -> Read<T> {
        self.fail(if self.at < self.text.len() { Defect::Syntax } else { Defect::EndsEarly })
    }

    fn fail<T>(&self, defect: Defect) -> Read<T> {
        Err((self.at, defect))
    }
}

/// How many bytes at the start of `text` are a JSON number; 0 if it does not begin with one.
pub(super) fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes.get(at) == Some(&b'0')) {
        return 0;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return 0;
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return 0;
        }
        at += 1 + sign + exponent;
    }
    at
}

/// True if two members have one name. Sorted when there are many, so that a body of a million members costs no more
/// than its size.
fn has_twins(members: &[(String, Node)]) -> bool {
    if members.len() <= 16 {
        return members
            .iter()
            .enumerate()
            .any(|(at, (name, _))| members.iter().take(at).any(|(other, _)| other == name));
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair.first() == pair.last())
}

const BYTE_ORDER_MARK: char = '\u{feff}';
const DEPTH_LIMIT: usize = 64;
