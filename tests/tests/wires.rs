//! What goes over the wire. In a whole demo run every connection is TLS 1.3 with a hybrid key exchange. The capture that
//! says so also tells TLS 1.3 from TLS 1.2 and from plain, shown by traffic of OpenSSL and curl.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use parcours_tests::wire::{Speech, X25519_MLKEM768};
use parcours_tests::{place, tool, wire};

use crate::faults::report;

const TRAFFIC: &str = r#"
set -e
cd "$0"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null
openssl s_server -accept 127.0.0.1:7001 -cert cert.pem -key key.pem -www -quiet >/dev/null 2>&1 & tls=$!
python3 -m http.server --bind 127.0.0.1 7002 >/dev/null 2>&1 & plain=$!
trap 'kill $tls $plain' EXIT
get() { curl --silent --output /dev/null --noproxy '*' --cacert cert.pem "$@"; }
for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/7001) 2>/dev/null && (: </dev/tcp/127.0.0.1/7002) 2>/dev/null && break; sleep 0.1; done
get --tlsv1.3 https://127.0.0.1:7001/
get --tlsv1.2 --tls-max 1.2 https://127.0.0.1:7001/
get http://127.0.0.1:7002/
echo done
"#;

#[test]
fn a_capture_tells_tls_versions_and_plain_apart() -> Result<()> {
    if !tool::have(&["openssl", "curl", "python3"], "apt-get install openssl curl python3")? {
        return Ok(());
    }
    let dir = tempfile::tempdir_in(place::scratch("wire")?)?;
    let arguments = ["-c".as_ref(), TRAFFIC.as_ref(), dir.path().as_os_str()];
    let Some(capture) = wire::capture(dir.path(), Path::new("/bin/bash"), &arguments)? else {
        return Ok(());
    };
    assert_eq!(
        String::from_utf8_lossy(&capture.output.stdout),
        "done\n",
        "{:?}",
        capture.output
    );
    let on = |port: u16| {
        capture
            .connections
            .iter()
            .filter(move |connection| connection.server.port() == port)
    };
    let tls: Vec<_> = on(7001).map(|connection| &connection.speech).collect();
    assert!(
        tls.iter()
            .any(|speech| matches!(speech, wire::Speech::Tls13 { group } if *group != 0)),
        "{tls:?}"
    );
    assert!(
        tls.iter()
            .any(|speech| **speech == wire::Speech::OlderTls { version: 0x0303 }),
        "{tls:?}"
    );
    assert!(
        !tls.iter().any(|speech| matches!(speech, wire::Speech::Plain { .. })),
        "{tls:?}"
    );
    assert!(on(7002).any(|connection| {
        matches!(&connection.speech, wire::Speech::Plain { first } if first.starts_with(b"GET / HTTP/1.1"))
    }));
    Ok(())
}

/// More than a client says, and says again, before it is answered.
const HELLO: u64 = 16 << 10;

/// What a health port may be asked in plain.
const PLAIN_PATHS: [&[u8]; 3] = [b"GET /livez ", b"GET /readyz ", b"GET /metrics "];

#[test]
fn every_connection_of_a_demo_is_tls_1_3_with_a_hybrid_key_exchange() -> Result<()> {
    let dir = tempfile::tempdir_in(place::scratch("wire")?)?;
    let demo = dir.path().join("demo");
    let arguments = ["demo", "--patients", "2000", "--executors", "2", "--dir"].map(OsStr::new);
    let arguments: Vec<&OsStr> = arguments.into_iter().chain([demo.as_os_str()]).collect();
    let Some(capture) = wire::capture(dir.path(), place::parcours()?, &arguments)? else {
        return Ok(());
    };
    ensure!(
        capture.output.status.success(),
        "{}",
        String::from_utf8_lossy(&capture.output.stderr)
    );
    let (mut listeners, mut cut, mut cut_bytes) = (BTreeSet::new(), 0, 0);
    for connection in &capture.connections {
        match &connection.speech {
            Speech::Tls13 { group: X25519_MLKEM768 } => {
                listeners.insert(connection.server);
            }
            // A dial that was given up, or a process that ended, before the server had answered: only a hello was said.
            Speech::Silent | Speech::NoAgreement => {
                cut += 1;
                cut_bytes += connection.bytes;
                ensure!(connection.bytes < HELLO, "more than a hello was said: {connection:?}");
            }
            Speech::Plain { first } if PLAIN_PATHS.iter().any(|path| first.starts_with(path)) => {}
            _ => bail!("not TLS 1.3 with a hybrid key exchange: {connection:?}"),
        }
    }
    let bytes: u64 = capture.connections.iter().map(|connection| connection.bytes).sum();
    ensure!(
        listeners.len() >= 5,
        "client, internal, key and two partition listeners were expected: {listeners:?}"
    );
    // On a machine with much else to do, some dials are given up and begun again.
    let all = capture.connections.len();
    ensure!(
        2 * cut <= all,
        "{cut} of {all} connections were cut before they were agreed"
    );
    ensure!(
        100 * cut_bytes < bytes,
        "{cut_bytes} of {bytes} bytes went over connections of which nothing can be told"
    );
    report(&format!(
        "demo captured: {} connections to {} TLS 1.3 listeners, {bytes} bytes, nothing else but health checks",
        capture.connections.len(),
        listeners.len()
    ));
    Ok(())
}
