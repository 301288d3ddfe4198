//! Reads the framing of TLS from one direction of a connection, as anyone on the wire can: how many records and bytes,
//! whether anything is not TLS, and which version a server has chosen. It decrypts nothing and keeps no content.

/// Record types of TLS 1.3 (RFC 8446, 5.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Largest fragment of a protected record.
const LARGEST: usize = (1 << 14) + 256;
/// More of a clear handshake record than a server's first message needs is not kept. Its key share of X25519MLKEM768
/// alone is 1,120 bytes, and the version may stand behind it.
const HELLO_KEPT: usize = 4096;

/// One direction of a connection, as seen so far.
#[derive(Debug, Default)]
pub struct Records {
    /// Bytes of all records, headers included.
    pub bytes: u64,
    /// Records of protected content.
    pub protected: u64,
    /// Handshake records in the clear: hello messages only, in TLS 1.3.
    pub clear_handshakes: u64,
    /// Whether something was not a TLS record.
    pub stray: bool,
    header: Vec<u8>,
    left: usize,
    hello: Vec<u8>,
    keeps_hello: bool,
}

impl Records {
    /// Takes the next bytes.
    pub fn take(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() && !self.stray {
            bytes = if self.left > 0 {
                self.body(bytes)
            } else {
                self.header(bytes)
            };
        }
    }

    /// Whether the version that a server chose can be told: its hello has passed, or something else instead.
    pub fn has_begun(&self) -> bool {
        self.stray || self.protected > 0 || self.clear_handshakes > 1 || self.chose_tls13()
    }

    /// Whether a server chose TLS 1.3 in its hello, read from the extension supported_versions.
    pub fn chose_tls13(&self) -> bool {
        chosen_version(&self.hello) == Some([3, 4])
    }

    fn header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (head, rest) = bytes.split_at(bytes.len().min(5 - self.header.len()));
        self.header.extend_from_slice(head);
        if let [kind, major, _, high, low] = self.header[..] {
            self.left = usize::from(u16::from_be_bytes([high, low]));
            self.begin(kind, major);
            self.header.clear();
        }
        rest
    }

    fn begin(&mut self, kind: u8, major: u8) {
        let known = matches!(kind, CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE | APPLICATION_DATA);
        self.stray |= !known || major != 3 || self.left == 0 || self.left > LARGEST;
        self.protected += u64::from(kind == APPLICATION_DATA);
        self.clear_handshakes += u64::from(kind == HANDSHAKE);
        self.keeps_hello = kind == HANDSHAKE && self.clear_handshakes == 1;
    }

    fn body<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (body, rest) = bytes.split_at(bytes.len().min(self.left));
        self.left -= body.len();
        if self.keeps_hello {
            let room = HELLO_KEPT.saturating_sub(self.hello.len());
            self.hello.extend_from_slice(&body[..body.len().min(room)]);
        }
        rest
    }
}

/// `selected_version` of a ServerHello (RFC 8446, 4.1.3 and 4.2.1).
fn chosen_version(hello: &[u8]) -> Option<[u8; 2]> {
    const SERVER_HELLO: u8 = 2;
    const SUPPORTED_VERSIONS: [u8; 2] = [0, 43];
    if *hello.first()? != SERVER_HELLO {
        return None;
    }
    // Type and length, version, random; then the session id, cipher suite, compression, and length of extensions.
    let session = hello.get(4 + 2 + 32..)?;
    let mut extensions = session.get(1 + usize::from(*session.first()?) + 2 + 1 + 2..)?;
    while let [a, b, high, low, rest @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if [*a, *b] == SUPPORTED_VERSIONS {
            return rest.get(..2)?.try_into().ok();
        }
        extensions = rest.get(length..)?;
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3], &length[..], body].concat()
    }

    fn server_hello(version: [u8; 2]) -> Vec<u8> {
        // A hybrid key share stands before the version, as rustls writes it.
        let extensions = [&[0, 51, 4, 100][..], &[9; 1124], &[0, 43, 0, 2], &version].concat();
        let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
        [
            &[2, 0, 0, 0, 3, 3][..],
            &[7; 32],
            &[2, 1, 1],
            &[19, 2, 0],
            &length,
            &extensions,
        ]
        .concat()
    }

    #[test]
    fn records_are_counted_however_the_bytes_arrive() {
        let stream = [
            record(22, &server_hello([3, 4])),
            record(20, &[1]),
            record(23, &[5; 300]),
        ]
        .concat();
        for size in [1, 3, 7, stream.len()] {
            let mut seen = Records::default();
            stream.chunks(size).for_each(|chunk| seen.take(chunk));
            assert_eq!(
                (seen.bytes, seen.protected, seen.clear_handshakes),
                (stream.len() as u64, 1, 1)
            );
            assert!(seen.has_begun() && seen.chose_tls13() && !seen.stray);
        }
    }

    #[test]
    fn an_older_version_is_not_taken_for_tls13() {
        let mut seen = Records::default();
        seen.take(&record(22, &server_hello([3, 3])));
        assert!(!seen.chose_tls13() && !seen.stray);
        assert!(!Records::default().chose_tls13());
    }

    #[test]
    fn plaintext_is_noticed_at_once_or_between_records() {
        for stream in [
            b"PRI * HTTP/2.0\r\n".to_vec(),
            [record(23, &[1]), b"GET / HTTP/1.1".to_vec()].concat(),
        ] {
            let mut seen = Records::default();
            seen.take(&stream);
            assert!(seen.stray);
        }
    }
}
