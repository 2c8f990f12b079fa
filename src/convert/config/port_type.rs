//! The type of an input as hls4ml and Vitis spell it: `fixed<16,6>`, `ufixed<8,0>`, with or without
//! `ap_`.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Widest type: what verification computes with exactly.
const MAX_WIDTH: i32 = 62;
/// Farthest that the binary point may be from the bits.
const MAX_SHIFT: i32 = 62;

/// `W` bits, `I` of them in front of the binary point, the sign among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortType {
    /// With a sign.
    pub signed: bool,
    /// Bits in all.
    pub width: i32,
    /// Bits in front of the binary point, the sign among them.
    pub integer: i32,
}

impl PortType {
    /// Smallest and largest value.
    pub fn range(self) -> (f64, f64) {
        let top = f64::from(self.integer - i32::from(self.signed)).exp2();
        (if self.signed { -top } else { 0.0 }, top - f64::from(-self.fractional()).exp2())
    }

    /// Bits after the binary point.
    pub fn fractional(self) -> i32 {
        self.width - self.integer
    }
}

impl PartialSchema for PortType {
    fn schema() -> RefOr<Schema> {
        let text = "`fixed<W,I>` or `ufixed<W,I>`, with or without `ap_`";
        ObjectBuilder::new().schema_type(Type::String).description(Some(text)).examples(["fixed<16,6>"]).into()
    }
}

impl ToSchema for PortType {}

impl fmt::Display for PortType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}fixed<{},{}>", if self.signed { "" } else { "u" }, self.width, self.integer)
    }
}

impl From<PortType> for String {
    fn from(t: PortType) -> String {
        t.to_string()
    }
}

impl TryFrom<String> for PortType {
    type Error = String;

    fn try_from(text: String) -> Result<PortType, String> {
        let fault = || {
            format!(
                "`{text}` is not a type of an input: `fixed<W,I>` or `ufixed<W,I>` with W bits (1 to {MAX_WIDTH}), I of them in front of the binary point"
            )
        };
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let name = plain.strip_prefix("ap_").unwrap_or(&plain);
        let (signed, rest) = match name.strip_prefix("ufixed<") {
            Some(rest) => (false, rest),
            None => (true, name.strip_prefix("fixed<").ok_or_else(fault)?),
        };
        let (width, integer) = rest.strip_suffix('>').and_then(|numbers| numbers.split_once(',')).ok_or_else(fault)?;
        let number = |text: &str| text.parse::<i32>().map_err(|_| fault());
        let (width, integer) = (number(width)?, number(integer)?);
        if !(1..=MAX_WIDTH).contains(&width) || integer.abs() > MAX_SHIFT {
            return Err(fault());
        }
        Ok(PortType { signed, width, integer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_hls4ml_spells_them() {
        let read = |text: &str| PortType::try_from(text.to_string());
        let fixed = read("fixed<16,6>").unwrap();
        assert_eq!((fixed.range(), fixed.fractional()), ((-32.0, 32.0 - 1.0 / 1024.0), 10));
        assert_eq!(read("ap_fixed< 16, 6 >"), Ok(fixed));
        let unsigned = read("ap_ufixed<8,0>").unwrap();
        assert_eq!((unsigned.range(), unsigned.to_string().as_str()), ((0.0, 255.0 / 256.0), "ufixed<8,0>"));
        assert_eq!(read("ufixed<4,6>").unwrap().range(), (0.0, 60.0));
        for wrong in
            ["int8", "fixed<16>", "fixed<16,6", "fixed<0,0>", "fixed<63,6>", "fixed<8,-70>", "fixed<a,b>", "fixed<16,6,RND>"]
        {
            assert!(read(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
