//! What every store must do, whatever it is made of: one suite, run on each.

#[cfg(feature = "farm")]
use crate::support::nats;
use hgq_onnx::convert::JobConfig;
use hgq_onnx::service::LocalStore;
use hgq_onnx::service::jobs::{Input, JobId, Outcome, Record, Spec, State, SweepId};
use hgq_onnx::service::store::{Claim, Depth, Digest, MAX_LOST, NewEvent, NewJob, Store, StoreError, Submitted};
#[cfg(feature = "farm")]
use hgq_onnx::service::{NatsOptions, NatsStore, store::Expired};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

type Opened = Arc<dyn Store>;

/// A folder, and the store in it.
async fn local() -> Option<(tempfile::TempDir, Opened)> {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::open(dir.path()).unwrap());
    Some((dir, store))
}

/// Signs of life come three times as often, and are not to be late on a busy machine.
#[cfg(feature = "farm")]
const ACK_WAIT: Duration = Duration::from_secs(2);

/// A server, and the store in it; `None` if there is no `nats-server` on this machine.
#[cfg(feature = "farm")]
async fn farm() -> Option<((nats::Server, tempfile::TempDir), Opened)> {
    if !nats::is_installed() {
        return None;
    }
    let (server, dir) = (nats::Server::start(), tempfile::tempdir().unwrap());
    let store = join(&server, &dir).await;
    Some(((server, dir), store))
}

/// The store of a process with this folder.
#[cfg(feature = "farm")]
async fn join(server: &nats::Server, dir: &tempfile::TempDir) -> Opened {
    let (servers, scratch) = (vec![server.url()], dir.path().to_path_buf());
    let options = NatsOptions { servers, credentials: None, replicas: 1, ack_wait: ACK_WAIT, scratch };
    Arc::new(NatsStore::open(&options).await.unwrap())
}

async fn upload(store: &Opened, owner: &str, bytes: &[u8]) -> Digest {
    let mut staged = store.stage();
    staged.write(bytes).unwrap();
    store.keep(staged, owner).await.unwrap()
}

/// A job of `owner` that differs by `seed` from others.
async fn new_job(store: &Opened, owner: &str, seed: u64) -> NewJob {
    let digest = upload(store, owner, b"model").await;
    let config = JobConfig { seed, threads: Some(1), ..JobConfig::default() };
    let inputs = BTreeMap::from([("model".to_string(), Input { digest, bytes: 5 })]);
    NewJob { owner: owner.into(), key: None, sweep: None, spec: Spec { inputs, config, memory: 0 }, most: 1000 }
}

async fn submit(store: &Opened, owner: &str, seed: u64) -> Record {
    match store.submit(new_job(store, owner, seed).await).await.unwrap() {
        Submitted::New(record) => record,
        other => panic!("{other:?}"),
    }
}

async fn get(store: &Opened, id: &JobId) -> Record {
    store.job(id).await.unwrap().expect("the job is there")
}

async fn finish(store: &Opened, claim: &Claim, artifact: &[u8]) {
    let mut staged = store.stage();
    staged.write(artifact).unwrap();
    let outcome = Outcome { ebops: Some(7), ..Outcome::default() };
    store.finish(claim, State::Succeeded, outcome, vec![("proxy.onnx".into(), staged)]).await.unwrap();
}

async fn claim(store: &Opened) -> Claim {
    tokio::time::timeout(Duration::from_secs(20), store.claim()).await.expect("there is a job").unwrap()
}

