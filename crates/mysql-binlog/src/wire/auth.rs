//! Proofs of a password (MySQL internals, "Authentication Method"; "caching_sha2_password information").

use crossfade_store::ErrorKind;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::rand_core::OsRng;
use rsa::{Oaep, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

pub(super) const NATIVE: &str = "mysql_native_password";
pub(super) const CACHING: &str = "caching_sha2_password";

/// The first proof for a plugin: never the password itself.
pub(super) fn proof(plugin: &str, password: &str, nonce: &[u8]) -> Result<Vec<u8>> {
    if password.is_empty() {
        return Ok(Vec::new());
    }
    match plugin {
        NATIVE => Ok(native(password, nonce)),
        CACHING => Ok(caching(password, nonce)),
        other => Err(Error::new(
            ErrorKind::Authentication,
            "mysql.authentication",
            format!("the server asks for the authentication plugin {other:?}, which is not known"),
        )
        .fix("Use a user with caching_sha2_password or mysql_native_password")),
    }
}

/// SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
fn native(password: &str, nonce: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(password);
    let twice = Sha1::digest(once);
    let mask = Sha1::new()
        .chain_update(nonce)
        .chain_update(twice)
        .finalize();
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
fn caching(password: &str, nonce: &[u8]) -> Vec<u8> {
    let once = Sha256::digest(password);
    let twice = Sha256::digest(once);
    let mask = Sha256::new()
        .chain_update(twice)
        .chain_update(nonce)
        .finalize();
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// The password for a connection that is not encrypted: with the server's key, hidden by the nonce.
pub(super) fn sealed(password: &str, nonce: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    let broken = || Error::protocol("the server's public key cannot be used");
    let key = std::str::from_utf8(key).map_err(|_| broken())?;
    let key = RsaPublicKey::from_public_key_pem(key.trim()).map_err(|_| broken())?;
    let hidden: Vec<u8> = password
        .bytes()
        .chain([0])
        .zip(nonce.iter().cycle())
        .map(|(a, b)| a ^ b)
        .collect();
    key.encrypt(&mut OsRng, Oaep::new::<Sha1>(), &hidden)
        .map_err(|_| broken())
}
