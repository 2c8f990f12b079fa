//! Who calls: bearer tokens, of which only hashes are known.
//!
//! A token has 256 random bits, so its plain SHA-256 can be kept: there is nothing to guess. The
//! file of tokens has a line for each, `NAME sha256:HEX`; lines that begin with `#` are comments.
//! The name is the *owner* of what is sent and made with it.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Owner of everything where no tokens are asked for.
pub const ANYBODY: &str = "";
/// How every token begins, so that scanners for leaked secrets can know it.
const PREFIX: &str = "hgq_";
const SCHEME: &str = "sha256:";
/// Longest name of a token.
const MAX_NAME: usize = 64;

/// The known tokens; none means that none is asked for.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<(String, [u8; 32])>);

impl Tokens {
    /// Reads the file of tokens.
    ///
    /// # Errors
    /// Every line that is wrong, by its number.
    pub fn parse(text: &str) -> Result<Tokens, Vec<String>> {
        let (mut tokens, mut faults) = (Vec::<(String, [u8; 32])>::new(), Vec::new());
        for (number, line) in text.lines().map(str::trim).enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
            let mut fault = |what: &str| faults.push(format!("line {}: {what}", number + 1));
            let Some((name, hash)) = line.split_once(char::is_whitespace) else {
                fault("expected `NAME sha256:HEX`");
                continue;
            };
            match hash.trim().strip_prefix(SCHEME).and_then(unhex) {
                _ if !is_name(name) => fault("a name has up to 64 letters, digits, `-`, `_` and `.`"),
                _ if tokens.iter().any(|(n, _)| n == name) => fault("the name is given twice"),
                Some(hash) => tokens.push((name.to_string(), hash)),
                None => fault("the hash is not `sha256:` and 64 hexadecimal digits"),
            }
        }
        if tokens.is_empty() && faults.is_empty() {
            faults.push("there is no token in it; `hgq-onnx token NAME` makes one".into());
        }
        if faults.is_empty() { Ok(Tokens(tokens)) } else { Err(faults) }
    }

    pub fn are_needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// The name of a token. Takes as long for a wrong token as for a right one.
    pub fn owner(&self, token: &str) -> Option<&str> {
        let hash = hash(token);
        let mut found = None;
        for (name, known) in &self.0 {
            if bool::from(known.ct_eq(&hash)) {
                found = Some(name.as_str());
            }
        }
        found
    }
}

/// A new token, and its line in the file of tokens.
///
/// # Errors
/// A name that is none, or no random numbers from the operating system.
pub fn new_token(name: &str) -> Result<(String, String), String> {
    if !is_name(name) {
        return Err("a name has up to 64 letters, digits, `-`, `_` and `.`".into());
    }
    let mut bits = [0u8; 32];
    getrandom::fill(&mut bits).map_err(|e| format!("no random numbers: {e}"))?;
    let token = format!("{PREFIX}{}", hex(&bits));
    let line = format!("{name} {SCHEME}{}", hex(&hash(&token)));
    Ok((token, line))
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0u8; 32];
    let valid = text.len() == 64 && text.is_ascii();
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok())?;
    }
    valid.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_line() {
        let (token, line) = new_token("ci.main").unwrap();
        let (other, _) = new_token("ci.main").unwrap();
        let tokens = Tokens::parse(&format!("# farm\n\n{line}\n")).unwrap();
        assert!(!line.contains(&token) && tokens.are_needed());
        assert_eq!((tokens.owner(&token), tokens.owner(&other), tokens.owner("")), (Some("ci.main"), None, None));
    }

    #[test]
    fn every_wrong_line_is_named() {
        let hash = "sha256:".to_string() + &"0f".repeat(32);
        let text = format!("a {hash}\nb\nc sha256:00\na {hash}\nd/e {hash}\n");
        let faults = Tokens::parse(&text).unwrap_err();
        let lines: Vec<&str> = faults.iter().map(|f| f.split(':').next().unwrap()).collect();
        assert_eq!(lines, ["line 2", "line 3", "line 4", "line 5"]);
        assert!(Tokens::parse("# none\n").unwrap_err()[0].contains("hgq-onnx token"));
        assert!(new_token("a b").is_err());
    }
}
