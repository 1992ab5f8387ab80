//! A file's bytes to a config, or to everything that is wrong with them. No bytes make it panic.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::decode::{self, Env, Surroundings};
use super::excerpt;
use super::model::Config;
use super::problem::Problems;
use super::yaml::{self, Position};
use super::{node, syntax};

/// Bytes of a config file; a larger one is refused unread. About 150,000 routes.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Flow brackets open at one place. The parser's time grows with their square, so they are counted first.
const MAX_OPEN_BRACKETS: usize = 1000;

/// A config that may be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the file means.
    pub config: Config,
    /// What somebody should look at; every one is a [`super::Severity::Warning`].
    pub warnings: Problems,
    /// The text it was read from, to see whether a changed file changed at all.
    pub source: String,
}

/// Reads the file and resolves `${NAME}` from the environment of this process. The certificates and keys that it names are
/// read too, so that what is wrong with them is said where they are named.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let shown = path.display().to_string();
    let bytes = read(path).map_err(|error| unreadable(&shown, path, &error))?;
    let text = text_of(&shown, bytes)?;
    let env = |name: &str| std::env::var(name).ok();
    let directory = path.parent().unwrap_or(Path::new(""));
    parse_in(&shown, &text, Surroundings { env: &env, directory, reads_files: true })
}

/// Makes a config of `text`, and opens no file. `path_shown` is repeated in problems, and relative paths begin at its
/// directory; `env` answers for `${NAME}`.
pub fn parse(path_shown: &str, text: &str, env: Env<'_>) -> Result<Loaded, Problems> {
    let directory = Path::new(path_shown).parent().unwrap_or(Path::new(""));
    parse_in(path_shown, text, Surroundings { env, directory, reads_files: false })
}

fn parse_in(path_shown: &str, text: &str, surroundings: Surroundings<'_>) -> Result<Loaded, Problems> {
    let source = text;
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    check_text(path_shown, text)?;
    let root = yaml::parse(text).map_err(|error| syntax::explain(path_shown, text, error))?;
    if matches!(root.data, node::Data::Null) {
        return Err(empty(path_shown));
    }
    let (config, findings) = decode::decode(&root, surroundings);
    let problems = Problems::locate(path_shown, text, findings);
    match config {
        Some(config) => Ok(Loaded { config, warnings: problems, source: source.to_owned() }),
        None => Err(problems),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(shown: &str, path: &Path, error: &io::Error) -> Problems {
    let (message, hint) = match error.kind() {
        io::ErrorKind::NotFound => ("there is no such file".to_owned(), Some("give the path with --config")),
        io::ErrorKind::PermissionDenied => (
            "this process may not read the file".to_owned(),
            Some("look at its owner and mode, and those of its directories"),
        ),
        _ if path.is_dir() => {
            ("this is a directory".to_owned(), Some("name the file in it, such as tillgate.yaml"))
        }
        _ => (format!("cannot be read: {error}"), None),
    };
    Problems::whole_file(shown, message, hint.map(str::to_owned))
}

fn text_of(shown: &str, bytes: Vec<u8>) -> Result<String, Problems> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = "the file is larger than 16 MiB, which no config is";
        return Err(Problems::whole_file(shown, message.to_owned(), None));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        not_text(shown, offset, error.as_bytes())
    })
}

fn not_text(shown: &str, offset: usize, bytes: &[u8]) -> Problems {
    if bytes.contains(&0) {
        let message = "this is a binary file (or UTF-16), not a config".to_owned();
        return Problems::whole_file(shown, message, Some("save it as UTF-8 text".to_owned()));
    }
    let message = format!("the byte at offset {offset} is not UTF-8");
    Problems::whole_file(shown, message, Some("save the file in the encoding UTF-8".to_owned()))
}

/// What the parser would refuse with less to say, or take too long for.
fn check_text(path: &str, text: &str) -> Result<(), Problems> {
    if text.len() as u64 > MAX_FILE_BYTES {
        let message = "the text is larger than 16 MiB, which no config is";
        return Err(Problems::whole_file(path, message.to_owned(), None));
    }
    if let Some(offset) = text.find(is_forbidden) {
        return Err(forbidden(path, text, offset));
    }
    match too_many_brackets(text) {
        Some(offset) => {
            let message = "more than 1,000 brackets are open here".to_owned();
            Err(Problems::at(path, text, Some(position(text, offset)), message, None))
        }
        None => Ok(()),
    }
}

/// YAML 1.2 section 5.1: what is not a printable character.
fn is_forbidden(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    }
}

fn forbidden(path: &str, text: &str, offset: usize) -> Problems {
    let c = text[offset..].chars().next().unwrap_or_default();
    let (message, hint) = match c {
        '\0' => (
            "there is a NUL byte here, as in a binary or half-written file".to_owned(),
            "write the file again",
        ),
        _ => (
            format!("the control character {} is not allowed", c.escape_unicode()),
            "remove it, or write it as an escape in double quotes",
        ),
    };
    Problems::at(path, text, Some(position(text, offset)), message, Some(hint.to_owned()))
}

/// Counts brackets in comments and quotes too, which only errs for files no one has.
fn too_many_brackets(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_OPEN_BRACKETS
    })
}

fn position(text: &str, offset: usize) -> Position {
    let before = excerpt::lines(&text[..offset]);
    let column = before.last().map_or(0, |line| line.chars().count()) + 1;
    Position { line: before.len(), column }
}

fn empty(path: &str) -> Problems {
    Problems::whole_file(
        path,
        "the config is empty".to_owned(),
        Some(format!("the smallest one is\n{MINIMAL}")),
    )
}

/// The least that serves traffic, for the hint to an empty file.
pub(super) const MINIMAL: &str = r#"listeners:
  web: { address: "127.0.0.1:8080" }
upstreams:
  shop: { endpoints: ["127.0.0.1:7001"] }
routes:
  - { match: { path_prefix: / }, upstream: shop }
"#;
