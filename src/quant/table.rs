//! hls4ml's table activations: sigmoid over ±8 and tanh over ±4, 1024 entries of 10 fractional bits, truncated toward −∞
//! (`nnet_activation.h`: `init_sigmoid_table`, `init_tanh_table` and the indexing of `sigmoid`, `tanh`).
//! The proxy, its executor and the exact evaluation share these two functions, so they cannot disagree.

use std::sync::OnceLock;

/// Entries of each table (hls4ml's `table_size`).
pub const ENTRIES: usize = 1024;

/// Fractional bits of each entry (hls4ml's `table_t` is `fixed<18,8>`).
pub const FRACTION: i32 = 10;

/// The finest input grid on which every representable input below saturation has an entry of its own.
pub const SIGMOID_INPUT_FRACTION: i32 = 6;

/// The same for tanh.
pub const TANH_INPUT_FRACTION: i32 = 7;

/// Sigmoid of `x·2^-frac`, in units of `2^-10`.
pub fn sigmoid(x: i64, frac: i32) -> i64 {
    static TABLE: OnceLock<Vec<i64>> = OnceLock::new();
    // an entry per 1/64: the index is x·1024/16, truncated toward zero
    let table = TABLE.get_or_init(|| build(16.0, |v| 1.0 / (1.0 + (-v).exp())));
    look_up(table, x, frac, SIGMOID_INPUT_FRACTION)
}

/// Tanh of `x·2^-frac`, in units of `2^-10`.
pub fn tanh(x: i64, frac: i32) -> i64 {
    static TABLE: OnceLock<Vec<i64>> = OnceLock::new();
    let table = TABLE.get_or_init(|| build(8.0, f64::tanh));
    look_up(table, x, frac, TANH_INPUT_FRACTION)
}

fn build(width: f64, function: impl Fn(f64) -> f64) -> Vec<i64> {
    (0..ENTRIES)
        .map(|e| {
            let x = width * (e as f64 - ENTRIES as f64 / 2.0) / ENTRIES as f64;
            (function(x) * f64::from(1 << FRACTION)).floor() as i64
        })
        .collect()
}

fn look_up(table: &[i64], x: i64, frac: i32, steps: i32) -> i64 {
    let half = ENTRIES as i64 / 2;
    let shift = frac - steps;
    let scaled = if shift >= 63 {
        0
    } else if shift > 0 {
        // C++ conversion of a fixed-point number to int: toward zero
        x / (1i64 << shift)
    } else {
        (i128::from(x) << (-shift).min(64)).clamp(-(half as i128) - 1, half as i128) as i64
    };
    let index = scaled.clamp(-half, half - 1) + half;
    table.get(index as usize).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_entries() {
        // sigmoid(0) = ½, sigmoid(1) = 0.731058…, tanh(½) = 0.462117…, tanh(−½) = −0.462117… floored
        assert_eq!((sigmoid(0, 0), sigmoid(1, 0), sigmoid(-1, 0)), (512, 748, 275));
        assert_eq!((tanh(0, 3), tanh(1, 1), tanh(-1, 1)), (0, 473, -474));
    }

    #[test]
    fn ends_are_clamped() {
        assert_eq!((sigmoid(8, 0), sigmoid(1 << 40, 0), sigmoid(i64::MAX, -3)), (1023, 1023, 1023));
        assert_eq!((sigmoid(-8, 0), sigmoid(i64::MIN, 5), sigmoid(i64::MIN, -9)), (0, 0, 0));
        assert_eq!((tanh(1 << 20, 0), tanh(-(1 << 20), 0)), (1023, -1024));
    }

    #[test]
    fn fine_inputs_truncate_toward_zero() {
        assert_eq!(sigmoid(-3, 8), sigmoid(0, 0));
        assert_eq!(sigmoid(-5, 8), sigmoid(-1, 6));
        assert_eq!(sigmoid(1, 80), 512);
    }

    #[test]
    fn no_entry_depends_on_the_precision_of_exp() {
        // hls4ml computes in f32: an entry nearer than 1e-4 units to the next integer could be rounded the other way
        for e in 0..ENTRIES {
            for (width, f) in [(16.0, &(|v: f64| 1.0 / (1.0 + (-v).exp())) as &dyn Fn(f64) -> f64), (8.0, &f64::tanh)] {
                let x = width * (e as f64 - 512.0) / 1024.0;
                let v = f(x) * 1024.0;
                assert!(x == 0.0 || (v - v.round()).abs() > 1e-4, "{x}: {v}");
            }
        }
    }
}