async fn a_job_goes_through_its_states(store: Opened) {
    let record = submit(&store, "a", 1).await;
    assert_eq!((record.state, record.attempts, record.owner.as_str()), (State::Queued, 0, "a"));
    assert_eq!(store.depth().await.unwrap(), Depth { queued: 1, running: 0 });
    let taken = claim(&store).await;
    assert_eq!((&taken.id, taken.attempt, &taken.spec), (&record.id, 1, &record.spec));
    assert_eq!(get(&store, &record.id).await.state, State::Running);
    let epoch = |n: u32| NewEvent { kind: "epoch", data: format!("{{\"epoch\": {n}}}") };
    store.append(&taken, vec![epoch(1), epoch(2)]).await.unwrap();
    finish(&store, &taken, b"proxy").await;
    let done = get(&store, &record.id).await;
    assert_eq!((done.state, done.outcome.ebops, done.last_event), (State::Succeeded, Some(7), 5));
    assert_eq!(done.progress.unwrap()["epoch"], 2);
    assert!(done.created <= done.started.unwrap() && done.started <= done.finished);
    let path = store.open(&done.artifacts[0].digest).await.unwrap();
    assert_eq!((done.artifacts[0].name.as_str(), std::fs::read(path).unwrap().as_slice()), ("proxy.onnx", &b"proxy"[..]));
    let events = store.events(&record.id, 0, Duration::ZERO).await.unwrap();
    let kinds: Vec<(u64, &str)> = events.iter().map(|e| (e.seq, e.kind.as_str())).collect();
    assert_eq!(kinds, [(1, "state"), (2, "state"), (3, "epoch"), (4, "epoch"), (5, "state")]);
    assert!(events[4].data.contains("succeeded"));
    let rest = store.events(&record.id, 4, Duration::ZERO).await.unwrap();
    assert_eq!(rest, events[4..]);
    // what is over is nobody's
    assert!(matches!(store.append(&taken, vec![epoch(3)]).await, Err(StoreError::Lost)));
    assert!(matches!(store.give_back(&taken).await, Err(StoreError::Lost)));
}

async fn the_same_request_is_done_once(store: Opened) {
    let mut job = new_job(&store, "a", 1).await;
    job.key = Some("k".into());
    let Submitted::New(first) = store.submit(job.clone()).await.unwrap() else { panic!() };
    let Submitted::Again(again) = store.submit(job.clone()).await.unwrap() else { panic!() };
    assert_eq!(first.id, again.id);
    let mut other = new_job(&store, "a", 2).await;
    other.key = Some("k".into());
    assert!(matches!(store.submit(other.clone()).await.unwrap(), Submitted::OtherRequest));
    // a key is its caller's own
    other.owner = "b".into();
    upload(&store, "b", b"model").await;
    assert!(matches!(store.submit(other).await.unwrap(), Submitted::New(_)));
    // the same files and configuration without the key: answered from the store once it is done, by
    // the caller alone
    let waiting = submit(&store, "a", 1).await;
    let taken = claim(&store).await;
    assert_eq!(taken.id, first.id);
    finish(&store, &taken, b"p").await;
    let done = submit(&store, "a", 1).await;
    assert_eq!((done.state, done.outcome.cached, done.artifacts.len()), (State::Succeeded, true, 1));
    assert_eq!(submit(&store, "b", 1).await.state, State::Queued);
    // and the one that waited need not run either
    assert_eq!((claim(&store).await.owner, claim(&store).await.owner), ("b".into(), "b".into()));
    assert!(tokio::time::timeout(Duration::from_millis(200), store.claim()).await.is_err(), "nothing is left to do");
    let waited = get(&store, &waiting.id).await;
    assert_eq!((waited.state, waited.outcome.cached), (State::Succeeded, true));
}

async fn a_full_queue_refuses(store: Opened) {
    let job = |seed| {
        let store = store.clone();
        async move { NewJob { most: 2, ..new_job(&store, "a", seed).await } }
    };
    for seed in 0..2 {
        assert!(matches!(store.submit(job(seed).await).await.unwrap(), Submitted::New(_)));
    }
    assert!(matches!(store.submit(job(2).await).await.unwrap(), Submitted::Busy));
    let taken = claim(&store).await;
    assert!(matches!(store.submit(job(2).await).await.unwrap(), Submitted::Busy), "running jobs count");
    finish(&store, &taken, b"p").await;
    assert!(matches!(store.submit(job(2).await).await.unwrap(), Submitted::New(_)));
}

