//! Certificates and settings of the server that lets clients in by TLS only.
//!
//! The folder for clients holds `ca.crt`; `client.crt` and `client.key` (signed by it, for the user
//! `certified`); `other-ca.crt`, which signed nothing of the server's; and `other-client.crt` and
//! `other-client.key`, which that one signed.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;

use super::server::{Server, make_folder};
use crate::failure::{Context, Result};
use crate::process::capture;

/// The user who needs a client certificate beside the password.
pub const CERTIFIED_USER: &str = "certified";

/// `certified` gets the superuser's password, as the verifier that the server already stores.
pub(super) const MAKE_USERS: &str = "
do $$
declare verifier text := (select rolpassword from pg_authid where rolname = 'postgres');
begin
    execute format('create role certified superuser login password %L', verifier);
end $$";

const ACCESS_RULES: &str = "\
# TYPE     DATABASE     USER       ADDRESS       METHOD
hostnossl  all          all        all           reject
hostnossl  replication  all        all           reject
hostssl    all          certified  127.0.0.1/32  scram-sha-256 clientcert=verify-full
hostssl    replication  certified  127.0.0.1/32  scram-sha-256 clientcert=verify-full
hostssl    all          all        127.0.0.1/32  scram-sha-256
hostssl    replication  all        127.0.0.1/32  scram-sha-256
";

/// 128 bits of randomness in hexadecimal digits.
pub(super) fn new_password() -> Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context(|| "no randomness")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes both authorities and all certificates in `folder`.
pub(super) fn make_certificates(folder: &Path) -> Result<()> {
    make_folder(folder, 0o755)?;
    make_authority(folder, "ca", "crossfade test authority")?;
    make_authority(folder, "other-ca", "another test authority")?;
    sign(
        folder,
        "ca",
        "server",
        "localhost",
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth",
    )?;
    sign(
        folder,
        "ca",
        "client",
        CERTIFIED_USER,
        "extendedKeyUsage=clientAuth",
    )?;
    sign(
        folder,
        "other-ca",
        "other-client",
        CERTIFIED_USER,
        "extendedKeyUsage=clientAuth",
    )
}

/// Gives the server its certificate and access rules; returns the settings for them.
pub(super) fn configure(server: &Server) -> Result<String> {
    for file in ["ca.crt", "server.crt", "server.key"] {
        let from = server.tls_folder().join(file);
        let text =
            fs::read_to_string(&from).context(|| format!("cannot read {}", from.display()))?;
        server.write_private(&server.data().join(file), &text)?;
    }
    server.write_private(&server.data().join("pg_hba.conf"), ACCESS_RULES)?;
    Ok("ssl = on\nssl_ca_file = 'ca.crt'\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n".to_owned())
}

fn make_authority(folder: &Path, file: &str, name: &str) -> Result<()> {
    capture(
        openssl(folder)
            .args(["req", "-x509", "-nodes", "-days", "30", "-subj"])
            .arg(format!("/CN={name}"))
            .args([
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-keyout",
                &format!("{file}.key"),
                "-out",
                &format!("{file}.crt"),
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
            ]),
    )
    .map(drop)
}

fn sign(folder: &Path, authority: &str, file: &str, name: &str, extensions: &str) -> Result<()> {
    capture(
        openssl(folder)
            .args(["req", "-nodes", "-subj"])
            .arg(format!("/CN={name}"))
            .args([
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-keyout",
                &format!("{file}.key"),
                "-out",
                &format!("{file}.request"),
            ]),
    )?;
    let wanted = format!("{file}.extensions");
    fs::write(
        folder.join(&wanted),
        format!("basicConstraints=critical,CA:FALSE\n{extensions}\n"),
    )
    .context(|| "cannot write a certificate's extensions")?;
    capture(
        openssl(folder)
            .args(["x509", "-req", "-days", "30", "-CAcreateserial"])
            .args([
                "-in",
                &format!("{file}.request"),
                "-CA",
                &format!("{authority}.crt"),
                "-CAkey",
                &format!("{authority}.key"),
                "-extfile",
                &wanted,
                "-out",
                &format!("{file}.crt"),
            ]),
    )
    .map(drop)
}

fn openssl(folder: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder);
    command
}
