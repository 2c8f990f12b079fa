//! Names in NATS: streams, buckets, subjects and keys.

use super::super::Digest;
use crate::service::record::{JobId, SweepId};

/// The work queue: one message for each job that is not over, on a subject of its own.
pub const QUEUE: &str = "HGQ_QUEUE";
const QUEUE_SUBJECT: &str = "hgq.queue";
/// Idle workers listen here: something was queued.
pub const WAKE: &str = "hgq.wake";

/// Records of jobs, by their names.
pub const JOBS: &str = "hgq-jobs";
/// Events that no longer fit into the record: `JOB.FIRST-HASH`.
pub const EVENTS: &str = "hgq-events";
/// Which jobs a caller has, what its keys stand for, and what was done before.
pub const INDEX: &str = "hgq-index";
/// Contents by digest: which object holds them, and whose they are.
pub const FILES: &str = "hgq-files";
/// The object store.
pub const OBJECTS: &str = "hgq-objects";

/// Longest encoded owner: file names of consumers in the server end at 255 bytes.
const MAX_OWNER: usize = 200;

/// A caller as one token of a subject: letters, digits and `-` as they are, other bytes as `=2E`.
pub fn owner(owner: &str) -> String {
    let mut token = String::from("o");
    for byte in owner.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => token.push(char::from(byte)),
            _ => token.push_str(&format!("={byte:02X}")),
        }
    }
    if token.len() <= MAX_OWNER { token } else { format!("h{}", Digest::of(owner.as_bytes())) }
}

/// All subjects of the queue.
pub fn queue_subjects() -> String {
    format!("{QUEUE_SUBJECT}.*.*")
}

/// Subjects of one caller, by its token.
pub fn queue_of(owner: &str) -> String {
    format!("{QUEUE_SUBJECT}.{owner}.*")
}

/// Subject of one job.
pub fn queued(owner_name: &str, id: &JobId) -> String {
    format!("{QUEUE_SUBJECT}.{}.{id}", owner(owner_name))
}

/// The job of a subject or key that ends with its name.
pub fn job(subject: &str) -> Option<JobId> {
    subject.rsplit('.').next().and_then(JobId::parse)
}

/// Index: a job of a caller.
pub fn listed(owner_name: &str, id: &JobId) -> String {
    format!("list.{}.{id}", owner(owner_name))
}

/// Index: all jobs of a caller.
pub fn list(owner_name: &str) -> String {
    format!("list.{}.*", owner(owner_name))
}

/// Index: the job of an Idempotency-Key, which is hashed as it may have any character.
pub fn key(owner_name: &str, key: &str) -> String {
    format!("key.{}.{}", owner(owner_name), Digest::of(key.as_bytes()))
}

/// Index: the job that succeeded with this identity.
pub fn done(owner_name: &str, identity: &Digest) -> String {
    format!("done.{}.{identity}", owner(owner_name))
}

/// Index: a job that waits for its turn with this identity.
pub fn waiting(owner_name: &str, identity: &Digest, id: &JobId) -> String {
    format!("wait.{}.{identity}.{id}", owner(owner_name))
}

/// Index: all jobs that wait with this identity.
pub fn waiting_for(owner_name: &str, identity: &Digest) -> String {
    format!("wait.{}.{identity}.*", owner(owner_name))
}

/// Index: a job of a sweep.
pub fn swept(owner_name: &str, sweep: &SweepId, id: &JobId) -> String {
    format!("sweep.{}.{}.{id}", owner(owner_name), sweep.as_str())
}

/// Index: all jobs of a sweep.
pub fn sweep(owner_name: &str, sweep: &SweepId) -> String {
    format!("sweep.{}.{}.*", owner(owner_name), sweep.as_str())
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn owners_are_tokens_of_their_own() {
        assert_eq!((owner(""), owner("ci-1")), ("o".into(), "oci-1".into()));
        assert_eq!(owner("a.b*> _"), "oa=2Eb=2A=3E=20=5F");
        assert!(owner(&"é".repeat(100)).len() == 65 && owner(&"x".repeat(199)).len() == 200);
        assert_ne!(owner("a=2E"), owner("a."));
    }
}
