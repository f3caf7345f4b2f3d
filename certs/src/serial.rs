//! Serial numbers and the one spelling of bytes as text.

use std::fmt;

use crate::error::CertsError;

/// A serial number of 16 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Serial([u8; 16]);

impl Serial {
    /// Draws one. The two highest bits are fixed as 01, so that the number is positive and always 16 octets long in
    /// DER; then every tool prints it as the same 32 digits. The other 126 bits are random, so no two ever meet.
    pub(crate) fn draw() -> Result<Self, CertsError> {
        let mut octets = [0; 16];
        aws_lc_rs::rand::fill(&mut octets).map_err(|_| rcgen::Error::RingUnspecified)?;
        let [first, ..] = &mut octets;
        *first = (*first & 0x3f) | 0x40;
        Ok(Self(octets))
    }

    /// Parses 32 hexadecimal digits, in either case and with or without the colons that OpenSSL prints.
    pub(crate) fn parse(text: &str) -> Result<Self, CertsError> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(CertsError::Serial);
        }
        u128::from_str_radix(&digits, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| CertsError::Serial)
    }

    /// The number as certificates and revocation lists hold it.
    pub(crate) fn number(self) -> rcgen::SerialNumber {
        self.0.to_vec().into()
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Lower-case hexadecimal digits, two an octet.
pub(crate) fn hex(octets: &[u8]) -> String {
    let halves = octets.iter().flat_map(|octet| [octet >> 4, octet & 0x0f]);
    halves.filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_numbers_are_positive_sixteen_octets_and_differ() {
        let drawn: Vec<Serial> = (0..64).map(|_| Serial::draw().unwrap()).collect();
        for serial in &drawn {
            assert!((0x40..0x80).contains(&serial.0[0]));
            assert_eq!(Serial::parse(&serial.to_string()).unwrap(), *serial);
        }
        assert!(drawn.iter().enumerate().all(|(at, serial)| !drawn[..at].contains(serial)));
    }

    #[test]
    fn the_spelling_of_openssl_is_understood() {
        let serial = Serial::parse("4a:00:0B:ff:01:02:03:04:05:06:07:08:09:0a:0b:0c").unwrap();
        assert_eq!(serial.to_string(), "4a000bff0102030405060708090a0b0c");
        for text in ["", "4a", "4a000bff0102030405060708090a0b0c00", "+a000bff0102030405060708090a0b0c"] {
            assert!(matches!(Serial::parse(text), Err(CertsError::Serial)), "{text}");
        }
    }
}
