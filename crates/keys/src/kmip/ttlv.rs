//! TTLV, the encoding of KMIP messages: items of a tag, a type, a length and a value, padded to eight bytes. Only the
//! types that we send or read are understood; others are passed over. What is read has its bounds checked throughout:
//! no length and no nesting that a server sends can do more than make the message malformed.

use zeroize::Zeroizing;

/// Deepest nesting of structures read.
const DEEPEST: usize = 16;
/// Length of tag, type and length.
const HEAD: usize = 8;

const STRUCTURE: u8 = 1;
const INTEGER: u8 = 2;
const ENUMERATION: u8 = 5;
const BOOLEAN: u8 = 6;
const TEXT: u8 = 7;
const BYTES: u8 = 8;

/// One item of a message. It may hold a data key, so it does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What it is, as KMIP numbers it.
    pub tag: u32,
    /// Its value.
    pub value: Value,
}

/// The value of an item.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Items.
    Structure(Vec<Item>),
    /// A signed number.
    Integer(i32),
    /// A number that KMIP gives a meaning.
    Enumeration(u32),
    /// Yes or no.
    Boolean(bool),
    /// Text.
    Text(String),
    /// Bytes, wiped when dropped.
    Bytes(Zeroizing<Vec<u8>>),
    /// A type that is not read.
    Other,
}

/// Bytes that are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Item {
    pub fn structure(tag: u32, items: impl IntoIterator<Item = Item>) -> Self {
        Self::new(tag, Value::Structure(items.into_iter().collect()))
    }

    pub fn integer(tag: u32, number: i32) -> Self {
        Self::new(tag, Value::Integer(number))
    }

    pub fn enumeration(tag: u32, number: u32) -> Self {
        Self::new(tag, Value::Enumeration(number))
    }

    pub fn boolean(tag: u32, value: bool) -> Self {
        Self::new(tag, Value::Boolean(value))
    }

    pub fn text(tag: u32, text: impl Into<String>) -> Self {
        Self::new(tag, Value::Text(text.into()))
    }

    pub fn bytes(tag: u32, bytes: &[u8]) -> Self {
        Self::new(tag, Value::Bytes(Zeroizing::new(bytes.to_vec())))
    }

    fn new(tag: u32, value: Value) -> Self {
        Self { tag, value }
    }

    /// The items of a structure; none for anything else.
    pub fn items(&self) -> &[Item] {
        match &self.value {
            Value::Structure(items) => items,
            _ => &[],
        }
    }

    /// The items of this tag in a structure.
    pub fn all(&self, tag: u32) -> impl Iterator<Item = &Item> {
        self.items().iter().filter(move |item| item.tag == tag)
    }

    /// The first item of this tag in a structure.
    pub fn first(&self, tag: u32) -> Option<&Item> {
        self.all(tag).next()
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn as_enumeration(&self) -> Option<u32> {
        match self.value {
            Value::Enumeration(number) => Some(number),
            _ => None,
        }
    }

    pub fn as_integer(&self) -> Option<i32> {
        match self.value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// The item in its encoding, wiped when dropped.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Reserved at once, so that no copy is left behind by a growing buffer.
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + padded(self.length())));
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let length = self.length();
        bytes.extend_from_slice(&self.tag.to_be_bytes()[1..]);
        bytes.push(self.kind());
        // A longer value than u32 counts cannot be in memory beside its twin.
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        match &self.value {
            Value::Structure(items) => items.iter().for_each(|item| item.write(bytes)),
            Value::Integer(number) => bytes.extend_from_slice(&number.to_be_bytes()),
            Value::Enumeration(number) => bytes.extend_from_slice(&number.to_be_bytes()),
            Value::Boolean(value) => bytes.extend_from_slice(&u64::from(*value).to_be_bytes()),
            Value::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Value::Bytes(value) => bytes.extend_from_slice(value),
            Value::Other => {}
        }
        bytes.resize(bytes.len() + padded(length) - length, 0);
    }

    fn length(&self) -> usize {
        match &self.value {
            Value::Structure(items) => items.iter().map(|item| HEAD + padded(item.length())).sum(),
            Value::Integer(_) | Value::Enumeration(_) => 4,
            Value::Boolean(_) => 8,
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Other => 0,
        }
    }

    fn kind(&self) -> u8 {
        match &self.value {
            Value::Structure(_) => STRUCTURE,
            Value::Integer(_) => INTEGER,
            Value::Enumeration(_) => ENUMERATION,
            Value::Boolean(_) => BOOLEAN,
            Value::Text(_) => TEXT,
            Value::Bytes(_) | Value::Other => BYTES,
        }
    }

    /// Reads one item, which must fill `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match read(bytes, 0)? {
            (item, []) => Ok(item),
            _ => Err(Malformed),
        }
    }
}

