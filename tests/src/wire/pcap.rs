//! Reads TCP segments out of a capture file as tcpdump writes it on a loopback or Ethernet interface. Other link types
//! and file formats are refused, other protocols passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};

const ETHERNET: u32 = 1;
const TCP: u8 = 6;

/// One TCP segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Sequence number of the first payload byte (of the SYN itself, where it is one).
    pub sequence: u32,
    /// Whether it opens a connection: SYN without ACK.
    pub opens: bool,
    /// Whether it is a SYN, with or without ACK: it uses one sequence number.
    pub syn: bool,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// All TCP segments of a capture file, in the order they were seen.
pub fn segments(file: &[u8]) -> Result<Vec<Segment>> {
    let header = file.get(..24).context("the capture has no header")?;
    let magic = number(header, 0);
    ensure!(
        magic == 0xa1b2_c3d4 || magic == 0xa1b2_3c4d,
        "not a capture file of this machine's byte order"
    );
    ensure!(
        number(header, 20) & 0xffff == ETHERNET,
        "the capture is not of an Ethernet or loopback interface"
    );
    let (mut at, mut segments) = (24, Vec::new());
    while let Some(record) = file.get(at..at + 16) {
        let (stored, real) = (number(record, 8) as usize, number(record, 12) as usize);
        ensure!(stored == real, "the capture cut a packet short");
        let Some(packet) = file.get(at + 16..at + 16 + stored) else {
            bail!("the capture ends inside a packet");
        };
        segments.extend(segment(packet));
        at += 16 + stored;
    }
    Ok(segments)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn segment(packet: &[u8]) -> Option<Segment> {
    let (from, to, tcp) = match packet.get(12..14)? {
        [0x08, 0x00] => ip4(packet.get(14..)?)?,
        [0x86, 0xdd] => ip6(packet.get(14..)?)?,
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let start = usize::from(tcp.get(12)? >> 4) * 4;
    let flags = *tcp.get(13)?;
    let (syn, ack) = (flags & 0x02 != 0, flags & 0x10 != 0);
    Some(Segment {
        from: SocketAddr::new(from, port(0)?),
        to: SocketAddr::new(to, port(2)?),
        sequence: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        opens: syn && !ack,
        syn,
        payload: tcp.get(start..)?.to_vec(),
    })
}

fn ip4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let start = usize::from(packet.first()? & 0x0f) * 4;
    let length = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let body = packet.get(start..length.max(start).min(packet.len()))?;
    (packet.get(9) == Some(&TCP)).then_some((address(12)?.into(), address(16)?.into(), body))
}

fn ip6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
    (packet.get(6) == Some(&TCP)).then_some((address(8)?.into(), address(24)?.into(), packet.get(40..)?))
}
