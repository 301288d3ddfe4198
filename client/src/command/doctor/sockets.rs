//! Where a process listens, and whether it is where its configuration says, and nowhere else.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::finding::Finding;

const CHECK: &str = "listeners";

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Which socket.
    pub inode: u64,
}

impl Listening {
    /// Whether connections to `configured` come here.
    pub fn serves(&self, configured: SocketAddr) -> bool {
        let same = self.address.ip() == configured.ip()
            || (self.address.ip().is_unspecified() && configured.ip().is_unspecified());
        self.address.port() == configured.port() && same
    }
}

/// Every socket that listens in the network that a process sees.
pub fn listening(proc: &Path) -> io::Result<Vec<Listening>> {
    let mut all = parse(&fs::read_to_string(proc.join("net/tcp"))?);
    // Machines without IPv6 have no such file.
    all.extend(parse(&fs::read_to_string(proc.join("net/tcp6")).unwrap_or_default()));
    Ok(all)
}

fn parse(table: &str) -> Vec<Listening> {
    table.lines().skip(1).filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Listening> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    Some(Listening {
        address: SocketAddr::new(parse_ip(ip)?, u16::from_str_radix(port, 16).ok()?),
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Addresses stand there as words of the machine's byte order.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).into())
        }
        _ => None,
    }
}

/// Compares where a process listens with its configuration.
pub fn judge(configured: &[(&'static str, SocketAddr)], listening: Option<&[Listening]>) -> Vec<Finding> {
    let Some(listening) = listening else {
        return vec![Finding::warning(
            CHECK,
            "the process's sockets cannot be seen",
            "run the doctor as root",
        )];
    };
    if let Some((name, _)) = configured.iter().find(|(_, address)| address.port() == 0) {
        let seen = format!("{name} takes any free port, so that no other listener can be told from it");
        return vec![Finding::warning(CHECK, seen, "configure its port")];
    }
    let missing = configured
        .iter()
        .filter(|(_, address)| !listening.iter().any(|socket| socket.serves(*address)))
        .map(|(name, address)| {
            let seen = format!("nothing of the process listens on {address} ({name})");
            Finding::problem(CHECK, seen, "see the node's log, or start it with this configuration")
        });
    let strange = listening
        .iter()
        .filter(|socket| !configured.iter().any(|(_, address)| socket.serves(*address)))
        .map(|socket| {
            let seen = format!("it listens on {}, which is not configured", socket.address);
            Finding::problem(
                CHECK,
                seen,
                "find out what that is, and start the node with this configuration",
            )
        });
    let mut findings: Vec<Finding> = missing.chain(strange).collect();
    if findings.is_empty() {
        let seen = format!("on its {} configured addresses and nowhere else", configured.len());
        findings.push(Finding::ok(CHECK, seen));
    }
    findings
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    // As Linux 6.1 writes them on a machine of little-endian words.
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n   \
        1: 0100007F:1F91 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 4343 1 0 100 0 0 10 0\n";
    const TCP6: &str = "  sl  local_address                         remote_address                        st\n   \
        0: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 \
        00:00000000 00000000     0        0 77 1 0 100 0 0 10 0\n";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_tables_of_the_system_are_read() {
        let expected = Listening {
            address: address("127.0.0.1:8080"),
            inode: 4242,
        };
        assert_eq!(parse(TCP), [expected], "an open connection is no listener");
        assert_eq!(parse(TCP6)[0].address, address("[::1]:443"));
    }

    #[test]
    fn a_listener_that_is_missing_or_strange_is_a_problem() {
        let configured = [("client", address("127.0.0.1:1")), ("health", address("0.0.0.0:2"))];
        let at = |text: &str| Listening {
            address: address(text),
            inode: 1,
        };
        let right = [at("127.0.0.1:1"), at("0.0.0.0:2")];
        let levels = |listening: &[Listening]| -> Vec<Level> {
            judge(&configured, Some(listening))
                .iter()
                .map(|finding| finding.level)
                .collect()
        };
        assert_eq!(levels(&right), [Level::Ok]);
        assert_eq!(levels(&right[..1]), [Level::Problem]);
        assert_eq!(levels(&[right[0], right[1], at("0.0.0.0:3")]), [Level::Problem]);
        assert_eq!(
            levels(&[at("0.0.0.0:1"), right[1]]),
            [Level::Problem; 2],
            "wider than configured"
        );
        assert_eq!(judge(&configured, None)[0].level, Level::Warning);
        assert_eq!(
            judge(&[("client", address("127.0.0.1:0"))], Some(&right))[0].level,
            Level::Warning
        );
    }
}
