//! Places for the nodes of a graph: ranks from top to bottom, edges that skip ranks on ways of
//! their own, so that none crosses a box.
//!
//! The usual way (Sugiyama): rank = longest path from the inputs, an empty place in every rank that
//! an edge passes, each rank ordered by the mean place of what its members read.

/// Width of a place: a box, or the way of an edge through a rank.
const BOX: f64 = 200.0;
const WAY: f64 = 24.0;
const GAP: f64 = 16.0;

/// Where a drawing has its boxes and edges, in units of its width and in ranks.
#[derive(Debug, Default, PartialEq)]
pub struct Layout {
    pub width: f64,
    pub ranks: usize,
    /// Of every item: the middle of its box, and its rank.
    pub boxes: Vec<(f64, usize)>,
    pub edges: Vec<Edge>,
}

/// An edge between two items.
#[derive(Debug, PartialEq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// Middles and ranks of the places it passes, both ends included.
    pub way: Vec<(f64, usize)>,
}

/// Places items that read those of `reads`; an item reads earlier ones only.
pub fn layout(reads: &[Vec<usize>]) -> Layout {
    let mut rank = vec![0usize; reads.len()];
    for (item, from) in reads.iter().enumerate() {
        rank[item] = from.iter().map(|&f| rank[f] + 1).max().unwrap_or(0);
    }
    let ranks = rank.iter().max().map_or(0, |r| r + 1);
    // places: first the items, then the ways; each has a rank and reads places of the rank above
    let mut places: Vec<(usize, f64, Vec<usize>)> = rank.iter().map(|&r| (r, BOX, Vec::new())).collect();
    let mut ways: Vec<(usize, usize, Vec<usize>)> = Vec::new();
    for (item, from) in reads.iter().enumerate() {
        for (at, &source) in from.iter().enumerate() {
            if from[..at].contains(&source) {
                continue;
            }
            let mut way = vec![source];
            for r in rank[source] + 1..rank[item] {
                places.push((r, WAY, vec![way[way.len() - 1]]));
                way.push(places.len() - 1);
            }
            places[item].2.push(way[way.len() - 1]);
            way.push(item);
            ways.push((source, item, way));
        }
    }
    let mut middle = vec![0f64; places.len()];
    let mut width = 0f64;
    for r in 0..ranks {
        let mut row: Vec<usize> = (0..places.len()).filter(|&p| places[p].0 == r).collect();
        let wish = |p: usize| {
            let reads = &places[p].2;
            reads.iter().map(|&f| middle[f]).sum::<f64>() / reads.len().max(1) as f64
        };
        row.sort_by(|&a, &b| wish(a).total_cmp(&wish(b)).then(a.cmp(&b)));
        let total: f64 = row.iter().map(|&p| places[p].1 + GAP).sum::<f64>();
        // middles around 0; the drawing is moved to the right afterwards
        let mut x = -total / 2.0;
        for p in row {
            middle[p] = x + (places[p].1 + GAP) / 2.0;
            x += places[p].1 + GAP;
        }
        width = width.max(total);
    }
    let at = |p: usize| (middle[p] + width / 2.0, places[p].0);
    Layout {
        width,
        ranks,
        boxes: (0..reads.len()).map(at).collect(),
        edges: ways.into_iter().map(|(from, to, way)| Edge { from, to, way: way.into_iter().map(at).collect() }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_skips_a_rank_goes_beside_the_box_in_it() {
        // 0 → 1 → 2, and 0 → 2
        let l = layout(&[vec![], vec![0], vec![1, 0]]);
        assert_eq!((l.ranks, l.edges.len()), (3, 3));
        let way = &l.edges.iter().find(|e| (e.from, e.to) == (0, 2)).unwrap().way;
        assert_eq!(way.iter().map(|w| w.1).collect::<Vec<_>>(), [0, 1, 2]);
        assert!((way[1].0 - l.boxes[1].0).abs() >= (BOX + WAY) / 2.0);
        assert!(l.boxes.iter().all(|b| b.0 >= BOX / 2.0 && b.0 <= l.width - BOX / 2.0));
    }

    #[test]
    fn boxes_of_a_rank_do_not_overlap_and_twice_the_same_is_one_edge() {
        let l = layout(&[vec![], vec![0], vec![0], vec![0], vec![1, 2, 3, 1]]);
        let mut row: Vec<f64> = l.boxes[1..4].iter().map(|b| b.0).collect();
        row.sort_by(f64::total_cmp);
        assert!(row.windows(2).all(|w| w[1] - w[0] >= BOX));
        assert_eq!(l.edges.iter().filter(|e| e.to == 4).count(), 3);
        assert_eq!(layout(&[]), Layout::default());
    }
}
