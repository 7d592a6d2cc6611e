//! The token by which readers are let in.

use std::{fmt, fs, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result};

use crate::{hint::WithHint, usage};

/// A secret text. It is never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// The fewest characters of a token.
    const LEAST: usize = 16;

    /// Reads the token of a file. If there is no such file, makes one with a random token that its owner alone can
    /// read.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or made, or its text cannot be a token.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let shown = path.display();
        if !path.exists() {
            make(path)
                .with_context(|| format!("cannot write a token to `{shown}`"))
                .with_hint(|| "name a file in a folder that exists and can be written to with --listen-token")
                .with_code_of_place()?;
            tracing::info!("`{shown}` has a new token, by which readers of --listen are let in");
        }
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the token in `{shown}`"))
            .with_hint(|| "check the permissions of the file, or name another one with --listen-token")
            .with_code_of_place()?;
        let text = text.trim();
        let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._~".contains(letter));
        if text.len() < Self::LEAST || !is_plain {
            return Err(usage!(
                "the token in `{shown}` has fewer than {} characters, or others than letters, digits and -._~", Self::LEAST;
                "remove the file to get a new random token, or write a longer one into it"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns whether a text is the token, in a time that does not depend on where they differ.
    pub(super) fn is(&self, text: &str) -> bool {
        let (own, other) = (self.0.as_bytes(), text.as_bytes());
        let differences = own.iter().enumerate().map(|(at, byte)| byte ^ other.get(at).unwrap_or(&!byte));
        differences.fold(0, |all, difference| all | difference) == 0 && own.len() == other.len()
    }

    #[cfg(test)]
    pub(super) fn made_up(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Writes a random token of 32 hexadecimal digits to a new file.
fn make(path: &Path) -> std::io::Result<()> {
    let mut random = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let text = format!("{:032x}\n", u128::from_le_bytes(random));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{exit::Code, hint};

    #[test]
    fn a_missing_file_gets_a_token_that_the_owner_alone_can_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("token");
        let token = Token::of(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            (text.trim().len(), fs::metadata(&path).unwrap().permissions().mode() & 0o777),
            (32, 0o600)
        );
        assert!(token.is(text.trim()) && Token::of(&path).unwrap().is(text.trim()));
        assert!(
            !token.is("")
                && !token.is(&text)
                && !token.is(&text[..31])
                && !token.is(&text.trim().replace('0', "1"))
                || !text.contains('0')
        );
        assert_eq!(format!("{token:?}"), "Token(…)");
        for short in ["", "short", "with a space and more than sixteen characters"] {
            fs::write(&path, short).unwrap();
            let error = hint::render(&Token::of(&path).unwrap_err());
            assert!(error.contains("hint: remove the file"), "{error}");
        }
        for wrong in [place.path().join("none/token"), place.path().to_owned()] {
            let error = Token::of(&wrong).unwrap_err();
            assert_eq!(hint::code(&error), Code::Usage, "{}", hint::render(&error));
        }
    }
}
