//! What the applications of a simulation prove themselves with, when it is no client secret.
//!
//! An operator who tries a certificate or a workload identity finds its files made, and registered
//! with the simulated Entra. Files that are there already are taken as they are.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use secrecy::ExposeSecret as _;

use super::simulate::SimulateError;
use crate::{
    app,
    microsoft::Credential,
    simulator::{SimulatedTenant, Simulator, certificates::Material},
};

/// The files that a configuration names and that are to be made.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Each with its key.
    certificates: Vec<(PathBuf, PathBuf)>,
    tokens: Vec<PathBuf>,
}

impl Wanted {
    pub(super) fn by(file: &toml::Table, folder: &Path) -> Self {
        let tenants = file.get("tenants").and_then(toml::Value::as_array);
        let mut wanted = Self::default();
        for tenant in tenants.into_iter().flatten() {
            let named = |section: &str, key: &str| {
                let value = tenant.get(section)?.get(key)?.as_str()?;
                Some(folder.join(value))
            };
            // Half a pair is the operator's, and no other half would fit it.
            if let (Some(cert), Some(key)) =
                (named("certificate", "cert"), named("certificate", "key"))
                && !cert.exists()
                && !key.exists()
            {
                wanted.certificates.push((cert, key));
            }
            // A token of ours is made anew at each start, because it lives for a day.
            wanted.tokens.extend(named("federated_token", "file").filter(|path| {
                fs::read_to_string(path).map_or(!path.exists(), |text| Material::is_token(&text))
            }));
        }
        wanted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.tokens.is_empty()
    }

    pub(super) fn place(&self, material: &Material) -> io::Result<()> {
        for (cert, key) in &self.certificates {
            let [made_cert, made_key] = material.application()?;
            for (made, path) in [(made_cert, cert), (made_key, key)] {
                // One that is named where it is made is there now.
                if !path.exists() {
                    fs::copy(made, path)?;
                }
            }
        }
        for path in &self.tokens {
            fs::write(path, material.token()?)?;
        }
        Ok(())
    }
}

/// The tenants of the configuration, with their secrets where they have some.
pub(super) fn tenants(config: &app::Config) -> Result<Vec<SimulatedTenant>, SimulateError> {
    let mut tenants = Vec::new();
    for tenant in config.tenants.iter() {
        let credential = config.microsoft.credentials.get(&tenant.id);
        tenants.push(SimulatedTenant {
            id: tenant.id,
            client_id: tenant.client_id,
            client_secret: match credential.and_then(Credential::secret) {
                Some(secret) => secret.current()?.expose_secret().to_owned(),
                None => String::new(),
            },
        });
    }
    Ok(tenants)
}

/// Registers what the tenants have instead of secrets.
pub(super) fn accept(config: &app::Config, simulator: &Simulator) -> Result<(), SimulateError> {
    let microsoft = simulator.microsoft();
    for (tenant, credential) in &config.microsoft.credentials {
        match credential {
            Credential::Certificate(certificate) => {
                microsoft.register_certificates(*tenant, &[certificate.path()])?;
            }
            Credential::Federated(token) => {
                let token = token.fresh()?.expose_secret().to_owned();
                if Material::is_token(&token) {
                    microsoft.federate(*tenant, simulator.material().federation()?);
                } else {
                    // Whose it is cannot be known here.
                    microsoft.trust_federated(*tenant, token);
                }
            }
            Credential::Secret(_) => {}
        }
    }
    Ok(())
}
