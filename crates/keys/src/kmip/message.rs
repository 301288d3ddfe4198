//! KMIP messages: a request of one operation, the payload of its answer, and what a server's refusal means. The numbers
//! are those of the KMIP specification 1.4, and for reasons of 2.0 too. A server's own words are not passed on, only the names
//! of its reasons.

use super::fault::Fault;
use super::ttlv::Item;

/// Tags of items.
pub(super) mod tag {
    pub const APPLICATION_DATA: u32 = 0x42_0002;
    pub const APPLICATION_NAMESPACE: u32 = 0x42_0003;
    pub const ATTRIBUTE: u32 = 0x42_0008;
    pub const ATTRIBUTE_NAME: u32 = 0x42_000A;
    pub const ATTRIBUTE_VALUE: u32 = 0x42_000B;
    pub const AEAD_DATA: u32 = 0x42_00FE;
    pub const AEAD_TAG: u32 = 0x42_00FF;
    pub const BATCH_COUNT: u32 = 0x42_000D;
    pub const BATCH_ITEM: u32 = 0x42_000F;
    pub const BLOCK_CIPHER_MODE: u32 = 0x42_0011;
    pub const CRYPTOGRAPHIC_ALGORITHM: u32 = 0x42_0028;
    pub const CRYPTOGRAPHIC_PARAMETERS: u32 = 0x42_002B;
    pub const DATA: u32 = 0x42_00C2;
    pub const IV_COUNTER_NONCE: u32 = 0x42_003D;
    pub const MAC_DATA: u32 = 0x42_00C6;
    pub const NAME_TYPE: u32 = 0x42_0054;
    pub const NAME_VALUE: u32 = 0x42_0055;
    pub const OBJECT_TYPE: u32 = 0x42_0057;
    pub const OPERATION: u32 = 0x42_005C;
    pub const PADDING_METHOD: u32 = 0x42_005F;
    pub const PROTOCOL_VERSION: u32 = 0x42_0069;
    pub const PROTOCOL_VERSION_MAJOR: u32 = 0x42_006A;
    pub const PROTOCOL_VERSION_MINOR: u32 = 0x42_006B;
    pub const REQUEST_HEADER: u32 = 0x42_0077;
    pub const REQUEST_MESSAGE: u32 = 0x42_0078;
    pub const REQUEST_PAYLOAD: u32 = 0x42_0079;
    pub const RESPONSE_HEADER: u32 = 0x42_007A;
    pub const RESPONSE_MESSAGE: u32 = 0x42_007B;
    pub const RESPONSE_PAYLOAD: u32 = 0x42_007C;
    pub const RESULT_REASON: u32 = 0x42_007E;
    pub const RESULT_STATUS: u32 = 0x42_007F;
    pub const TAG_LENGTH: u32 = 0x42_00CE;
    pub const TEMPLATE_ATTRIBUTE: u32 = 0x42_0091;
    pub const UNIQUE_IDENTIFIER: u32 = 0x42_0094;
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create = 0x01,
    Locate = 0x08,
    GetAttributes = 0x0B,
    Activate = 0x12,
    Encrypt = 0x1F,
    Decrypt = 0x20,
    Mac = 0x23,
}

/// A request in KMIP 1.`minor`, of one operation.
pub(super) fn request(minor: i32, operation: Operation, payload: Vec<Item>) -> Item {
    let version = Item::structure(
        tag::PROTOCOL_VERSION,
        [
            Item::integer(tag::PROTOCOL_VERSION_MAJOR, 1),
            Item::integer(tag::PROTOCOL_VERSION_MINOR, minor),
        ],
    );
    let header = Item::structure(tag::REQUEST_HEADER, [version, Item::integer(tag::BATCH_COUNT, 1)]);
    let item = Item::structure(
        tag::BATCH_ITEM,
        [
            Item::enumeration(tag::OPERATION, operation as u32),
            Item::structure(tag::REQUEST_PAYLOAD, payload),
        ],
    );
    Item::structure(tag::REQUEST_MESSAGE, [header, item])
}

/// The payload of the answer to an operation, or why the server did not carry it out.
pub(super) fn payload(message: &Item, operation: Operation) -> Result<Item, Fault> {
    let item = match (message.tag, message.first(tag::BATCH_ITEM)) {
        (tag::RESPONSE_MESSAGE, Some(item)) if batch_count(message) == Some(1) => item,
        _ => return Err(garbled()),
    };
    let number = |tag| item.first(tag).and_then(Item::as_enumeration);
    match number(tag::RESULT_STATUS) {
        Some(0) if number(tag::OPERATION) == Some(operation as u32) => {
            item.first(tag::RESPONSE_PAYLOAD).cloned().ok_or_else(garbled)
        }
        // An operation that is pending will never be polled for: nothing asked the server to answer later.
        Some(1) => Err(refusal(operation, number(tag::RESULT_REASON).unwrap_or_default())),
        _ => Err(garbled()),
    }
}

