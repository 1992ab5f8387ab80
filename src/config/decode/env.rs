//! `${NAME}` and `${NAME:-default}` in values. `$${` stands for `${` itself.

/// Bytes of one value after expansion, so that a small file cannot ask for a huge one.
const MAX_EXPANDED: usize = 64 * 1024;

/// Answers for the value of a variable; `None` if it is not set.
pub(in crate::config) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a value cannot be expanded: message and hint.
pub(super) type Refusal = (String, String);

/// True if [`expand`] would change the text.
pub(super) fn has_reference(text: &str) -> bool {
    text.contains("${")
}

/// The text with every reference replaced. Values are not expanded a second time.
pub(super) fn expand(text: &str, env: Env<'_>) -> Result<String, Refusal> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start - 1]);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let (value, after) = reference(&rest[start + 2..], env)?;
        out.push_str(&value);
        rest = after;
        bounded(&out)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// `text` begins behind `${`. The value, and what follows the closing brace.
fn reference<'t>(text: &'t str, env: Env<'_>) -> Result<(String, &'t str), Refusal> {
    let (inside, after) = text.split_once('}').ok_or_else(unclosed)?;
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(bad_name(name));
    }
    // As in a shell, `:-` is for a variable that is unset or empty.
    let value = env(name).filter(|value| default.is_none() || !value.is_empty());
    match (value, default) {
        (Some(value), _) => Ok((value, after)),
        (None, Some(default)) => Ok((default.to_owned(), after)),
        (None, None) => Err(unset(name)),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn bounded(text: &str) -> Result<(), Refusal> {
    if text.len() <= MAX_EXPANDED {
        return Ok(());
    }
    Err(("the environment makes this value longer than 64 KiB".to_owned(), "shorten the variable".to_owned()))
}

fn unclosed() -> Refusal {
    ("`${` has no closing `}`".to_owned(), "write `$${` for the two characters themselves".to_owned())
}

fn bad_name(name: &str) -> Refusal {
    let message =
        format!("{} is not the name of an environment variable", super::super::excerpt::quoted(name));
    (message, "write `${NAME}` or `${NAME:-default}`, or `$${` for the two characters themselves".to_owned())
}

fn unset(name: &str) -> Refusal {
    (
        format!("the environment variable `{name}` is not set"),
        format!("set it, or write `${{{name}:-default}}`"),
    )
}
