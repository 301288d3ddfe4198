//! The options that say which cluster to ask and as whom: a named profile, or address and files on the command line.

use std::path::PathBuf;

use clap::Args;
use parcours::{NamedProfile, Profile, Profiles};

use crate::exit::Failure;

/// Where to connect.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectArgs {
    /// Profile to use, by its name in the profiles file
    #[arg(long, short = 'p', env = "PARCOURS_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// Profiles file [default: $XDG_CONFIG_HOME/parcours/profiles.toml]
    #[arg(long, value_name = "FILE")]
    profiles: Option<PathBuf>,
    /// Address of the scheduler, grpc+tls://host:port; with it no profile is read
    #[arg(long, requires_all = ["ca", "cert", "key"], conflicts_with = "profiles")]
    uri: Option<String>,
    /// Authorities whose schedulers are trusted (PEM)
    #[arg(long, value_name = "FILE", requires = "uri")]
    ca: Option<PathBuf>,
    /// Your certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "uri")]
    cert: Option<PathBuf>,
    /// Private key of your certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "uri")]
    key: Option<PathBuf>,
    /// Trust domain of the scheduler [default: the one your certificate names]
    #[arg(long, value_name = "NAME", requires = "uri")]
    trust_domain: Option<String>,
    /// Revocation lists by which a revoked scheduler is refused (PEM)
    #[arg(long, value_name = "FILE", requires = "uri")]
    crl: Option<PathBuf>,
}

impl ConnectArgs {
    /// The profile these options come to.
    pub fn profile(&self) -> Result<NamedProfile, Failure> {
        match (&self.uri, &self.ca, &self.cert, &self.key) {
            (Some(uri), Some(ca), Some(cert), Some(key)) => {
                let trust_domain = match &self.trust_domain {
                    Some(stated) => stated.clone(),
                    None => Profile::trust_domain_of(cert)?,
                };
                let (uri, ca, cert, key) = (uri.clone(), ca.clone(), cert.clone(), key.clone());
                let profile = Profile {
                    uri,
                    ca,
                    cert,
                    key,
                    trust_domain,
                    crl: self.crl.clone(),
                };
                Ok(NamedProfile {
                    name: "command line".to_owned(),
                    profile,
                    history: false,
                })
            }
            _ => self.named(),
        }
    }

    fn named(&self) -> Result<NamedProfile, Failure> {
        let no_place = "no profiles file: set XDG_CONFIG_HOME or HOME, or use --profiles FILE or --uri";
        let path = self
            .profiles
            .clone()
            .or_else(Profiles::default_path)
            .ok_or_else(|| Failure::usage(no_place))?;
        if self.profiles.is_none() && !path.exists() {
            let message = format!(
                "no profiles file {}: write one, or use --uri, --ca, --cert and --key",
                path.display()
            );
            return Err(Failure::Usage(message));
        }
        Ok(Profiles::read(&path)?.get(self.profile.as_deref())?)
    }
}
