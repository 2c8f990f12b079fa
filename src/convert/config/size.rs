//! What the size of a model is counted in, and the size that is wanted.

use crate::train::pareto::Count;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What sizes are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountName {
    /// HGQ v1's effective bit operations.
    Ebops,
    /// LUTs of an FPGA, estimated (docs/hardware.md).
    Luts,
}

impl From<Count> for CountName {
    fn from(count: Count) -> CountName {
        match count {
            Count::Ebops => CountName::Ebops,
            Count::Luts => CountName::Luts,
        }
    }
}

impl From<CountName> for Count {
    fn from(name: CountName) -> Count {
        match name {
            CountName::Ebops => Count::Ebops,
            CountName::Luts => Count::Luts,
        }
    }
}
