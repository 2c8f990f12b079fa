//! What a misspelt name may have meant.

/// How alike names must be (Jaro-Winkler, 0 to 1): one or two letters of a word.
const ALIKE: f64 = 0.8;

/// `: did you mean …?` with the known name that is most like `name`, or nothing.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let scored = known.into_iter().map(|k| (strsim::jaro_winkler(name, k), k));
    let best = scored.filter(|s| s.0 >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(_, k)| format!(": did you mean `{k}`?"))
}

/// serde's message on an unknown field or value, with what it may have meant.
pub fn explained(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let about = ["unknown field", "unknown variant"].into_iter().any(|m| message.starts_with(m));
    match (names.next(), message.split_once(", ")) {
        (Some(name), Some((start, rest))) if about => match suggestion(name, names).as_str() {
            "" => message.to_string(),
            found => format!("{start}{found} {rest}"),
        },
        _ => message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let message = "unknown field `target_ebop`, expected one of `epochs`, `target_ebops` at line 1 column 14";
        let explanation = "unknown field `target_ebop`: did you mean `target_ebops`? expected one of `epochs`, `target_ebops` at line 1 column 14";
        assert_eq!(explained(message), explanation);
        let message = "unknown field `colour`, expected one of `epochs`, `target_ebops` at line 1";
        assert_eq!(explained(message), message);
        assert_eq!(explained("expected value at line 1"), "expected value at line 1");
    }
}
