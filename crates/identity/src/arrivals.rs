//! Connections that are not admitted yet: how many there may be, in all and from one address, and how many of these may shake
//! hands at once. Addresses whose peers were admitted lately have places of their own, so that a flood from elsewhere does not
//! keep them out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long an address counts as one whose peers are admitted.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
/// Known addresses that are remembered.
const KNOWN_MAX: usize = 4096;

/// What is allowed of connections that are not admitted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrivalLimits {
    /// Connections from addresses that nobody was admitted from lately.
    pub unknown: usize,
    /// Connections in all: those above `unknown` are kept for known addresses.
    pub total: usize,
    /// Connections from one address (of IPv6, from one network of 64 bits).
    pub per_address: usize,
    /// Of these, handshakes at once; the others wait for their turn.
    pub handshakes: usize,
}

impl Default for ArrivalLimits {
    /// Places for a clinic behind one address that reconnects at once, and for some networks like it.
    fn default() -> Self {
        Self {
            unknown: 3584,
            total: 4096,
            per_address: 512,
            handshakes: 64,
        }
    }
}

/// Why a connection is closed as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// Too many of one address.
    #[error("too many connections of this address wait to be admitted")]
    Address,
    /// Too many of all addresses.
    #[error("too many connections wait to be admitted")]
    Total,
}

/// The connections of a port that are not admitted yet.
#[derive(Debug)]
pub struct Arrivals {
    limits: ArrivalLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    total: usize,
    addresses: HashMap<IpAddr, Address>,
    known: HashMap<IpAddr, Instant>,
}

#[derive(Debug)]
struct Address {
    connections: usize,
    handshakes: Arc<Semaphore>,
}

/// A place among the connections that are not admitted yet; dropped, it is free.
#[derive(Debug)]
pub struct Place {
    arrivals: Arc<Arrivals>,
    network: IpAddr,
    handshakes: Arc<Semaphore>,
}

impl Arrivals {
    /// None yet.
    pub fn new(limits: ArrivalLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// Takes a place for a connection from `address`.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Crowded> {
        let network = network(address);
        let mut state = self.state.lock();
        let is_known = state
            .known
            .get(&network)
            .is_some_and(|since| since.elapsed() < KNOWN_FOR);
        let most = if is_known {
            self.limits.total
        } else {
            self.limits.unknown
        };
        if state.total >= most {
            return Err(Crowded::Total);
        }
        let of_address = state.addresses.entry(network).or_insert_with(|| Address {
            connections: 0,
            handshakes: Arc::new(Semaphore::new(self.limits.handshakes)),
        });
        if of_address.connections >= self.limits.per_address {
            return Err(Crowded::Address);
        }
        of_address.connections += 1;
        let handshakes = Arc::clone(&of_address.handshakes);
        state.total += 1;
        Ok(Place {
            arrivals: Arc::clone(self),
            network,
            handshakes,
        })
    }
}

impl Place {
    /// Waits for this connection's turn to shake hands, which lasts as long as the permit.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.handshakes).acquire_owned().await.ok()
    }

    /// Remembers that a peer of this address was admitted.
    pub fn admitted(&self) {
        let known = &mut self.arrivals.state.lock().known;
        if known.len() >= KNOWN_MAX && !known.contains_key(&self.network) {
            let oldest = known
                .iter()
                .min_by_key(|(_, since)| **since)
                .map(|(network, _)| *network);
            oldest.map(|network| known.remove(&network));
        }
        known.insert(self.network, Instant::now());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.arrivals.state.lock();
        state.total -= 1;
        if let Some(address) = state.addresses.get_mut(&self.network) {
            address.connections -= 1;
            if address.connections == 0 {
                state.addresses.remove(&self.network);
            }
        }
    }
}

/// What counts as one address: of IPv6, the network that one site is given.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn arrivals() -> Arc<Arrivals> {
        Arrivals::new(ArrivalLimits {
            unknown: 3,
            total: 4,
            per_address: 2,
            handshakes: 1,
        })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_takes_no_place_of_another() {
        let arrivals = arrivals();
        let places: Vec<_> = (0..2).map(|_| arrivals.enter(address(1)).unwrap()).collect();
        assert_eq!(arrivals.enter(address(1)).unwrap_err(), Crowded::Address);
        drop(arrivals.enter(address(2)).unwrap());
        drop(places);
        arrivals.enter(address(1)).unwrap();
        assert!(arrivals.state.lock().addresses.is_empty());
    }

    #[test]
    fn known_addresses_have_places_of_their_own() {
        let arrivals = arrivals();
        arrivals.enter(address(9)).unwrap().admitted();
        let crowd: Vec<_> = (1..=3).map(|last| arrivals.enter(address(last)).unwrap()).collect();
        assert_eq!(arrivals.enter(address(4)).unwrap_err(), Crowded::Total);
        let known = arrivals.enter(address(9)).unwrap();
        assert_eq!(arrivals.enter(address(9)).unwrap_err(), Crowded::Total);
        drop((crowd, known));
    }

    #[test]
    fn a_site_of_ipv6_is_one_address_and_a_mapped_one_is_ipv4() {
        let one: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let other: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        let elsewhere: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert_eq!(network(one), network(other));
        assert_ne!(network(one), network(elsewhere));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), address(1));
    }

    #[tokio::test]
    async fn handshakes_of_an_address_take_turns() {
        let arrivals = arrivals();
        let (first, second) = (arrivals.enter(address(1)).unwrap(), arrivals.enter(address(1)).unwrap());
        let turn = first.turn().await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(20), second.turn()).await;
        assert!(waiting.is_err(), "two handshakes at once");
        drop(turn);
        assert!(second.turn().await.is_some());
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let arrivals = arrivals();
        for number in 0..KNOWN_MAX as u32 + 10 {
            arrivals.enter(IpAddr::from(number.to_be_bytes())).unwrap().admitted();
        }
        assert_eq!(arrivals.state.lock().known.len(), KNOWN_MAX);
    }
}