fn batch_count(message: &Item) -> Option<i32> {
    message
        .first(tag::RESPONSE_HEADER)?
        .first(tag::BATCH_COUNT)?
        .as_integer()
}

/// The answer is not one to what was asked.
pub(super) fn garbled() -> Fault {
    Fault::Lost("the key server's answer cannot be read".to_owned())
}

fn refusal(operation: Operation, reason: u32) -> Fault {
    let text = |name: &str| format!("{operation:?} is answered {name}");
    match reason {
        0x01 | 0x36 | 0x37 => Fault::Missing,
        0x03 => Fault::Refused(format!(
            "{}, see which certificates the server takes",
            text("Authentication Not Successful")
        )),
        0x0A => Fault::Unclear(text("Cryptographic Failure")),
        0x0B => Fault::Denied(text("Illegal Operation")),
        0x0C => Fault::Denied(text("Permission Denied")),
        0x0D => Fault::Denied(text("Object Archived")),
        0x1A => Fault::Denied(text("Usage Limit Exceeded")),
        0x29 => Fault::Denied(text("Incompatible Cryptographic Usage Mask")),
        0x39 => Fault::Denied(text("Not Authorised")),
        0x43 => Fault::Denied(text("Wrong Key Lifecycle State")),
        0x04 => unfit(&text("Invalid Message")),
        0x05 => unfit(&text("Operation Not Supported")),
        0x06 => unfit(&text("Missing Data")),
        0x07 => unfit(&text("Invalid Field")),
        0x08 => unfit(&text("Feature Not Supported")),
        0x0F => unfit(&text("Application Namespace Not Supported")),
        0x3E => unfit(&text("Unsupported Cryptographic Parameters")),
        0x3F => unfit(&text("Unsupported Protocol Version")),
        0x100 | 0x2A => Fault::Unclear(text("General Failure")),
        0x3A => Fault::Lost(text("Server Limit Exceeded")),
        0x18 | 0x35 => Fault::Lost("another process made the same key at this moment".to_owned()),
        other => Fault::Unclear(format!("{operation:?} is answered reason {other:#x}")),
    }
}

/// The server does not do what we need, whichever key it is asked with.
fn unfit(text: &str) -> Fault {
    Fault::Refused(format!("{text}, see whether the server does what this mode asks for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u32, reason: u32) -> Item {
        let header = Item::structure(tag::RESPONSE_HEADER, [Item::integer(tag::BATCH_COUNT, 1)]);
        let item = Item::structure(
            tag::BATCH_ITEM,
            [
                Item::enumeration(tag::OPERATION, Operation::Decrypt as u32),
                Item::enumeration(tag::RESULT_STATUS, status),
                Item::enumeration(tag::RESULT_REASON, reason),
                Item::structure(tag::RESPONSE_PAYLOAD, []),
            ],
        );
        Item::structure(tag::RESPONSE_MESSAGE, [header, item])
    }

    #[test]
    fn reasons_say_what_to_do() {
        let of = |reason| payload(&answer(1, reason), Operation::Decrypt).err();
        assert_eq!(of(0x01), Some(Fault::Missing));
        let denied = "Decrypt is answered Permission Denied".to_owned();
        assert_eq!(of(0x0C), Some(Fault::Denied(denied)));
        assert!(matches!(of(0x03), Some(Fault::Refused(_))));
        assert!(matches!(of(0x05), Some(Fault::Refused(_))));
        assert!(matches!(of(0x100), Some(Fault::Unclear(_))));
        assert!(matches!(of(0x7777), Some(Fault::Unclear(_))));
    }

    #[test]
    fn only_an_answer_to_what_was_asked_is_taken() {
        assert!(payload(&answer(0, 0), Operation::Decrypt).is_ok());
        assert_eq!(payload(&answer(0, 0), Operation::Encrypt).err(), Some(garbled()));
        assert_eq!(payload(&answer(2, 0), Operation::Decrypt).err(), Some(garbled()));
        let request = request(4, Operation::Decrypt, Vec::new());
        assert_eq!(payload(&request, Operation::Decrypt).err(), Some(garbled()));
    }
}
