#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn keys_are_written_and_read_again() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("k");
    let key = SigningKey::generate().unwrap();
    let written = key.write(&path).unwrap();
    assert_eq!(written.public, place.path().join("k.pub"));
    assert_eq!(SigningKey::read(&path).unwrap().public(), key.public());
    assert_eq!(PublicKey::read(&written.public).unwrap(), key.public());
    assert!(!is_exposed(&path));
    assert!(is_exposed(&written.public));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("-----BEGIN PRIVATE KEY-----\n") && text.lines().count() == 3,
        "{text}"
    );
    assert!(!format!("{key:?}").contains(&crossfade_model::hex::encode(&key.0.to_bytes())));
}

#[test]
fn no_file_is_overwritten_and_no_half_pair_is_left() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("k");
    std::fs::write(place.path().join("k.pub"), "mine").unwrap();
    let key = SigningKey::generate().unwrap();
    assert_eq!(key.write(&path).unwrap_err().code(), "certificate.key");
    assert!(!path.exists());
    std::fs::write(&path, "mine too").unwrap();
    std::fs::remove_file(place.path().join("k.pub")).unwrap();
    assert_eq!(key.write(&path).unwrap_err().code(), "certificate.key");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine too");
    assert!(!place.path().join("k.pub").exists());
}

#[test]
fn the_wrong_file_is_told_apart() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("k");
    let written = SigningKey::generate().unwrap().write(&path).unwrap();
    let error = PublicKey::read(&path).unwrap_err().to_string();
    assert!(error.contains("is a private key"), "{error}");
    let error = SigningKey::read(&written.public).unwrap_err().to_string();
    assert!(error.contains("is a public key"), "{error}");
    for (name, bytes) in [
        ("text", &b"no key"[..]),
        ("bytes", &[0xff; 9]),
        ("empty", b""),
    ] {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(
            SigningKey::read(&path).unwrap_err().code(),
            "certificate.key"
        );
        assert_eq!(
            PublicKey::read(&path).unwrap_err().code(),
            "certificate.key"
        );
    }
    let long = place.path().join("long");
    std::fs::write(&long, vec![b'a'; 1 << 20]).unwrap();
    assert!(
        SigningKey::read(&long)
            .unwrap_err()
            .to_string()
            .contains("longer")
    );
    assert_eq!(
        SigningKey::read(&place.path().join("none"))
            .unwrap_err()
            .exit_code(),
        3
    );
}

/// RFC 8410, section 10.3 and 10.1: the examples of a private key (both forms) and a public key.
#[test]
fn keys_of_other_tools_are_read() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let private = file(
        "private",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n",
    );
    let public = file(
        "public",
        "-----BEGIN PUBLIC KEY-----\r\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\r\n-----END PUBLIC KEY-----\r\n\n",
    );
    let key = SigningKey::read(&private).unwrap();
    assert_eq!(key.public(), PublicKey::read(&public).unwrap());
    assert_eq!(
        key.public().to_hex(),
        "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_key_or_an_error(body in "[A-Za-z0-9+/=\n]{0,120}", label in "(PRIVATE|PUBLIC) KEY") {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("k");
        std::fs::write(&path, format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")).unwrap();
        let _ = (SigningKey::read(&path), PublicKey::read(&path));
    }
}
