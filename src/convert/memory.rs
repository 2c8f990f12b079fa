//! How much memory a job took, for the report.

use std::fs;

/// Peak resident memory of this process from now on. Jobs that run at the same time in one process share it.
pub struct Peak(());

impl Peak {
    /// Forgets earlier peaks where the system lets us (Linux).
    pub fn start() -> Peak {
        // proc(5): 5 resets the peak resident set size to its current value; where /proc is read-only the peak is that of the process
        let _ = fs::write("/proc/self/clear_refs", "5");
        Peak(())
    }

    /// In bytes; `None` where the system does not tell.
    pub fn bytes(&self) -> Option<u64> {
        peak(&fs::read_to_string("/proc/self/status").ok()?)
    }
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

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
