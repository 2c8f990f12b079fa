//! Class labels as numbers, and what to do about those that are none.

use super::shape::{Ends, OutputShape};

/// Samples from which on two distinct whole numbers are no accident.
const ENOUGH: usize = 10;
/// Slack of a target beyond the bounds of a Sigmoid.
const ROUNDING: f32 = 1e-6;

/// Labels below `outputs`, or a fault with its cure.
pub fn labels(name: &str, integers: &[i64], outputs: usize, faults: &mut Vec<String>) -> Option<Vec<u32>> {
    let valid = |&label: &i64| u32::try_from(label).ok().filter(|&l| (l as usize) < outputs);
    let Some(index) = integers.iter().position(|label| valid(label).is_none()) else {
        return Some(integers.iter().filter_map(valid).collect());
    };
    let value = integers[index];
    let (least, most) = integers.iter().fold((i64::MAX, i64::MIN), |(a, b), &v| (a.min(v), b.max(v)));
    let cure = if least == 1 && most == outputs as i64 {
        format!(": the labels are 1 to {outputs}, classes count from 0: subtract 1 (`y - 1`)")
    } else if outputs == 2 && integers.iter().all(|l| l.abs() == 1) {
        ": the labels are -1 and 1: give 0 and 1 (`(y + 1) // 2`)".to_string()
    } else {
        let numbered = "number the classes from 0 on (`np.unique(y, return_inverse=True)[1]`)";
        format!("; the labels go from {least} to {most}: {numbered}, or use a model with an output for each")
    };
    faults.push(format!("array `{name}`: label {value} at index {index} is not in 0..{outputs} (the model's outputs){cure}"));
    None
}

/// Whole numbers for an output of one value that are neither 0 and 1 nor −1 and 1, but can only be
/// meant as classes.
pub fn no_two_classes(name: &str, values: &[f32], output: &OutputShape) -> Option<String> {
    let (least, most) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
    let two = values.len() >= ENOUGH && least < most && values.iter().all(|&v| v == least || v == most);
    let outside = least < -ROUNDING || most > 1.0 + ROUNDING;
    if !(two || output.ends == Ends::Sigmoid && outside) {
        return None;
    }
    let what =
        if two { format!("the whole numbers {least} and {most}") } else { format!("whole numbers from {least} to {most}") };
    let cure = match (two, least, most) {
        (true, 1.0, 2.0) => "for two classes give 0 and 1: subtract 1 (`y - 1`)".to_string(),
        (true, ..) => format!("for two classes give 0 and 1 (`(y == {most}).astype(int)`)"),
        (false, ..) => "two classes are 0 and 1; what a Sigmoid gives lies between them".to_string(),
    };
    let floats = if output.ends == Ends::Sigmoid { "" } else { "; for values to be met give floats (`y.astype(np.float32)`)" };
    Some(format!("array `{name}` has {what} for an output of one value: {cure}{floats}"))
}

/// Adds what to do about an array that is not numbers.
pub fn add_cure(fault: &mut String) {
    if fault.contains("is text") || fault.contains("not a plain number") {
        *fault += "; targets are numbers: number the classes from 0 on (`np.unique(y, return_inverse=True)[1]`)";
    }
}
