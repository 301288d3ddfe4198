//! One line of strace's output, as `-f -y -xx` writes it: what was called, on what, with which bytes. Every string comes as
//! hexadecimal escapes, so that quotes and line ends are only ever strace's own.

use anyhow::{Context, Result};

/// A system call, as it was entered.
#[derive(Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Its name.
    pub name: &'a str,
    arguments: &'a [u8],
}

impl<'a> Call<'a> {
    /// The call that a line shows; nothing for ends, signals, and the second halves of calls.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let rest = line.trim_ascii_start();
        let rest = rest[rest.iter().position(|byte| !byte.is_ascii_digit())?..].trim_ascii_start();
        let open = rest.iter().position(|byte| *byte == b'(')?;
        let name = std::str::from_utf8(&rest[..open]).ok()?;
        let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        named.then_some(Self {
            name,
            arguments: &rest[open + 1..],
        })
    }

    /// What the first argument, a descriptor, stands for: a path, or a kind such as `socket:[17]`.
    pub fn target(&self) -> Result<String> {
        let start = self.arguments.iter().position(|byte| *byte == b'<');
        let start = start.with_context(|| format!("{} is on a descriptor without a name", self.name))?;
        let end = self.arguments[start..].iter().position(|byte| *byte == b'>');
        let end = end.context("a name has no end")?;
        Ok(String::from_utf8_lossy(&unescaped(&self.arguments[start + 1..start + end])?).into_owned())
    }

    /// Every string among the arguments, whole.
    pub fn strings(&self) -> Result<Vec<Vec<u8>>> {
        let mut strings = Vec::new();
        let mut parts = self.arguments.split(|byte| *byte == b'"');
        parts.next();
        while let (Some(string), Some(after)) = (parts.next(), parts.next()) {
            anyhow::ensure!(!after.starts_with(b"..."), "a string of {} is cut short", self.name);
            strings.push(unescaped(string)?);
        }
        Ok(strings)
    }

    /// Whether bytes were handed over that strace shows as an address: it was not allowed to read them.
    pub fn is_opaque(&self) -> bool {
        let without_target = self.arguments.iter().position(|byte| *byte == b'>').unwrap_or(0);
        let rest = &self.arguments[without_target..];
        ["iov_base=0x", ">, 0x", "(deleted), 0x", ", ...]"]
            .iter()
            .any(|sign| contains(rest, sign.as_bytes()))
    }

    /// Whether this is a mapping of a file through which others see what is written.
    pub fn is_shared_file_mapping(&self) -> bool {
        let shared = contains(self.arguments, b"MAP_SHARED");
        shared && !contains(self.arguments, b"MAP_ANONYMOUS")
    }

    /// Whether a mapping can be written through from the start.
    pub fn is_writable_mapping(&self) -> bool {
        contains(self.arguments, b"PROT_WRITE")
    }

    /// Whether a file is opened to be written.
    pub fn opens_for_writing(&self) -> bool {
        self.name == "creat"
            || ["O_WRONLY", "O_RDWR"]
                .iter()
                .any(|flag| contains(self.arguments, flag.as_bytes()))
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// `\x41\x42` as bytes; what is not escaped stands for itself.
fn unescaped(text: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 + 1);
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' {
            bytes.push(text[at]);
            at += 1;
            continue;
        }
        match (text.get(at + 1), text.get(at + 2), text.get(at + 3)) {
            (Some(b'x'), Some(high), Some(low)) => bytes.push(digit(*high)? << 4 | digit(*low)?),
            _ => anyhow::bail!("an escape of strace's is not hexadecimal"),
        }
        at += 4;
    }
    Ok(bytes)
}

fn digit(byte: u8) -> Result<u8> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => anyhow::bail!("an escape of strace's is not hexadecimal"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn call(line: &str) -> Call<'_> {
        Call::read(line.as_bytes()).unwrap()
    }

    // The lines were printed by strace 6.1.
    #[test]
    fn calls_are_read_with_their_target_and_bytes() {
        let write = call("24739 write(3<\\x2f\\x74\\x6d\\x70>(deleted), \"\\x41\\x22\\x0a\", 3) = 3");
        assert_eq!((write.name, write.target().unwrap().as_str()), ("write", "/tmp"));
        assert_eq!(write.strings().unwrap(), [b"A\"\n"]);
        assert!(!write.is_opaque());
        let vector =
            call("7 writev(3<\\x2f>, [{iov_base=\"\\x61\", iov_len=1}, {iov_base=\"\\x64\\x65\", iov_len=2}], 2) = 3");
        assert_eq!(vector.strings().unwrap(), [b"a".to_vec(), b"de".to_vec()]);
        let open = call("1 openat(AT_FDCWD<\\x2f>, \"\\x2f\\x6f\", O_WRONLY|O_CREAT, 0666 <unfinished ...>");
        assert!(open.opens_for_writing());
        assert_eq!(open.strings().unwrap(), [b"/o"]);
    }

    #[test]
    fn what_is_not_seen_in_full_is_told() {
        assert!(call("1 write(3<\\x2f>, \"\\x41\"..., 900) = 900").strings().is_err());
        assert!(call("1 write(3<\\x2f>, 0x7f00, 900) = 900").is_opaque());
        assert!(call("1 writev(3<\\x2f>, [{iov_base=0x7f00, iov_len=1}], 1) = 1").is_opaque());
        assert!(call("1 write(3, \"\\x41\", 1) = 1").target().is_err());
    }

    #[test]
    fn mappings_and_other_lines() {
        let shared = call("1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 4<\\x2f>, 0) = 0x7f569d30f000");
        assert!(shared.is_shared_file_mapping() && shared.is_writable_mapping());
        let private = call("1 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 4<\\x2f>, 0) = 0x7f569d30f000");
        let anonymous = call("1 mmap(NULL, 4096, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x7f569d30f000");
        assert!(!private.is_shared_file_mapping() && !anonymous.is_shared_file_mapping());
        assert_eq!(Call::read(b"24806 +++ exited with 0 +++"), None);
        assert_eq!(Call::read(b"24739 <... openat resumed>)             = 4<\\x2f>"), None);
    }
}
