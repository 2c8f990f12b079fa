//! f32 → integer on the grid of the input port, without float arithmetic: `AP_TRN` (floor) and
//! `AP_WRAP`, as hls4ml's port.

use crate::quant::Kif;

/// A mantissa of 24 bits shifted by this much stays within 63 bits.
const NARROW: i32 = 38;

/// `⌊v·2^f⌋`, wrapped into the port, and whether it was outside. `v` finite.
pub fn floor_to_port(v: f32, port: Kif) -> (i64, bool) {
    let bits = v.to_bits();
    let stored = ((bits >> 23) & 0xff) as i32;
    let magnitude = i64::from(bits & 0x7f_ffff) | if stored == 0 { 0 } else { 1 << 23 };
    let mantissa = if bits >> 31 == 1 { -magnitude } else { magnitude };
    // v = mantissa·2^exponent
    let exponent = stored.max(1) - 150;
    let shift = exponent + port.fractional;
    if shift <= NARROW {
        let floor = if shift >= 0 { mantissa << shift } else { mantissa >> (-shift).min(63) };
        if (port.min_int()..=port.max_int()).contains(&floor) {
            return (floor, false);
        }
    }
    let (mantissa, lo, hi) = (i128::from(mantissa), i128::from(port.min_int()), i128::from(port.max_int()));
    if shift >= 64 {
        // only zero bits are left inside a port of at most 63 bits
        return (0, mantissa != 0);
    }
    let floor = if shift >= 0 { mantissa << shift } else { mantissa >> (-shift).min(100) };
    let wrapped = (floor - lo).rem_euclid(hi - lo + 1) + lo;
    (wrapped as i64, wrapped != floor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::port::DEFAULT_PORT;

    #[test]
    fn agrees_with_f64_floor_and_wraps() {
        for v in [0.0f32, -0.0, 1.5, -1.5, 3.3, -3.3, 1e-6, -1e-6, 1e-40, -1e-40, 32767.99, -32768.0, f32::MIN_POSITIVE] {
            assert_eq!(floor_to_port(v, DEFAULT_PORT), ((f64::from(v) * 65536.0).floor() as i64, false), "{v}");
        }
        assert_eq!(floor_to_port(32768.0, DEFAULT_PORT), (-(1 << 31), true));
        assert_eq!(floor_to_port(-32769.5, DEFAULT_PORT), ((1 << 31) - 98304, true));
        assert_eq!(floor_to_port(1e30, DEFAULT_PORT), (0, true));
    }
}
