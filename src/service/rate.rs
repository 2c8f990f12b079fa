//! How many requests a caller may send per second.

use super::limits::RETRY_AFTER_RATE;
use super::problem::Problem;
use crate::diagnostic::Code;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;

pub struct Rate(Option<DefaultKeyedRateLimiter<String>>);

impl Rate {
    /// `per_second` requests of one caller, and as many at once; 0: any number.
    pub fn new(per_second: u32) -> Rate {
        Rate(NonZeroU32::new(per_second).map(|n| RateLimiter::keyed(Quota::per_second(n))))
    }

    /// # Errors
    /// 429 for one too many.
    pub fn check(&self, owner: &str) -> Result<(), Problem> {
        match &self.0 {
            Some(limiter) if limiter.check_key(&owner.to_string()).is_err() => {
                let text = "more requests per second than this service takes from one caller";
                Err(Problem::new(Code::RateLimit, text).retry_after(RETRY_AFTER_RATE))
            }
            _ => Ok(()),
        }
    }
}
