//! How large data files may be.

/// What a data file may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataLimits {
    /// Members of an archive: data sets have a handful of arrays.
    pub members: usize,
    /// Elements of all arrays together; 2²⁸ are 1 GiB of float32, ten times the largest data set in
    /// use for these nets.
    pub elements: usize,
}

impl Default for DataLimits {
    fn default() -> Self {
        DataLimits { members: 1000, elements: 1 << 28 }
    }
}
