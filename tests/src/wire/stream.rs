//! Puts the payload of TCP segments back in order, both ways of each connection, as far as their beginnings go.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::pcap::Segment;

/// As much of each direction as telling it takes; the hellos are within the first few kilobytes.
const BEGINNING: usize = 64 * 1024;

/// One connection.
#[derive(Debug)]
pub struct Stream {
    /// Who opened it.
    pub client: SocketAddr,
    /// Who accepted it, or did not.
    pub server: SocketAddr,
    /// The beginning of what the client sent.
    pub sent: Vec<u8>,
    /// The beginning of what the server answered.
    pub answered: Vec<u8>,
    /// Payload bytes both ways, retransmissions included.
    pub bytes: u64,
}

#[derive(Default)]
struct Direction {
    first: Option<u32>,
    pieces: BTreeMap<u32, Vec<u8>>,
    bytes: u64,
}

struct Open {
    client: SocketAddr,
    server: SocketAddr,
    sent: Direction,
    answered: Direction,
}

/// Groups segments into connections. One that was open before the capture began is passed over.
pub fn assemble(segments: Vec<Segment>) -> Vec<Stream> {
    let mut all: Vec<Open> = Vec::new();
    let mut current: HashMap<(SocketAddr, SocketAddr), usize> = HashMap::new();
    for segment in segments {
        if segment.opens && !is_repeated(&all, &current, &segment) {
            current.insert((segment.from, segment.to), all.len());
            let (sent, answered) = (Direction::default(), Direction::default());
            all.push(Open {
                client: segment.from,
                server: segment.to,
                sent,
                answered,
            });
        }
        if let Some(&at) = current.get(&(segment.from, segment.to)) {
            all[at].sent.add(segment);
        } else if let Some(&at) = current.get(&(segment.to, segment.from)) {
            all[at].answered.add(segment);
        }
    }
    all.into_iter().map(Open::close).collect()
}

/// Whether a SYN is one sent again, not a new connection from a port used before.
fn is_repeated(all: &[Open], current: &HashMap<(SocketAddr, SocketAddr), usize>, syn: &Segment) -> bool {
    let open = current.get(&(syn.from, syn.to)).map(|&at| &all[at]);
    open.is_some_and(|open| open.sent.first == Some(syn.sequence.wrapping_add(1)))
}

impl Direction {
    fn add(&mut self, segment: Segment) {
        if segment.syn {
            self.first = Some(segment.sequence.wrapping_add(1));
        }
        self.bytes += segment.payload.len() as u64;
        let Some(first) = self.first else { return };
        let offset = segment.sequence.wrapping_sub(first);
        if !segment.payload.is_empty() && (offset as usize) < BEGINNING {
            self.pieces.entry(offset).or_insert(segment.payload);
        }
    }

    fn beginning(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (offset, piece) in self.pieces {
            let known = bytes.len().saturating_sub(offset as usize);
            if offset as usize > bytes.len() {
                break;
            }
            bytes.extend_from_slice(piece.get(known..).unwrap_or_default());
        }
        bytes
    }
}

impl Open {
    fn close(self) -> Stream {
        let bytes = self.sent.bytes + self.answered.bytes;
        let (sent, answered) = (self.sent.beginning(), self.answered.beginning());
        Stream {
            client: self.client,
            server: self.server,
            sent,
            answered,
            bytes,
        }
    }
}
