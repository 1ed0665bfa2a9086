//! Pods on other nodes, or taken for such: their packets are redirected at the router's own end.

use warmlane_tests::lane::Laid;

use super::LOOPBACK;

mod bodies;
mod faults;
mod overlap;
mod places;
mod wakes;

fn lane() -> Laid {
    Laid::remote(LOOPBACK)
}