async fn callers_get_their_turns(store: Opened) {
    for seed in 0..3 {
        submit(&store, "many", seed).await;
    }
    submit(&store, "one", 0).await;
    submit(&store, "two", 0).await;
    let mut order = Vec::new();
    for _ in 0..5 {
        let taken = claim(&store).await;
        order.push(taken.owner.clone());
        finish(&store, &taken, b"p").await;
    }
    assert_eq!(order, ["many", "one", "two", "many", "many"]);
}

async fn jobs_are_canceled(store: Opened) {
    let (queued, running) = (submit(&store, "a", 1).await, submit(&store, "b", 2).await);
    let taken = claim(&store).await;
    assert_eq!(taken.id, queued.id);
    let (queued, running) = (running, queued);
    store.cancel(&queued.id).await.unwrap();
    assert_eq!(get(&store, &queued.id).await.state, State::Canceled);
    let heard = tokio::spawn({
        let (store, taken) = (store.clone(), taken.clone());
        async move { store.canceled(&taken).await }
    });
    assert!(!get(&store, &running.id).await.cancel);
    store.cancel(&running.id).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("the worker hears it").unwrap().unwrap();
    assert_eq!((get(&store, &running.id).await.state, get(&store, &running.id).await.cancel), (State::Running, true));
    store.finish(&taken, State::Canceled, Outcome::default(), Vec::new()).await.unwrap();
    // what is over stays as it is
    store.cancel(&running.id).await.unwrap();
    assert_eq!(get(&store, &running.id).await.state, State::Canceled);
    assert_eq!(store.depth().await.unwrap(), Depth::default());
}

