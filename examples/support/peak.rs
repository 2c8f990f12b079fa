//! What a processor reaches with multiply-adds alone, all operands in registers.

use hgq_onnx::simd::{Has, Isa, LANES, Lane, Vectorized, dispatch};
use std::time::Instant;

/// Independent sums: enough to hide the latency of a multiply-add on any processor of today, and
/// few enough for 16 registers.
const CHAINS: usize = 10;
const ROUNDS: usize = 2_000_000;

/// Whether the instruction set fuses them.
struct MultiplyAdds {
    fused: bool,
}

impl Vectorized for MultiplyAdds {
    type Out = usize;
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) -> usize {
        // a register of this instruction set per chain
        match (L::N, self.fused) {
            (LANES, _) => chains::<LANES>(f32::mul_add),
            (_, true) => chains::<8>(f32::mul_add),
            _ => chains::<8>(|s, a, b| s * a + b),
        }
    }
}

/// Returns the floating-point operations done.
#[inline(always)]
fn chains<const N: usize>(step: impl Fn(f32, f32, f32) -> f32) -> usize {
    let (a, b) = (std::hint::black_box([0.5f32; N]), std::hint::black_box([1.0f32; N]));
    let mut sums = [[1.0f32; N]; CHAINS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            for ((s, a), b) in sum.iter_mut().zip(&a).zip(&b) {
                *s = step(*s, *a, *b);
            }
        }
    }
    std::hint::black_box(sums);
    2 * N * CHAINS * ROUNDS
}

/// The best of several tries of `threads` threads together, in GFLOP/s.
pub fn gflops(isa: Isa, threads: usize) -> f64 {
    let once = || {
        let start = Instant::now();
        let work: usize = std::thread::scope(|scope| {
            let running: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| dispatch(isa, MultiplyAdds { fused: isa != Isa::Portable }))).collect();
            running.into_iter().map(|t| t.join().expect("no panic")).sum()
        });
        work as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..5).map(|_| once()).fold(0.0, f64::max)
}
