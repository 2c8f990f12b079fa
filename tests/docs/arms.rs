//! No match over operations has an arm for the rest, so that the compiler names every place that a
//! new operation needs.

use super::rooms::sources;

/// The enums of operations.
const OPERATIONS: [&str; 8] = ["Op", "QOp", "FixedOp", "Step", "Elementwise", "Table", "Merge", "Move"];

/// `text` with blanks for what is in comments and quotes; lines stay.
fn blanked(text: &str) -> Vec<char> {
    let mut c: Vec<char> = text.chars().collect();
    let at = |c: &[char], n: usize| c.get(n).copied().unwrap_or(' ');
    let mut n = 0;
    while n < c.len() {
        let word = n > 0 && (c[n - 1].is_alphanumeric() || c[n - 1] == '_');
        let hashes = if c[n] == 'r' && !word { c[n + 1..].iter().take_while(|&&h| h == '#').count() } else { 0 };
        let end = if c[n] == '/' && at(&c, n + 1) == '/' {
            (n..c.len()).find(|&e| c[e] == '\n').unwrap_or(c.len())
        } else if c[n] == 'r' && !word && at(&c, n + 1 + hashes) == '"' {
            let closes = |&e: &usize| c[e] == '"' && (1..=hashes).all(|h| at(&c, e + h) == '#');
            (n + hashes + 2..c.len()).find(closes).map_or(c.len(), |e| e + hashes + 1)
        } else if c[n] == '"' || (c[n] == '\'' && (at(&c, n + 1) == '\\' || at(&c, n + 2) == '\'')) {
            let (quote, mut e) = (c[n], n + 1);
            while e < c.len() && c[e] != quote {
                e += if c[e] == '\\' { 2 } else { 1 };
            }
            e + 1
        } else {
            n += 1;
            continue;
        };
        let end = end.min(c.len());
        c[n..end].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
        n = end;
    }
    c
}

/// Where `stop` holds for the first time from `from` on, outside all brackets that open after it;
/// there, or where one closes that did not.
fn outside(c: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    let mut depth = 0;
    for (n, bracket) in c.iter().enumerate().skip(from) {
        if depth == 0 && stop(n) {
            return n;
        }
        match bracket {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return n,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    c.len()
}

/// The parts of `text` between `separator`s that are in no brackets.
fn parts(text: &str, separator: char) -> Vec<String> {
    let c: Vec<char> = text.chars().collect();
    let (mut found, mut from) = (Vec::new(), 0);
    while from < c.len() {
        let end = outside(&c, from, |n| c[n] == separator);
        found.push(c[from..end].iter().collect::<String>().trim().to_string());
        from = end + 1;
    }
    found.retain(|p| !p.is_empty());
    found
}

/// Every `match`: its place, and the patterns of its arms, with their guards.
fn matches(c: &[char]) -> Vec<(usize, Vec<String>)> {
    let is = |n: usize, word: &str| word.chars().enumerate().all(|(k, w)| c.get(n + k) == Some(&w));
    let part = |n: usize| c.get(n).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let mut found = Vec::new();
    for start in (0..c.len()).filter(|&n| is(n, "match ") && (n == 0 || !part(n - 1))) {
        let open = outside(c, start + 6, |n| c[n] == '{');
        let (mut at, mut patterns) = (open + 1, Vec::new());
        loop {
            let arrow = outside(c, at, |n| is(n, "=>"));
            if !is(arrow, "=>") {
                break;
            }
            patterns.push(c[at..arrow].iter().collect::<String>().trim().to_string());
            let body = (arrow + 2..c.len()).find(|&n| !c[n].is_whitespace()).unwrap_or(c.len());
            at = if c.get(body) == Some(&'{') { outside(c, body + 1, |_| false) + 1 } else { outside(c, body, |n| c[n] == ',') };
            at += usize::from(c.get(at) == Some(&','));
        }
        found.push((start, patterns));
    }
    found
}

/// A pattern without its guard, and whether it has one.
fn unguarded(pattern: &str) -> (&str, bool) {
    let guard = pattern.find(" if ").or(pattern.find("\nif "));
    (&pattern[..guard.unwrap_or(pattern.len())], guard.is_some())
}

/// Whether a pattern is one of operations.
fn names_operation(pattern: &str) -> bool {
    let words: Vec<&str> = pattern.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).collect();
    words.iter().any(|w| w.rsplit("::").nth(1).is_some_and(|of| OPERATIONS.contains(&of)))
}

/// Whether a pattern, without a guard, takes everything.
fn takes_all(pattern: &str) -> bool {
    let pattern = pattern.trim_start_matches(['&', ' ']).trim_start_matches("ref ").trim_start_matches("mut ").trim();
    let inner = |open: &str| pattern.strip_prefix(open).and_then(|p| p.strip_suffix(')'));
    match inner("Some(").or(inner("(")) {
        Some(inner) => parts(inner, ',').iter().all(|p| takes_all(p)),
        None => {
            let first = pattern.chars().next().is_some_and(|c| c.is_lowercase() || c == '_' || c == '.');
            first && pattern.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.') && pattern != "true"
        }
    }
}

/// Lines of arms for the rest in matches over operations.
fn faults(text: &str) -> Vec<usize> {
    let c = blanked(text);
    let mut found = Vec::new();
    for (at, patterns) in matches(&c) {
        let patterns: Vec<(&str, bool)> = patterns.iter().map(|p| unguarded(p)).collect();
        // an arm with a guard leaves everything to the others
        let rest = |&(p, guarded): &(&str, bool)| !guarded && parts(p, '|').iter().any(|p| takes_all(p));
        if patterns.iter().any(rest) && patterns.iter().any(|p| names_operation(p.0)) {
            found.push(c[..at].iter().filter(|c| **c == '\n').count() + 1);
        }
    }
    found
}

#[test]
fn matches_over_operations_have_no_arm_for_the_rest() {
    let mut found = Vec::new();
    for (file, text) in sources() {
        found.extend(faults(&text).into_iter().map(|line| format!("src/{file}:{line}")));
    }
    assert!(found.is_empty(), "name the operations instead of the rest:\n{}", found.join("\n"));
}

#[test]
fn arms_for_the_rest_are_seen() {
    let with = |arms: &str| faults(&format!("fn f() {{\n    match &node.op {{ {arms} }}\n}}\n"));
    for arms in [
        "Op::Dense(d) => d, _ => 0",
        "Op::Dense(d) => { let c = '}'; \"_ => }\" } other => g(other, 1)",
        "Some(FixedOp::Merge(Merge::Add)) => 1, Some(_) | None => 0,",
        "(QOp::Move(m), Some(x)) => m.f(x, 1), (_, _) => 0",
        "(Step::Pool { .. }, _) => 1, // no\n (step, grad) => 0",
        "Elementwise::Relu if a => match b { Some(c) => c, None => 0 }, _ => 1",
    ] {
        assert_eq!(with(arms), [2], "{arms}");
    }
    for arms in [
        "Op::Dense(_) | Op::Affine(_) => 1, op if is(op) => 2, Op::Merge(_) => 0",
        "Some(x) if x == Op::Sign => matches!(x, Op::Dense(_)), _ => false",
        "(FixedOp::Dense(d), Program::Layer(l)) => 1, (FixedOp::Dense(_), _) => 0, (_, Program::Plain) => 2",
        "Op::Move(Move::Reshape) => match axes { 1 => 'a', _ => 'b' }, Op::Sign => r#\"_ => \"\"#.len()",
    ] {
        assert_eq!(with(arms), [0; 0], "{arms}");
    }
}