async fn events_are_waited_for(store: Opened) {
    let record = submit(&store, "a", 1).await;
    let waiting = tokio::spawn({
        let (store, id) = (store.clone(), record.id.clone());
        async move { store.events(&id, 1, Duration::from_secs(20)).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _taken = claim(&store).await;
    let events = waiting.await.unwrap();
    assert!(events[0].seq == 2 && events[0].data.contains("running"), "{events:?}");
    assert_eq!(store.events(&record.id, 99, Duration::from_millis(10)).await.unwrap(), []);
}

async fn a_job_that_is_given_back_goes_on_from_its_checkpoint(store: Opened) {
    let record = submit(&store, "a", 1).await;
    let first = claim(&store).await;
    assert_eq!(store.checkpoint(&first).await.unwrap(), None);
    store.save_checkpoint(&first, b"half".to_vec()).await.unwrap();
    store.give_back(&first).await.unwrap();
    assert_eq!(get(&store, &record.id).await.state, State::Queued);
    let second = claim(&store).await;
    assert_eq!((&second.id, second.attempt), (&record.id, 2));
    assert_eq!(store.checkpoint(&second).await.unwrap(), Some(b"half".to_vec()));
    // the first worker is too late for anything
    assert!(matches!(store.save_checkpoint(&first, b"x".to_vec()).await, Err(StoreError::Lost)));
    let late = store.finish(&first, State::Succeeded, Outcome::default(), Vec::new()).await;
    assert!(matches!(late, Err(StoreError::Lost)));
    finish(&store, &second, b"p").await;
}

async fn lists_and_files_are_their_owners(store: Opened) {
    let mut ids = Vec::new();
    for seed in 0..3 {
        ids.push(submit(&store, "a", seed).await.id);
        submit(&store, "b", seed).await;
    }
    let listed = |before: Option<JobId>, most| {
        let store = store.clone();
        async move {
            let found = store.jobs("a", before.as_ref(), most).await.unwrap();
            found.into_iter().map(|r| r.id).collect::<Vec<JobId>>()
        }
    };
    ids.reverse();
    assert_eq!(listed(None, 10).await, ids);
    assert_eq!(listed(None, 2).await, ids[..2]);
    assert_eq!(listed(Some(ids[1].clone()), 10).await, ids[2..]);
    let sweep = SweepId::random().unwrap();
    for seed in 3..5 {
        let job = NewJob { sweep: Some(sweep.clone()), ..new_job(&store, "a", seed).await };
        store.submit(job).await.unwrap();
    }
    let seeds = |owner| {
        let (store, sweep) = (store.clone(), sweep.clone());
        async move {
            let found = store.sweep(owner, &sweep).await.unwrap();
            found.into_iter().map(|r| r.spec.config.seed).collect::<Vec<u64>>()
        }
    };
    assert_eq!((seeds("a").await, seeds("b").await), (vec![3, 4], vec![]));
    let digest = upload(&store, "a", b"mine").await;
    assert_eq!(digest, Digest::of(b"mine"));
    assert_eq!(store.owned("a", &digest).await.unwrap(), Some(4));
    assert_eq!(store.owned("b", &digest).await.unwrap(), None);
    upload(&store, "b", b"mine").await;
    assert_eq!(store.owned("b", &digest).await.unwrap(), Some(4));
    assert_eq!(store.job(&JobId::random().unwrap()).await.unwrap(), None);
    store.ready().await.unwrap();
}

async fn what_is_old_goes(store: Opened) {
    let done = submit(&store, "a", 1).await;
    finish(&store, &claim(&store).await, b"p").await;
    let waiting = submit(&store, "a", 2).await;
    let unused = upload(&store, "a", b"unused").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(store.expire(Duration::from_secs(3600)).await.unwrap().jobs, 0);
    let artifact = get(&store, &done.id).await.artifacts[0].digest.clone();
    let gone = store.expire(Duration::ZERO).await.unwrap();
    assert_eq!((gone.jobs, gone.files), (1, 2), "the job, its proxy and the file that no job uses");
    assert_eq!(store.job(&done.id).await.unwrap(), None);
    assert_eq!(store.events(&done.id, 0, Duration::ZERO).await.unwrap(), []);
    for gone in [&artifact, &unused] {
        assert_eq!(store.owned("a", gone).await.unwrap(), None);
    }
    // what a waiting job reads stays
    let model = &get(&store, &waiting.id).await.spec.inputs["model"].digest.clone();
    assert_eq!(store.owned("a", model).await.unwrap(), Some(5));
    assert!(store.open(model).await.unwrap().exists());
}

async fn many_events_have_numbers_without_gaps(store: Opened) {
    let record = submit(&store, "a", 1).await;
    let taken = claim(&store).await;
    for batch in 0..10 {
        let event = |n: u32| NewEvent { kind: "epoch", data: format!("{{\"epoch\": {}}}", batch * 150 + n) };
        store.append(&taken, (0..150).map(event).collect()).await.unwrap();
    }
    let (mut found, mut after) = (Vec::new(), 0);
    while found.len() < 1502 {
        let more = store.events(&record.id, after, Duration::ZERO).await.unwrap();
        after = more.last().expect("there are more events").seq;
        found.extend(more);
    }
    assert!(found.iter().zip(1..).all(|(e, seq)| e.seq == seq));
    assert!(found[2..].iter().zip(0..).all(|(e, n)| e.data == format!("{{\"epoch\": {n}}}")));
    assert_eq!(store.events(&record.id, 700, Duration::ZERO).await.unwrap()[0].seq, 701);
    assert_eq!(get(&store, &record.id).await.last_event, 1502);
}

macro_rules! suite {
    ($name:ident, $open:expr, $given:meta, [$($case:ident),* $(,)?]) => {
        mod $name {
            $(#[tokio::test]
            #[$given]
            async fn $case() {
                if let Some((_kept, store)) = $open().await {
                    super::$case(store).await;
                }
            })*
        }
    };
}

macro_rules! suites {
    ($($case:ident),* $(,)?) => {
        suite!(in_a_folder, super::local, cfg(feature = "serve"), [$($case),*]);
        #[cfg(feature = "farm")]
        suite!(in_nats, super::farm, ignore = "needs nats-server", [$($case),*]);
    };
}

suites!(
    a_job_goes_through_its_states,
    the_same_request_is_done_once,
    a_full_queue_refuses,
    callers_get_their_turns,
    jobs_are_canceled,
    events_are_waited_for,
    a_job_that_is_given_back_goes_on_from_its_checkpoint,
    lists_and_files_are_their_owners,
    what_is_old_goes,
    many_events_have_numbers_without_gaps,
);

/// Two processes: a job stays with the one that has it as long as it gives signs of life.
#[cfg(feature = "farm")]
#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_worker_that_is_gone_loses_its_job() {
    let Some(((server, _dir), first)) = farm().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let second = join(&server, &dir).await;
    let record = submit(&first, "a", 1).await;
    let taken = claim(&first).await;
    first.save_checkpoint(&taken, b"half".to_vec()).await.unwrap();
    let waits = tokio::time::timeout(ACK_WAIT * 5 / 2, second.claim()).await;
    assert!(waits.is_err(), "taken from a worker that is alive");
    // what one has stored, the other one has at once
    let digest = upload(&first, "a", b"sent to one").await;
    assert_eq!(std::fs::read(second.open(&digest).await.unwrap()).unwrap(), b"sent to one");
    drop(first);
    let again = claim(&second).await;
    assert_eq!((&again.id, again.attempt), (&record.id, 2));
    assert_eq!(second.checkpoint(&again).await.unwrap(), Some(b"half".to_vec()));
    assert!(matches!(second.append(&taken, Vec::new()).await, Err(StoreError::Lost)));
    finish(&second, &again, b"p").await;
    // nothing is left behind a job that is removed
    tokio::time::sleep(Duration::from_millis(20)).await;
    let gone = second.expire(Duration::ZERO).await.unwrap();
    assert_eq!((gone.jobs, gone.files), (1, 3), "the job; its model, its proxy and what was sent");
    assert_eq!(second.expire(Duration::ZERO).await.unwrap(), Expired::default());
}

/// A folder whose process is gone: what ran is queued again, what nobody names is removed, what
/// keeps losing its workers fails.
#[tokio::test]
async fn a_folder_is_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    // a process that another test starts at this moment holds the lock until it is another program
    let open = || -> Opened {
        let tried = (0..200).find_map(|n| {
            std::thread::sleep(Duration::from_millis(if n == 0 { 0 } else { 10 }));
            LocalStore::open(dir.path()).ok()
        });
        Arc::new(tried.expect("the folder"))
    };
    let store = open();
    assert!(LocalStore::open(dir.path()).err().unwrap().contains("in use"));
    let record = submit(&store, "a", 1).await;
    let first = claim(&store).await;
    store.save_checkpoint(&first, b"half".to_vec()).await.unwrap();
    drop(store);
    std::fs::write(dir.path().join("staging/left"), b"x").unwrap();
    let orphan = Digest::of(b"orphan");
    let folder = dir.path().join("files").join(&orphan.as_str()[..2]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(orphan.as_str()), b"orphan").unwrap();

    let store = open();
    assert_eq!(get(&store, &record.id).await.state, State::Queued);
    assert!(!dir.path().join("staging/left").exists() && !folder.join(orphan.as_str()).exists());
    let second = claim(&store).await;
    assert_eq!((second.attempt, store.checkpoint(&second).await.unwrap()), (2, Some(b"half".to_vec())));
    drop(store);
    let mut states = Vec::new();
    loop {
        let store = open();
        states.push(get(&store, &record.id).await.state);
        if *states.last().unwrap() != State::Queued {
            break;
        }
        claim(&store).await;
    }
    // one was lost above
    assert_eq!((states.len() as u32, states.last()), (MAX_LOST - 1, Some(&State::Failed)));
    let store = open();
    assert_eq!(get(&store, &record.id).await.outcome.error.unwrap().code(), "worker_lost");
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    assert!(LocalStore::open(&file).err().unwrap().contains("cannot create the folder"));
    let damaged = dir.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("jobs.sqlite"), vec![7; 4096]).unwrap();
    assert!(LocalStore::open(&damaged).err().unwrap().contains("jobs.sqlite"));
}
