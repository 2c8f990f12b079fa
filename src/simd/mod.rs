//! Instruction sets, chosen at run time: AVX-512, AVX2+FMA or portable code. [`dispatch`] runs work
//! that is compiled once for each of them. It alone makes a [`Has`], without which no work runs:
//! safe code cannot reach instructions that the processor lacks.

mod buffer;
mod lane;
pub mod math;
mod sum;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use buffer::{Buffer, Plain};
pub use lane::{Lane, Portable, Register};
pub use sum::{Number, gather, weighted_sum, widen};

use std::marker::PhantomData;

/// Floats of the widest register: one of AVX-512, one cache line.
pub const LANES: usize = 16;

/// Instruction set of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    Portable,
    Avx2,
    Avx512,
}

impl Isa {
    /// The best one this processor has.
    pub fn detect() -> Isa {
        [Isa::Avx512, Isa::Avx2].into_iter().find(|isa| isa.available()).unwrap_or(Isa::Portable)
    }

    /// Whether this processor has it.
    pub fn available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && Isa::Avx2.available(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }
}

/// Proof that this processor has the instruction set of the registers `L`. Only [`dispatch`] makes
/// one, after it has asked the processor.
///
/// ```compile_fail
/// use hgq_onnx::simd::{Has, Portable};
/// let forged = Has::<Portable>(std::marker::PhantomData);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Has<L>(PhantomData<L>);

/// Work that is compiled once per instruction set. `run` must be `#[inline(always)]` to be compiled
/// with the wider registers; plain loops in it are vectorised by the compiler.
///
/// The second argument of `run` is what its unsafe code may rely on: whoever calls it has the
/// instruction set.
///
/// ```compile_fail
/// use hgq_onnx::train::kernel::{Adam, Vectorized};
/// // no proof: not even the portable kernel runs but by `dispatch`
/// fn run(work: Adam) { work.run::<hgq_onnx::simd::Portable>() }
/// ```
pub trait Vectorized {
    type Out;
    fn run<L: Lane>(self, has: Has<L>) -> Self::Out;
}

/// Runs `work` with the kernels of `isa`; portable ones where the processor lacks it.
#[inline]
pub fn dispatch<W: Vectorized>(isa: Isa, work: W) -> W::Out {
    match isa {
        // SAFETY: the processor has the features, just asked (a cached flag).
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if isa.available() => unsafe { run_avx512(work) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if isa.available() => unsafe { run_avx2(work) },
        _ => work.run::<Portable>(Has(PhantomData)),
    }
}

/// # Safety
/// The processor must have these features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
unsafe fn run_avx512<W: Vectorized>(work: W) -> W::Out {
    work.run::<std::arch::x86_64::__m512>(Has(PhantomData))
}

/// # Safety
/// As above.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<W: Vectorized>(work: W) -> W::Out {
    work.run::<std::arch::x86_64::__m256>(Has(PhantomData))
}
