//! `parcours pki`: a development authority and the certificates it issues. A thin face of `parcours_identity::pki`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use parcours_identity::pki::{Description, InitOptions, KeyKind, Pki, PkiError, Request};
use parcours_identity::{Principal, PrincipalError};

use crate::exit::Failure;
use crate::output::{plain, say};

/// Make a development authority, issue and revoke certificates
#[derive(Debug, Args)]
pub struct PkiArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an authority in a new folder
    Init {
        /// The authority's folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The trust domain its names belong to, as in spiffe://TRUST-DOMAIN/user/alice
        #[arg(long, value_name = "NAME")]
        trust_domain: String,
        /// Kind of the authority's key
        #[arg(long, value_enum, default_value_t = Kind::P256)]
        key: Kind,
        /// Days the authority lives
        #[arg(long, default_value_t = 3650)]
        days: u32,
    },
    /// Issue a certificate and its private key (mode 0600)
    Issue(IssueArgs),
    /// Revoke a certificate; listeners that watch the list refuse it from the next handshake on
    Revoke {
        /// The authority's folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Certificate file, or serial number in hexadecimal
        certificate: String,
    },
    /// Show what a certificate says
    Show {
        /// The authority's folder
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Certificate file (PEM)
        certificate: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("use").required(true))]
struct IssueArgs {
    /// The authority's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Whose certificate: user/NAME, scheduler, executor/ID, keyd, or the whole spiffe:// name
    principal: String,
    /// For listening; users have none
    #[arg(long, group = "use")]
    server: bool,
    /// For dialling
    #[arg(long, group = "use")]
    client: bool,
    /// For signing grants; the scheduler's alone
    #[arg(long, group = "use")]
    signing: bool,
    /// Host name or address it is dialled under; may be repeated
    #[arg(long = "host", value_name = "HOST", requires = "server")]
    hosts: Vec<String>,
    /// Days it is good
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// Kind of its key
    #[arg(long, value_enum, default_value_t = Kind::P256)]
    key: Kind,
    /// Files to write, without suffix [default: in the folder, by principal and use]
    #[arg(long, value_name = "STEM")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// ECDSA on P-256, which every client understands
    P256,
    /// Ed25519
    Ed25519,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::P256 => KeyKind::P256,
            Kind::Ed25519 => KeyKind::Ed25519,
        }
    }
}

/// Runs the command.
pub fn run(args: PkiArgs) -> Result<(), Failure> {
    match args.action {
        Action::Init {
            dir,
            trust_domain,
            key,
            days,
        } => {
            let made = Pki::init(&dir, &trust_domain, InitOptions { key: key.into(), days }).map_err(failure)?;
            say(format!(
                "made {} for {}",
                made.dir().join("ca.pem").display(),
                made.trust_domain()
            ))?;
        }
        Action::Issue(args) => issue(args)?,
        Action::Revoke { dir, certificate } => {
            let revoked = Pki::open(&dir)
                .map_err(failure)?
                .revoke(&certificate)
                .map_err(failure)?;
            say(format!("revoked {} in {}", revoked.serial, revoked.list.display()))?;
        }
        Action::Show { dir, certificate } => {
            let described = Pki::open(&dir).map_err(failure)?.show(&certificate).map_err(failure)?;
            say(sheet(&described).trim_end())?;
        }
    }
    Ok(())
}

fn issue(args: IssueArgs) -> Result<(), Failure> {
    let pki = Pki::open(&args.dir).map_err(failure)?;
    let principal = principal(&args.principal, pki.trust_domain())?;
    let out = args.out.unwrap_or_else(|| {
        let usage = match (args.server, args.client) {
            (true, _) => "server",
            (_, true) => "client",
            _ => "signing",
        };
        format!(
            "{}-{usage}",
            args.principal.trim_start_matches("spiffe://").replace('/', "-")
        )
        .into()
    });
    let mut request = match (args.server, args.client) {
        (true, _) => Request::server(principal, args.hosts, out),
        (_, true) => Request::client(principal, out),
        _ => Request::signing(principal, out),
    };
    (request.days, request.key) = (args.days, args.key.into());
    let issued = pki.issue(request).map_err(failure)?;
    say(format!(
        "issued {}\nkey    {}\nserial {}",
        issued.cert.display(),
        issued.key.display(),
        issued.serial
    ))?;
    Ok(())
}

fn principal(text: &str, trust_domain: &str) -> Result<Principal, Failure> {
    let whole = match text.starts_with("spiffe://") {
        true => text.to_owned(),
        false => format!("spiffe://{trust_domain}/{text}"),
    };
    whole
        .parse()
        .map_err(|error: PrincipalError| Failure::Usage(error.to_string()))
}

fn sheet(described: &Description) -> String {
    let state = match (described.revoked, described.issued_here) {
        (true, _) => "revoked",
        (false, true) => "in force, unless expired",
        (false, false) => "of another authority",
    };
    let rows = [
        ("file", described.path.display().to_string()),
        ("names", described.uris.join(", ")),
        ("hosts", described.hosts.join(", ")),
        ("usage", described.usages.join(", ")),
        ("key", described.key.clone()),
        ("from", described.not_before.clone()),
        ("until", described.not_after.clone()),
        ("serial", described.serial.clone()),
        ("subject", described.subject.clone()),
        ("issuer", described.issuer.clone()),
        ("state", state.to_owned()),
    ];
    rows.iter()
        .map(|(label, value)| format!("{label:8} {}\n", plain(value)))
        .collect()
}

fn failure(error: PkiError) -> Failure {
    match error {
        PkiError::TrustDomain(_)
        | PkiError::ForeignPrincipal { .. }
        | PkiError::UserServes { .. }
        | PkiError::OnlySchedulerSigns { .. }
        | PkiError::NoHost
        | PkiError::BadHost { .. }
        | PkiError::Validity => Failure::Usage(error.to_string()),
        error => Failure::Failed(error.into()),
    }
}
