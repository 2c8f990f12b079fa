//! Arrays of data files that nobody reads: a label array of another name is a job for another task
//! than the user thinks of.

use super::data::Data;
use crate::convert::config::Mode;
use crate::convert::job::Job;
use crate::diagnostic::{Code, Diagnostic};

/// Names under which targets are found elsewhere.
const TARGETS: [&str; 14] = [
    "label", "labels", "target", "targets", "class", "classes", "y_true", "truth", "output", "outputs", "t", "z", "answer",
    "answers",
];
/// Names that are listed.
const MAX_LISTED: usize = 5;

/// A warning for each file with such arrays.
pub fn unread(job: &Job, data: &Data) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut warn = |message: String| warnings.push(Diagnostic::new(Code::ArrayUnread, message));
    let trains_on_calibration = job.train.is_none() && job.config.mode == Mode::FineTune && job.config.epochs > 0;
    // labels in a calibration file are usual, and needed only where it is all there is
    let (labels, others): (Vec<&String>, Vec<&String>) = data.calibration.unread.iter().partition(|name| is_y(name));
    if let (Some(name), true) = (labels.first(), trains_on_calibration) {
        warn(format!(
            "calibration (`{}`): `{name}` is not read, the model sent is the teacher: give the file with --train (part `train`) as well to train with its targets",
            job.calibration.name
        ));
    }
    let others: Vec<&String> = others.into_iter().filter(|name| job.train.is_none() || !is_target(name)).collect();
    if !others.is_empty() {
        warn(message("calibration", &job.calibration.name, &others, true));
    }
    for (what, file, set) in [("train", &job.train, &data.train), ("validation", &job.validation, &data.validation)] {
        let Some(file) = file else { continue };
        let names: Vec<&String> = set.unread.iter().collect();
        if !names.is_empty() {
            warn(message(what, &file.name, &names, set.targets.is_some()));
        }
    }
    warnings
}

fn is_y(name: &str) -> bool {
    matches!(name, "y" | "y_train")
}

fn is_target(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with("y_") || name == "y" || TARGETS.contains(&name.as_str())
}

/// `complete`: the file's targets are known, or none are read from it.
fn message(what: &str, file: &str, names: &[&String], complete: bool) -> String {
    let shown: Vec<String> = names.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
    let rest = if names.len() > MAX_LISTED { format!(" and {} more", names.len() - MAX_LISTED) } else { String::new() };
    let are = if names.len() == 1 { "is" } else { "are" };
    let said = format!("{what} (`{file}`): {}{rest} {are} not read", shown.join(", "));
    if complete {
        return said;
    }
    let meant = names.iter().find(|name| is_target(name)).or_else(|| names.first().filter(|_| names.len() == 1));
    let cure = meant.map_or_else(String::new, |name| format!(": did you mean `{name}` to be `y`? Rename it"));
    format!("{said}, and there is no `y`: the model sent is the teacher{cure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_targets_is_said() {
        let names: Vec<String> = ["weights", "Labels"].map(String::from).to_vec();
        let names: Vec<&String> = names.iter().collect();
        let text = message("train", "t.npz", &names, false);
        assert!(text.contains("`weights`, `Labels` are not read") && text.contains("did you mean `Labels` to be `y`?"), "{text}");
        assert!(!message("train", "t.npz", &names, true).contains("did you mean"));
        let many: Vec<String> = (0..9).map(|n| format!("a{n}")).collect();
        let many: Vec<&String> = many.iter().collect();
        let text = message("validation", "v.npz", &many, true);
        assert!(text.contains("`a4` and 4 more are not read") && !text.contains("a5"), "{text}");
    }
}
