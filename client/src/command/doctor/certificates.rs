//! A node's certificates: that the node could open them now, that they carry its name and one use, and for how long yet.
//! Also the clock by which all of that is judged.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use parcours_identity::{Accepts, ClientTls, Expects, ServerTls, Signer, TlsFiles};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use super::finding::Finding;
use super::node::{Certified, Kind, Node};

const CHECK: &str = "certificates";
const DAY: i64 = 86_400;
/// Fewer days left than this are worth a warning.
const SOON: i64 = 30;
/// How far the clock may be behind the youngest file.
const BEHIND: i64 = 300;

/// What a certificate file says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Certificate {
    /// Its URI names.
    names: Vec<String>,
    server: bool,
    client: bool,
    /// Seconds since 1970.
    not_before: i64,
    not_after: i64,
}

/// Looks at every certificate, the authorities, and the clock.
pub fn judge(node: &Node) -> Vec<Finding> {
    let now = seconds(SystemTime::now());
    let mut findings = Vec::new();
    for Certified { usage, files } in node.certificates.clone() {
        let path = files.cert.clone();
        match opens(node, usage, files) {
            Err(error) => findings.push(Finding::problem(
                CHECK,
                format!("{usage}: {error}"),
                "issue a certificate that the cluster's authority signs",
            )),
            Ok(()) => match read(&path) {
                Err(error) => findings.push(unreadable(&path, &error)),
                Ok(certificate) => findings.push(judge_certificate(usage, &certificate, &node.principal, now)),
            },
        }
    }
    findings.extend(node.ca().map(|ca| match read(ca) {
        Err(error) => unreadable(ca, &error),
        Ok(authority) => lifetime("authority", &authority, now),
    }));
    findings.push(judge_clock(now, youngest(node)));
    findings
}

fn unreadable(path: &Path, error: &str) -> Finding {
    Finding::problem(
        CHECK,
        format!("{}: {error}", path.display()),
        "put a certificate in PEM there",
    )
}

/// Whether the node itself would take the files now.
fn opens(node: &Node, usage: &str, files: TlsFiles) -> Result<(), String> {
    let trust_domain = &node.trust_domain;
    let accepts = match node.kind {
        Kind::Scheduler => Accepts::Users,
        Kind::Executor => Accepts::ExecutorsAndScheduler,
        Kind::KeyDaemon => Accepts::Executors,
    };
    let opened = match usage {
        "server" => ServerTls::open(files, trust_domain, accepts, "doctor").map(drop),
        "signing" => Signer::open(files, trust_domain).map(drop),
        _ => ClientTls::open(files, trust_domain, Expects::AnyExecutor).map(drop),
    };
    opened.map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Certificate, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let (_, block) = parse_x509_pem(&pem).map_err(|_| "not PEM".to_owned())?;
    let parsed = block.parse_x509().map_err(|_| "not a certificate".to_owned())?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let usages = parsed.extended_key_usage().ok().flatten().map(|usages| usages.value);
    Ok(Certificate {
        names: names
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            })
            .collect(),
        server: usages.is_some_and(|usages| usages.server_auth),
        client: usages.is_some_and(|usages| usages.client_auth),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
    })
}

fn judge_certificate(usage: &str, certificate: &Certificate, principal: &str, now: i64) -> Finding {
    let one_use = match usage {
        "server" => certificate.server && !certificate.client,
        "client" => certificate.client && !certificate.server,
        // That it signs was seen when it was opened.
        _ => !certificate.server && !certificate.client,
    };
    if !one_use {
        let seen = format!("{usage}: the certificate is not for this use alone");
        return Finding::problem(CHECK, seen, format!("issue one with --{usage}"));
    }
    if certificate.names != [principal] {
        let seen = format!("{usage}: it names {}, not {principal}", certificate.names.join(", "));
        return Finding::problem(CHECK, seen, "issue one for this node");
    }
    lifetime(usage, certificate, now)
}

fn lifetime(what: &str, certificate: &Certificate, now: i64) -> Finding {
    let left = (certificate.not_after - now).div_euclid(DAY);
    if now < certificate.not_before {
        Finding::problem(CHECK, format!("{what}: not valid yet"), "see the clock, or wait")
    } else if left < 0 {
        Finding::problem(
            CHECK,
            format!("{what}: expired"),
            "issue another; it is taken without a restart",
        )
    } else if left < SOON {
        Finding::warning(
            CHECK,
            format!("{what}: {left} days left"),
            "issue another; it is taken without a restart",
        )
    } else {
        Finding::ok(CHECK, format!("{what}: {left} days left"))
    }
}

/// When the youngest of the node's files was written.
fn youngest(node: &Node) -> i64 {
    let of_identity = node.certificates.iter().flat_map(|certified| {
        let files = &certified.files;
        [&files.ca, &files.cert].into_iter().chain(&files.crl)
    });
    let files = std::iter::once(&node.config).chain(of_identity);
    let times = files.filter_map(|path| std::fs::metadata(path).ok()?.modified().ok());
    times.map(seconds).max().unwrap_or(0)
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn judge_clock(now: i64, youngest: i64) -> Finding {
    const CHECK: &str = "clock";
    if youngest - now > BEHIND {
        let seen = format!(
            "it is {} minutes behind the youngest file of the node",
            (youngest - now) / 60
        );
        return Finding::problem(
            CHECK,
            seen,
            "set it, and keep it by a time service: certificates are judged by it",
        );
    }
    Finding::ok(CHECK, "not behind the node's files")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level::{Ok, Problem, Warning};
    use super::*;

    const NAME: &str = "spiffe://x.test/executor/e1";

    fn certificate() -> Certificate {
        Certificate {
            names: vec![NAME.to_owned()],
            server: true,
            client: false,
            not_before: 0,
            not_after: 90 * DAY,
        }
    }

    #[test]
    fn a_certificate_is_judged_by_its_use_name_and_time() {
        let level = |usage, certificate: &Certificate, now| judge_certificate(usage, certificate, NAME, now).level;
        let right = certificate();
        assert_eq!(level("server", &right, DAY), Ok);
        assert_eq!(
            (level("server", &right, 61 * DAY), level("server", &right, 91 * DAY)),
            (Warning, Problem)
        );
        assert_eq!(
            (level("server", &right, -1), level("client", &right, DAY)),
            (Problem, Problem)
        );
        let other = Certificate {
            names: vec!["spiffe://x.test/executor/e2".to_owned()],
            ..certificate()
        };
        let both = Certificate {
            client: true,
            ..certificate()
        };
        assert_eq!(
            (level("server", &other, DAY), level("server", &both, DAY)),
            (Problem, Problem)
        );
    }

    #[test]
    fn a_clock_behind_the_files_is_a_problem() {
        assert_eq!(
            (judge_clock(1000, 1200).level, judge_clock(1000, 1301).level),
            (Ok, Problem)
        );
    }
}
