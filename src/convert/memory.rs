//! How much memory a job will take, by an estimate, and how much it took, for the report.

use std::fs;

/// What the program itself and its threads hold.
const BASE: u64 = 64 << 20;
/// Copies of a model: file, graph, quantized model, parameters with two moments, gradients per
/// thread, proxy.
const PER_MODEL_BYTE: u64 = 16;
/// Bytes held per value of the data: as read, as f32, shuffled or traced, and on the way of exact
/// evaluation.
const PER_VALUE: u64 = 24;

/// Memory that a job will need, in bytes; `data`: bytes and values of each data file.
pub fn estimate(model_bytes: u64, data: impl IntoIterator<Item = (u64, u64)>) -> u64 {
    let of = |(bytes, values): (u64, u64)| bytes.saturating_add(PER_VALUE.saturating_mul(values));
    let model = PER_MODEL_BYTE.saturating_mul(model_bytes);
    data.into_iter().map(of).fold(BASE.saturating_add(model), u64::saturating_add)
}

/// Peak resident memory of this process from now on. Jobs that run at the same time in one process
/// share it.
pub struct Peak(());

impl Peak {
    /// Forgets earlier peaks where the system lets us (Linux).
    pub fn start() -> Peak {
        // proc(5): 5 resets the peak resident set size to its current value; where /proc is
        // read-only the peak is that of the process
        let _ = fs::write("/proc/self/clear_refs", "5");
        Peak(())
    }

    /// In bytes; `None` where the system does not say.
    pub fn bytes(&self) -> Option<u64> {
        peak(&fs::read_to_string("/proc/self/status").ok()?)
    }
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Samples per verification block: bounds the memory of a large calibration set.
pub const CHUNK: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(peak("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n"), Some(1234 * 1024));
        assert_eq!(peak("Name:\tx\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sees_what_was_used_meanwhile() {
        let before = Peak::start();
        let used = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(before.bytes().unwrap() > used.len() as u64);
    }
}
