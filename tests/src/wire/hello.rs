//! Tells what a connection speaks from the first bytes of both sides: the ServerHello names the version that was agreed
//! on (RFC 8446: in its supported_versions extension) and the key exchange. After it, a TLS 1.3 connection holds nothing
//! but records that look like application data: anything else is called plain.

/// The hybrid key exchange of X25519 and ML-KEM-768.
pub const X25519_MLKEM768: u16 = 0x11ec;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const KEY_SHARE: u16 = 51;
const SUPPORTED_VERSIONS: u16 = 43;
const TLS_1_3: u16 = 0x0304;

/// What a connection speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speech {
    /// TLS 1.3, with the number of the agreed key exchange group.
    Tls13 {
        /// From the ServerHello's key share.
        group: u16,
    },
    /// A TLS that was agreed on and is not 1.3.
    OlderTls {
        /// The agreed version as on the wire.
        version: u16,
    },
    /// The client began with TLS and the server refused or never answered.
    NoAgreement,
    /// No byte was sent by either side.
    Silent,
    /// Anything else, with its first bytes.
    Plain {
        /// At most 64 bytes of the side that spoke.
        first: Vec<u8>,
    },
}

/// Tells a connection by the beginnings of what the client sent and the server answered.
pub fn tell(sent: &[u8], answered: &[u8]) -> Speech {
    if sent.is_empty() && answered.is_empty() {
        return Speech::Silent;
    }
    let begins = first_handshake(sent, CLIENT_HELLO).is_some();
    let refused = answered.is_empty() || is_alert(answered);
    if !begins {
        // A client that connects and says nothing may get an alert.
        let told_off = sent.is_empty() && is_alert(answered);
        return if told_off {
            Speech::NoAgreement
        } else {
            plain(if sent.is_empty() { answered } else { sent })
        };
    }
    let Some(hello) = first_handshake(answered, SERVER_HELLO) else {
        return if refused { Speech::NoAgreement } else { plain(answered) };
    };
    match agreed(hello) {
        Some((TLS_1_3, group)) if only_sealed(sent) && only_sealed(answered) => Speech::Tls13 { group },
        Some((TLS_1_3, _)) => plain(answered),
        Some((version, _)) => Speech::OlderTls { version },
        None => plain(answered),
    }
}

fn plain(bytes: &[u8]) -> Speech {
    Speech::Plain {
        first: bytes[..bytes.len().min(64)].to_vec(),
    }
}

/// Records as (type, body); the last may be cut short by the end of what was kept. `None` when it is not TLS.
fn records(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut records = Vec::new();
    while bytes.len() >= 5 {
        let (kind, version, length) = (
            bytes[0],
            bytes[1],
            usize::from(u16::from_be_bytes([bytes[3], bytes[4]])),
        );
        if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) || version != 3 || length > 16_640 {
            return None;
        }
        records.push((kind, &bytes[5..bytes.len().min(5 + length)]));
        bytes = bytes.get(5 + length..).unwrap_or_default();
    }
    Some(records)
}

fn is_alert(bytes: &[u8]) -> bool {
    records(bytes).is_some_and(|records| !records.is_empty() && records.iter().all(|(kind, _)| *kind == ALERT))
}

/// The body of the first handshake message, when it is of this type.
fn first_handshake(bytes: &[u8], kind: u8) -> Option<&[u8]> {
    let (record, body) = records(bytes)?.first().copied()?;
    (record == HANDSHAKE && body.first() == Some(&kind))
        .then(|| body.get(4..))
        .flatten()
}

/// In TLS 1.3 only hellos are open: two at most a side, where the server asked the client to try again.
fn only_sealed(bytes: &[u8]) -> bool {
    let Some(records) = records(bytes) else { return false };
    let hello = |body: &[u8]| matches!(body.first(), Some(&(CLIENT_HELLO | SERVER_HELLO)));
    let open = records.iter().filter(|(kind, _)| *kind == HANDSHAKE).count();
    open <= 2 && records.iter().all(|(kind, body)| *kind != HANDSHAKE || hello(body))
}

/// The version and group of a ServerHello.
fn agreed(hello: &[u8]) -> Option<(u16, u16)> {
    let old_version = be16(hello, 0)?;
    let session = usize::from(*hello.get(34)?);
    let mut extensions = hello.get(35 + session + 5..)?;
    let (mut version, mut group) = (old_version, 0);
    while let (Some(kind), Some(length)) = (be16(extensions, 0), be16(extensions, 2)) {
        let body = extensions.get(4..4 + usize::from(length))?;
        match kind {
            SUPPORTED_VERSIONS => version = be16(body, 0)?,
            KEY_SHARE => group = be16(body, 0)?,
            _ => {}
        }
        extensions = extensions.get(4 + usize::from(length)..)?;
    }
    Some((version, group))
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_tls_is_plain_or_silent() {
        assert_eq!(tell(b"", b""), Speech::Silent);
        assert!(matches!(
            tell(b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK"),
            Speech::Plain { .. }
        ));
        assert!(matches!(
            tell(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
            Speech::Plain { .. }
        ));
        assert!(matches!(tell(b"", b"SSH-2.0"), Speech::Plain { .. }));
        assert_eq!(tell(b"", &[21, 3, 3, 0, 2, 2, 50]), Speech::NoAgreement);
    }

    #[test]
    fn a_hello_without_an_answer_is_no_agreement() {
        let hello = [&[22, 3, 1, 0, 8, CLIENT_HELLO, 0, 0, 4][..], &[3, 3, 0, 0]].concat();
        assert_eq!(tell(&hello, &[]), Speech::NoAgreement);
        assert_eq!(tell(&hello, &[21, 3, 3, 0, 2, 2, 70]), Speech::NoAgreement);
        assert!(matches!(
            tell(&hello, b"HTTP/1.1 400 Bad Request"),
            Speech::Plain { .. }
        ));
    }
}
