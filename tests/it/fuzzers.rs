//! What the fuzzers share is compiled and run here as well: they are a workspace of their own, and
//! nobody would see that they no longer fit the program.

#[path = "../../fuzz/src/training.rs"]
mod training;

#[test]
fn the_run_that_checkpoints_are_fuzzed_with_goes_on_from_each() {
    let (_, kept) = training::train(None).expect("a run");
    assert!(kept.len() > 1, "{} checkpoints", kept.len());
    for (n, checkpoint) in kept.iter().enumerate() {
        let (resumed, later) = training::train(Some(checkpoint)).expect("a run from its own checkpoint");
        assert_eq!(later.len(), kept.len() - 1 - n, "it goes on from there");
        assert!(!resumed.front.points().is_empty());
    }
}
