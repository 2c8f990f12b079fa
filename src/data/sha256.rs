//! SHA-256, the one digest of the program: what `sha256sum` prints.

use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;

/// In lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// Of all that `from` has.
///
/// # Errors
/// What reading gives.
pub fn sha256_of(mut from: impl Read) -> io::Result<String> {
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        match from.read(&mut block)? {
            0 => return Ok(hex(hash)),
            n => hash.update(&block[..n]),
        }
    }
}

/// What was hashed so far, in lower-case hexadecimal.
pub fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_sha256sum_prints() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
        assert_eq!(sha256_of(&b"abc"[..]).unwrap(), expected);
    }
}
