//! What the size of a model is counted in, and the size that is wanted.

use super::JobConfig;
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

impl JobConfig {
    /// What sizes are counted in.
    pub fn count(&self) -> Count {
        match self.count {
            Some(name) => name.into(),
            None if self.target_luts.is_some() => Count::Luts,
            None => Count::Ebops,
        }
    }

    /// The largest size of the wanted model, in the unit of [`JobConfig::count`].
    pub fn target(&self) -> Option<f64> {
        match self.count() {
            Count::Ebops => self.target_ebops,
            Count::Luts => self.target_luts,
        }
    }

    pub(super) fn check_size(&self, need: &mut impl FnMut(bool, &str)) {
        let sound = |target: Option<f64>| target.is_none_or(|t| t.is_finite() && t >= 1.0);
        need(sound(self.target_ebops), "target_ebops: at least 1");
        need(sound(self.target_luts), "target_luts: at least 1");
        need(
            self.target_ebops.is_none() || self.target_luts.is_none(),
            "target_ebops and target_luts: one model is the best within one of them; give one",
        );
        let other = match self.count {
            Some(CountName::Ebops) => self.target_luts,
            Some(CountName::Luts) => self.target_ebops,
            None => None,
        };
        need(other.is_none(), "count: ebops goes with target_ebops, luts with target_luts");
        need(
            self.beta.is_none() || (self.target_ebops.is_none() && self.target_luts.is_none() && self.budgets.is_none()),
            "beta excludes target_ebops, target_luts and budgets: give one of them",
        );
    }
}