/// How many bytes follow the first eight of a message.
pub(super) fn length_after_head(head: [u8; HEAD]) -> usize {
    let [.., a, b, c, d] = head;
    padded(u32::from_be_bytes([a, b, c, d]) as usize)
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// Reads the first item of `bytes`, and returns what follows it.
fn read(bytes: &[u8], depth: usize) -> Result<(Item, &[u8]), Malformed> {
    let (&head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(Malformed)?;
    let [a, b, c, kind, length @ ..] = head;
    let length = u32::from_be_bytes(length) as usize;
    let value = rest.get(..length).ok_or(Malformed)?;
    let rest = rest.get(padded(length)..).ok_or(Malformed)?;
    let item = Item {
        tag: u32::from_be_bytes([0, a, b, c]),
        value: read_value(kind, value, depth)?,
    };
    Ok((item, rest))
}

fn read_value(kind: u8, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let number = || <[u8; 4]>::try_from(bytes).map_err(|_| Malformed);
    Ok(match kind {
        STRUCTURE if depth < DEEPEST => Value::Structure(read_items(bytes, depth + 1)?),
        STRUCTURE => return Err(Malformed),
        INTEGER => Value::Integer(i32::from_be_bytes(number()?)),
        ENUMERATION => Value::Enumeration(u32::from_be_bytes(number()?)),
        BOOLEAN => match bytes {
            [0, 0, 0, 0, 0, 0, 0, value @ (0 | 1)] => Value::Boolean(*value == 1),
            _ => return Err(Malformed),
        },
        TEXT => Value::Text(String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)?),
        BYTES => Value::Bytes(Zeroizing::new(bytes.to_vec())),
        _ => Value::Other,
    })
}

fn read_items(mut bytes: &[u8], depth: usize) -> Result<Vec<Item>, Malformed> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let (item, rest) = read(bytes, depth)?;
        items.push(item);
        bytes = rest;
    }
    Ok(items)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::secret::fill_random;

    fn bytes_of(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    /// The examples of section 9.1.2 of the KMIP specification 1.4.
    #[test]
    fn the_examples_of_the_specification_are_written_and_read() {
        let examples = [
            (Item::integer(0x42_0020, 8), "420020 02 00000004 00000008 00000000"),
            (
                Item::enumeration(0x42_0020, 255),
                "420020 05 00000004 000000FF 00000000",
            ),
            (Item::boolean(0x42_0020, true), "420020 06 00000008 0000000000000001"),
            (
                Item::text(0x42_0020, "Hello World"),
                "420020 07 0000000B 48656C6C6F20576F 726C640000000000",
            ),
            (
                Item::bytes(0x42_0020, &[1, 2, 3]),
                "420020 08 00000003 0102030000000000",
            ),
            (
                Item::structure(
                    0x42_0020,
                    [Item::enumeration(0x42_0004, 254), Item::integer(0x42_0005, 255)],
                ),
                "420020 01 00000020 420004 05 00000004 000000FE 00000000 420005 02 00000004 000000FF 00000000",
            ),
        ];
        for (item, hex) in examples {
            let bytes = bytes_of(hex);
            assert_eq!(*item.encode(), bytes);
            assert!(Item::decode(&bytes) == Ok(item), "{hex} is read as something else");
            assert_eq!(length_after_head(*bytes.first_chunk().unwrap()), bytes.len() - HEAD);
        }
        // The specification's long integer, big integer, date and interval: passed over.
        for hex in [
            "420020 03 00000008 01B69B4BA5749200",
            "420020 04 00000010 0000000003FD35EB 6BC2DF4618080000",
            "420020 09 00000008 0000000047DA67F8",
            "420020 0A 00000004 000D2F00 00000000",
        ] {
            assert!(
                Item::decode(&bytes_of(hex)).is_ok_and(|item| item.value == Value::Other),
                "{hex}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_its_bounds_is_malformed() {
        for hex in [
            "",
            "420020 02 000000",
            "420020 02 00000004 00000008",
            "420020 02 00000003 00000800 00000000",
            "420020 02 FFFFFFFF 00000008 00000000",
            "420020 02 00000004 00000008 00000000 00",
            "420020 06 00000008 0000000000000002",
            "420020 07 00000002 C328000000000000",
            "420020 01 00000010 420004 05 00000009 000000FE 00000000",
        ] {
            assert!(Item::decode(&bytes_of(hex)) == Err(Malformed), "{hex} was read");
        }
        let mut nested = Item::integer(0x42_0020, 1);
        for _ in 0..40 {
            nested = Item::structure(0x42_0020, [nested]);
        }
        assert!(
            Item::decode(&nested.encode()) == Err(Malformed),
            "forty structures in each other were read"
        );
    }

    /// Nothing that a server sends makes the reader fail in another way than by saying so.
    #[test]
    fn random_bytes_and_altered_messages_are_read_or_malformed() {
        let good = Item::structure(
            0x42_007B,
            [
                Item::structure(
                    0x42_007A,
                    [Item::integer(0x42_000D, 1), Item::boolean(0x42_0010, false)],
                ),
                Item::structure(
                    0x42_000F,
                    [Item::text(0x42_0094, "uid"), Item::bytes(0x42_00C2, &[7; 40])],
                ),
            ],
        )
        .encode();
        let (mut read_whole, mut random) = (0_u32, [0_u8; 64]);
        for turn in 0..50_000_usize {
            fill_random(&mut random).unwrap();
            let mut bytes = good.to_vec();
            if turn % 4 == 0 {
                bytes = random[..turn % 64].to_vec();
            } else {
                for (place, value) in random.chunks(2).take(1 + turn % 3).map(|pair| (pair[0], pair[1])) {
                    let place = usize::from(place) % bytes.len();
                    bytes[place] = value;
                }
            }
            let Ok(item) = Item::decode(&bytes) else {
                continue;
            };
            read_whole += 1;
            // What was read in full is written with the same length, up to types that are passed over.
            assert!(item.encode().len() <= bytes.len());
        }
        assert!(read_whole > 1000, "{read_whole} altered messages were readable");
    }
}
